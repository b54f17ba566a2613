"""Reserving, uploading and refreshing attachments (spec §6.1, §6.2, §6.4; faults #4, #12)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import TIMESTAMP, V2, Server, fresh, inline, path_of
from tests.wire.files import DATA, at, attach, attachment_of, reserve, upload

MANY = b"0123456789abcdef" * 200_000
"""More than a JSON body may have."""


def body(**fields: object) -> dict[str, object]:
    return {"content_type": "image/png", "content_length": 5, **fields}


@pytest.mark.parametrize("version", ["v3", "v4", "v5", "v6", "v7"])
def test_a_reservation_is_two_strings(server: Server, alice: str, room: str, version: str) -> None:
    reply = server.user(alice).post(f"/rooms/{room}/attachments", body(), api=f"chatkit/{version}")
    answer = reply.read(201)
    assert set(answer) == {"attachment_id", "upload_url"}
    assert all(type(value) is str for value in answer.values())
    assert answer["upload_url"].startswith(f"http://{server.netloc}/")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_text_versions_reserve_nothing(server: Server, alice: str, room: str, version: str) -> None:
    server.user(alice).post(f"/rooms/{room}/attachments", body(), api=f"chatkit/{version}").fails(404)


@pytest.mark.parametrize("content_type", [None, "", 5, True, [], {}, ["image/png"]], ids=repr)
def test_a_content_type_is_required(server: Server, alice: str, room: str, content_type: object) -> None:
    reply = server.user(alice).post(f"/rooms/{room}/attachments", body(content_type=content_type))
    assert reply.fails(422, codes.VALIDATION_FAILED) == "Field `content_type` is invalid"


def test_without_a_content_type_it_is_the_same(server: Server, alice: str, room: str) -> None:
    reply = server.user(alice).post(f"/rooms/{room}/attachments", {"content_length": 5})
    assert reply.fails(422, codes.VALIDATION_FAILED) == "Field `content_type` is invalid"


@pytest.mark.parametrize("length", [None, -1, "5", 5.5, True, [], {}, 2**63], ids=repr)
def test_a_content_length_is_a_size(server: Server, alice: str, room: str, length: object) -> None:
    server.user(alice).post(f"/rooms/{room}/attachments", body(content_length=length)).refuses("content_length")


def test_a_file_can_be_announced_too_large(server: Server, alice: str, room: str) -> None:
    reply = server.user(alice).post(f"/rooms/{room}/attachments", body(content_length=2**50))
    reply.fails(413, codes.FILE_TOO_LARGE)


@pytest.mark.parametrize(
    "name",
    [
        "figure.png",
        "my figure (1).png",
        "a/b\\c: what? & \"this\" 'too' %2F;=,.png",
        "https://a.example/b.png?c=d&e#f",
        "\N{GRINNING FACE} e\N{COMBINING ACUTE ACCENT}",
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\temp\\x",
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
        "line\r\nbreak",
        "x" * 4096,
        " ",
    ],
)
def test_a_name_comes_back_as_it_is(server: Server, alice: str, room: str, name: str) -> None:
    reserved = attach(server, room, alice, name=name)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    assert attachment["name"] == name
    assert at(server, attachment["download_url"]).body == DATA


@pytest.mark.parametrize(
    "name", ["x" * 5000, "\N{GRINNING FACE}" * 1250, "a\0b", 5, [], {}], ids=lambda name: repr(name)[:9]
)
def test_what_is_no_name(server: Server, alice: str, room: str, name: object) -> None:
    server.user(alice).post(f"/rooms/{room}/attachments", body(name=name)).refuses("name")


@pytest.mark.parametrize("fields", [{}, {"name": ""}, {"name": None}], ids=repr)
def test_without_a_name_there_is_one(server: Server, alice: str, room: str, fields: dict[str, Any]) -> None:
    reserved = attach(server, room, alice, **fields)
    assert attachment_of(server, room, server.send(room, alice, reserved.part))["name"]


@pytest.mark.parametrize("key", ["custom_data", "customData"])
@pytest.mark.parametrize(
    "custom_data",
    ["bare", "", 5, 0, 1.5, True, False, [], {}, {"foo": "bar"}, {"a": [{"b": None}], "c": {}}, [1, [2]]],
    ids=repr,
)
def test_custom_data_is_any_json(server: Server, alice: str, room: str, key: str, custom_data: object) -> None:
    named: dict[str, Any] = {key: custom_data}
    reserved = attach(server, room, alice, **named)
    found = attachment_of(server, room, server.send(room, alice, reserved.part))["custom_data"]
    assert (found, type(found)) == (custom_data, type(custom_data))


@pytest.mark.parametrize("fields", [{}, {"custom_data": None}], ids=repr)
def test_unset_custom_data_is_left_out(server: Server, alice: str, room: str, fields: dict[str, Any]) -> None:
    reserved = attach(server, room, alice, **fields)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    assert set(attachment) == {"id", "download_url", "refresh_url", "expiration", "name", "size"}


@pytest.mark.parametrize("custom_data", ["x" * 10_000, {"a": 2**53 + 1}], ids=["large", "integer"])
def test_custom_data_has_limits(server: Server, alice: str, room: str, custom_data: object) -> None:
    server.user(alice).post(f"/rooms/{room}/attachments", body(custom_data=custom_data)).refuses("custom_data")


def test_other_fields_are_ignored(server: Server, alice: str, room: str) -> None:
    reserve(server.user(alice), room, origin="https://app.example", url=[], id="x")


def test_who_may_reserve(server: Server, alice: str, bob: str, room: str) -> None:
    path = f"/rooms/{room}/attachments"
    server.nobody.post(path, body()).fails(401, codes.MISSING_TOKEN)
    server.user(bob).post(path, body()).fails(403, codes.NOT_A_MEMBER)
    assert server.su(alice).post(path, body()).status == 201
    assert server.su().post(path, body()).status == 201
    server.user(alice).post(path_of("rooms", fresh(), "attachments"), body()).fails(404, codes.ROOM_NOT_FOUND)


@pytest.mark.parametrize("data", [b"", b"x", DATA, MANY], ids=len)
def test_an_upload_comes_back(server: Server, alice: str, room: str, data: bytes) -> None:
    reserved = attach(server, room, alice, data)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    assert attachment["size"] == len(data)
    reply = at(server, attachment["download_url"])
    assert (reply.status, reply.body == data) == (200, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "image/png"},
        {"Content-Type": "application/json"},
        {"Authorization": "Bearer nonsense"},
        {"Origin": "null"},
    ],
    ids=repr,
)
def test_an_upload_needs_nothing_but_its_url(server: Server, alice: str, room: str, headers: dict[str, str]) -> None:
    upload(server, reserve(server.user(alice), room).upload_url, DATA, headers)


def test_an_upload_in_http_chunks(server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room)
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (DATA[:7], DATA[7:])) + b"0\r\n\r\n"
    target = reserved.upload_url.removeprefix(f"http://{server.netloc}")
    assert server.request("PUT", target, {"Transfer-Encoding": "chunked"}, chunked).status == 200


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x", MANY], ids=len)
def test_an_upload_has_the_announced_size(server: Server, alice: str, room: str, data: bytes) -> None:
    reserved = reserve(server.user(alice), room)
    at(server, reserved.upload_url, "PUT", data).fails(400, codes.SIZE_MISMATCH)
    upload(server, reserved.upload_url)


def test_an_upload_may_be_repeated(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    download_url = server.user(alice).get(f"/rooms/{room}/attachments/{reserved.id}").read()["download_url"]
    before = at(server, download_url)
    upload(server, reserved.upload_url, DATA[::-1])
    after = at(server, download_url)
    assert (before.body, after.body) == (DATA, DATA[::-1])
    assert before.headers["ETag"] != after.headers["ETag"]


def test_what_was_sent_stays_as_it_is(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    at(server, reserved.upload_url, "PUT", DATA[::-1]).fails(400, codes.ATTACHMENT_IN_USE)
    assert at(server, attachment["download_url"]).body == DATA


def test_an_upload_whose_answer_was_lost_may_be_repeated(server: Server, alice: str, room: str) -> None:
    """Though its message was sent meanwhile: the bytes are the same."""
    reserved = reserve(server.user(alice), room)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    for _ in range(2):
        upload(server, reserved.upload_url)
    assert at(server, attachment["download_url"]).body == DATA


def test_the_bytes_may_follow_the_message(server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    upload(server, reserved.upload_url)
    assert at(server, attachment["download_url"]).body == DATA


def test_a_stale_signature_uploads_nothing(server: Server, alice: str, room: str) -> None:
    reserved, other = reserve(server.user(alice), room), reserve(server.user(alice), room)
    base, _, signature = reserved.upload_url.partition("?signature=")
    changed = signature[:-5] + ("a" if signature[-5] != "a" else "b") + signature[-4:]
    download_url = server.user(alice).get(f"/rooms/{room}/attachments/{reserved.id}").read()["download_url"]
    for url in (base, f"{base}?signature=", f"{base}?signature=x", f"{base}?signature={changed}", download_url):
        at(server, url, "PUT", DATA).fails(403, codes.SIGNATURE_INVALID)
    at(server, other.upload_url).fails(403, codes.SIGNATURE_INVALID)
    at(server, other.upload_url.replace(other.id, reserved.id), "PUT", DATA).fails(403, codes.SIGNATURE_INVALID)
    upload(server, other.upload_url)


def test_a_refused_upload_leaves_the_connection_whole(server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room)
    for _ in range(3):
        at(server, reserved.upload_url + "x", "PUT", MANY).fails(403)
        assert server.su().get(f"/rooms/{room}").status == 200


def test_a_refresh_is_the_attachment_again(server: Server, alice: str, bob: str, room: str) -> None:
    reserved = attach(server, room, alice, name="n", custom_data={"a": 1})
    sent = attachment_of(server, room, server.send(room, alice, reserved.part))
    path = f"/rooms/{room}/attachments/{reserved.id}"
    assert sent["refresh_url"] == f"http://{server.netloc}" + server.target("chatkit/v6", path)
    for caller in (server.user(alice), server.user(bob), server.su()):
        refreshed = caller.get(path).read()
        assert at(server, refreshed["download_url"]).body == DATA
        assert TIMESTAMP.fullmatch(refreshed["expiration"])
        left = datetime.fromisoformat(refreshed["expiration"]) - datetime.now(
            datetime.fromisoformat("2020-01-01T00:00Z").tzinfo
        )
        assert timedelta(minutes=30) < left <= timedelta(hours=24)
        assert {**refreshed, "download_url": 0, "expiration": 0} == {**sent, "download_url": 0, "expiration": 0}


def test_a_refresh_in_every_version_with_parts(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    path = f"/rooms/{room}/attachments/{reserved.id}"
    for version in ("v3", "v4", "v5", "v6", "v7"):
        assert server.su().get(path, api=f"chatkit/{version}").status == 200
    server.su().get(path, api=V2).fails(404)


def test_who_may_refresh(server: Server, alice: str, bob: str, private_room: str) -> None:
    reserved = attach(server, private_room, alice)
    server.send(private_room, alice, reserved.part)
    path = f"/rooms/{private_room}/attachments/{reserved.id}"
    server.nobody.get(path).fails(401, codes.MISSING_TOKEN)
    server.user(bob).get(path).fails(403)
    assert server.user(alice).get(path).status == 200


def test_what_cannot_be_refreshed(server: Server, alice: str, bob: str, room: str) -> None:
    unused = attach(server, room, alice)
    elsewhere = server.new_room(alice)
    server.user(alice).get(f"/rooms/{elsewhere}/attachments/{unused.id}").fails(404, codes.ATTACHMENT_NOT_FOUND)
    server.user(bob).get(f"/rooms/{room}/attachments/{unused.id}").fails(404, codes.ATTACHMENT_NOT_FOUND)
    for unknown in ("x", fresh(), "a/b"):
        path = path_of("rooms", room, "attachments", unknown)
        server.user(alice).get(path).fails(404, codes.ATTACHMENT_NOT_FOUND)
    path = path_of("rooms", fresh(), "attachments", unused.id)
    server.user(alice).get(path).fails(404, codes.ROOM_NOT_FOUND)


def test_a_path_with_a_plus_may_mean_a_space(server: Server, alice: str) -> None:
    room = server.new_room(alice, id=fresh("a room "))
    path = path_of("rooms", room, "attachments").replace("%20", "+")
    assert server.user(alice).post(path, body()).status == 201


def test_a_message_without_its_text(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    message = server.message(room, server.send(room, alice, reserved.part, inline("x")))
    assert [sorted(part) for part in message["parts"]] == [["attachment", "type"], ["content", "type"]]
