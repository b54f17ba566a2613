"""Calls by way of nginx: whatever a client says arrives as it was said."""

import json

import pytest

from tests.deploy.clients import Front
from tests.wire.client import Server, fresh, path_of

UNUSUAL_IDS = (
    "with spaces",
    "a/b",
    "a//b/",
    "//",
    "..",
    "a/../b",
    "%2F",
    "50%",
    "a+b",
    "#?&=;",
    "\N{GRINNING FACE}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}",
    "e\N{COMBINING ACUTE ACCENT}",
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "quo\"te'`\\",
    "a|b^c{d}",
)


def test_a_user_makes_a_room_and_talks(server: Server) -> None:
    alice = server.new_user(fresh("alice-"))
    room = server.new_room(alice)
    message = server.send(room, alice)
    assert server.message(room, message)["parts"] == [{"type": "text/plain", "content": "hello"}]
    server.su().delete(path_of("rooms", room)).done()
    server.su().get(path_of("rooms", room)).fails(404, "services/chatkit/not_found/room_not_found")


@pytest.mark.parametrize("name", UNUSUAL_IDS)
def test_ids_are_passed_on_byte_by_byte(server: Server, name: str) -> None:
    user_id = fresh(name)
    server.new_user(user_id)
    assert server.su().get(path_of("users", user_id)).read()["id"] == user_id
    server.su().put(path_of("users", user_id), {"name": "another"}).done()
    server.su().delete(path_of("users", user_id)).done()


@pytest.mark.parametrize("name", ["..", "."])
def test_not_even_dots_are_put_straight(server: Server, name: str) -> None:
    """Last, so that nothing is left of a path in which nginx makes them what they are in a file system."""
    server.su().get(f"/users/{name}").fails(404, "services/chatkit/not_found/user_not_found")


def test_what_is_not_encoded_passes_too(server: Server) -> None:
    user_id = server.new_user(fresh("caf\N{LATIN SMALL LETTER E WITH ACUTE}\N{GRINNING FACE}+"))
    assert server.su().get(f"/users/{user_id}").read()["id"] == user_id
    assert server.su().get(f"//users//{path_of(user_id)[1:]}/?").read()["id"] == user_id


def test_tokens_queries_and_heads_may_be_long(server: Server) -> None:
    """By default nginx takes lines of 8 KiB."""
    user_id = server.new_user()
    token = server.server_token(padding="x" * 5000)
    query = "&".join(f"id={fresh()}" for _ in range(249))
    headers = {"X-Padding": "x" * 40_000}
    reply = server.bearer(token).call("GET", f"/users_by_ids?id={user_id}&{query}", headers=headers)
    assert [user["id"] for user in reply.read()] == [user_id]


def test_links_begin_with_what_the_client_asked_for(server: Server) -> None:
    alice = server.new_user()
    room = server.new_room(alice)
    body = {"content_type": "image/png", "content_length": 1, "name": "x"}
    answer = server.su(alice).post(path_of("rooms", room, "attachments"), body).read(201)
    assert answer["upload_url"].startswith(f"https://{server.netloc}/attachments/")


def test_nothing_is_compressed_or_cached(server: Server) -> None:
    reply = server.su().call("GET", "/users", headers={"Accept-Encoding": "gzip, br"})
    assert "Content-Encoding" not in reply.headers
    assert reply.headers["Cache-Control"] == "private, no-store"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_methods_of_any_name_arrive(server: Server) -> None:
    reply = server.su().call("PROPFIND", "/users")
    reply.fails(405, "method_not_allowed")
    assert "SUBSCRIBE" in reply.headers["Allow"]


def test_a_body_without_a_length_arrives(front: Front) -> None:
    """As HTTP/2 has it; towards the gateway it is in chunks."""
    user_id = fresh()
    authorization = {"Authorization": f"Bearer {front.server_token()}"}
    stream = front.connection.open("POST", front.target("chatkit/v6", "/users"), authorization, more=True)
    for piece in (f'{{"id": "{user_id}",', '"name"', ': "in pieces"}'):
        stream.send(piece.encode())
    stream.send(b"", last=True)
    assert json.loads(stream.reply().body)["name"] == "in pieces"
