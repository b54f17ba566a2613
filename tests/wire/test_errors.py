"""Errors that belong to no single call, and the form that all have (spec §0 rule 5, §11)."""

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, Server, fresh

MEBIBYTE = 1024 * 1024

CURSOR_MALFORMED_JSON = "services/chatkit_cursors/bad_request/malformed_json"


def user_of_size(size: int) -> bytes:
    """Write a good user with an unknown field that fills the body up to this size."""
    head = b'{"id": "%b", "name": "Ann", "unused": "' % fresh().encode()
    return head.ljust(size - 2, b"x") + b'"}'


@pytest.mark.parametrize(
    "path", ["/nonsense", "/users/{alice}/nonsense", "/rooms/{room}/nonsense", "/messages", "/", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_route_is_not_found(server: Server, alice: str, room: str, method: str, path: str) -> None:
    reply = server.su().call(method, path.format(alice=alice, room=room))
    reply.fails(404, codes.ROUTE_NOT_FOUND)


@pytest.mark.parametrize("path", ["/nonsense", "/services", "/services/chatkit", "/services/chatkit/v6"])
def test_a_path_outside_every_service_is_not_found(server: Server, path: str) -> None:
    server.request("GET", path, {}, None).fails(404, codes.ROUTE_NOT_FOUND)


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("PATCH", "/users", V6),
        ("DELETE", "/users", V6),
        ("POST", "/users/{alice}", V6),
        ("GET", "/batch_users", V6),
        ("POST", "/users_by_ids", V6),
        ("GET", "/users/{alice}/rooms/{room}/join", V6),
        ("POST", "/rooms/{room}/users/add", V6),
        ("PATCH", "/rooms/{room}", V2),
        ("DELETE", "/rooms/{room}/messages", V2),
        ("POST", "/cursors/0/rooms/{room}/users/{alice}", CURSORS),
        ("GET", "/resources", V6),
    ],
)
def test_another_method_is_not_allowed(server: Server, alice: str, room: str, method: str, path: str, api: str) -> None:
    reply = server.su(alice).call(method, path.format(alice=alice, room=room), None, api)
    reply.fails(405, codes.METHOD_NOT_ALLOWED)


BROKEN_JSON = {
    "open object": b"{",
    "open string": b'{"id": "x',
    "single quotes": b"{'id': 'x'}",
    "trailing comma": b'{"id": "x",}',
    "two values": b"{} {}",
    "form": b"id=x&name=y",
    "invalid utf-8": b'{"id": "\xff\xfe", "name": "x"}',
    "utf-16": '{"id": "x"}'.encode("utf-16"),
    "nul": b"\x00",
    "raw control character": b'{"id": "a\x01b"}',
    "nan": b'{"id": NaN}',
    "infinity": b'{"id": -Infinity}',
    "bad escape": b'{"id": "\\x"}',
}
broken = pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON)


@broken
def test_broken_json_is_a_bad_request(server: Server, body: bytes) -> None:
    server.su().post("/users", body).fails(400, codes.MALFORMED_JSON)


@pytest.mark.parametrize(
    ("method", "path", "api"),
    [
        ("POST", "/batch_users", V6),
        ("PUT", "/users/{alice}", V6),
        ("POST", "/rooms", V6),
        ("PUT", "/rooms/{room}", V6),
        ("PUT", "/rooms/{room}/users/add", V6),
        ("PUT", "/rooms/{room}/users/remove", V6),
        ("POST", "/rooms/{room}/messages", V2),
        ("POST", "/rooms/{room}/messages", V6),
    ],
)
def test_every_call_refuses_broken_json(
    server: Server, alice: str, room: str, method: str, path: str, api: str
) -> None:
    reply = server.su(alice).call(method, path.format(alice=alice, room=room), b"{", api)
    reply.fails(400, codes.MALFORMED_JSON)


def test_another_service_refuses_broken_json_in_its_own_name(server: Server, alice: str, room: str) -> None:
    reply = server.user(alice).put(f"/cursors/0/rooms/{room}/users/{alice}", b"{", api=CURSORS)
    reply.fails(400, CURSOR_MALFORMED_JSON)


def test_a_body_may_have_a_mebibyte(server: Server) -> None:
    assert server.su().post("/users", user_of_size(MEBIBYTE)).status == 201


@pytest.mark.parametrize("size", [MEBIBYTE + 1, 3 * MEBIBYTE])
def test_a_larger_body_is_too_large(server: Server, size: int) -> None:
    server.su().post("/users", user_of_size(size)).fails(413, codes.REQUEST_TOO_LARGE)


@pytest.mark.parametrize("segment", ["%FF", "%C3%28", "%ED%A0%80", "a%80"])
@pytest.mark.parametrize("path", ["/users/{segment}", "/rooms/{segment}", "/rooms/{segment}/messages"])
def test_a_path_that_is_not_utf_8_is_unusable(server: Server, path: str, segment: str) -> None:
    server.su().get(path.format(segment=segment)).fails(422, codes.UNUSABLE_PATH)
