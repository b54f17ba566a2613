"""One message: send, read, edit, delete (spec §5.1, §5.2, M1, M3-M6)."""

import pytest

from tests.wire import codes
from tests.wire.client import TIMESTAMP, V2, V6, Server, fresh, inline, link, pass_a_second

FIRST_ID = 1_000_000
UNKNOWN_ID = 4321
"""Below every real id, as the numbers that the SDKs' suites make up."""

TEXT = {"text": "hello"}
PARTS = {"parts": [inline()]}
each_dialect = pytest.mark.parametrize(("api", "body"), [(V2, TEXT), (V6, PARTS)], ids=["text", "parts"])


def test_a_message_comes_back_field_for_field(server: Server, alice: str, room: str) -> None:
    parts = [inline("see this"), link()]
    message = server.send(room, alice, *parts)
    found = server.message(room, message)
    assert set(found) == {"id", "user_id", "room_id", "parts", "created_at", "updated_at"}
    assert (found["id"], found["user_id"], found["room_id"]) == (message, alice, room)
    assert found["parts"] == parts
    assert TIMESTAMP.fullmatch(found["created_at"])
    assert found["updated_at"] == found["created_at"]
    assert server.su().get(f"/rooms/{room}/messages").read() == [found]


def test_a_text_message_comes_back_field_for_field(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "hello")
    found = server.message(room, message, V2)
    assert set(found) == {"id", "user_id", "room_id", "text", "created_at", "updated_at"}
    assert (found["id"], found["user_id"], found["room_id"]) == (message, alice, room)
    assert found["text"] == "hello"
    assert found["updated_at"] == found["created_at"]


@each_dialect
def test_sending_answers_with_an_integer_and_nothing_else(
    server: Server, alice: str, room: str, api: str, body: object
) -> None:
    answer = server.user(alice).post(f"/rooms/{room}/messages", body, api=api).read(201)
    assert set(answer) == {"message_id"}
    assert type(answer["message_id"]) is int


def test_ids_rise_over_all_rooms_of_the_instance(server: Server, alice: str) -> None:
    rooms = [server.new_room(alice), server.new_room(alice)]
    messages = [server.send(rooms[number % 2], alice) for number in range(6)]
    assert messages == sorted(set(messages))
    assert messages[0] >= FIRST_ID
    assert messages[-1] < 2**31


def test_the_id_of_a_deleted_message_is_not_used_again(server: Server, alice: str, room: str) -> None:
    deleted = server.send(room, alice)
    server.su().delete(f"/rooms/{room}/messages/{deleted}").done()
    assert server.send(room, alice) > deleted


@each_dialect
def test_an_unknown_room_takes_no_message(server: Server, alice: str, api: str, body: object) -> None:
    reply = server.user(alice).post(f"/rooms/{fresh()}/messages", body, api=api)
    reply.fails(404, codes.ROOM_NOT_FOUND)


@each_dialect
def test_a_user_must_be_a_member_to_send(server: Server, bob: str, room: str, api: str, body: object) -> None:
    server.user(bob).post(f"/rooms/{room}/messages", body, api=api).fails(403, codes.NOT_A_MEMBER)
    assert server.su().get(f"/rooms/{room}/messages").read() == []


def test_a_former_member_cannot_send(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    server.user(bob).post(f"/users/{bob}/rooms/{room}/leave").done()
    server.user(bob).post(f"/rooms/{room}/messages", PARTS).fails(403, codes.NOT_A_MEMBER)


def test_a_superuser_sends_as_its_subject_who_must_be_a_member(server: Server, bob: str, room: str) -> None:
    server.su(bob).post(f"/rooms/{room}/messages", PARTS).fails(403, codes.NOT_A_MEMBER)


@each_dialect
def test_sending_needs_an_actor(server: Server, room: str, api: str, body: object) -> None:
    server.su().post(f"/rooms/{room}/messages", body, api=api).fails(422, codes.VALIDATION_FAILED)


def test_a_text_message_without_actor_may_name_its_sender(server: Server, alice: str, room: str) -> None:
    reply = server.su().post(f"/rooms/{room}/messages", {**TEXT, "sender_id": alice}, api=V2)
    assert server.message(room, reply.read(201)["message_id"])["user_id"] == alice


def test_a_named_sender_counts_only_without_a_subject(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    for caller in (server.su(alice), server.user(alice)):
        reply = caller.post(f"/rooms/{room}/messages", {**TEXT, "sender_id": bob}, api=V2)
        assert server.message(room, reply.read(201)["message_id"])["user_id"] == alice


def test_a_named_sender_counts_only_in_the_text_dialect(server: Server, alice: str, room: str) -> None:
    body = {**PARTS, "sender_id": alice}
    server.su().post(f"/rooms/{room}/messages", body).fails(422, codes.VALIDATION_FAILED)


@each_dialect
def test_a_user_id_in_the_body_is_ignored(
    server: Server, alice: str, bob: str, room: str, api: str, body: dict[str, object]
) -> None:
    reply = server.user(alice).post(f"/rooms/{room}/messages", {**body, "user_id": bob}, api=api)
    assert server.message(room, reply.read(201)["message_id"])["user_id"] == alice


def test_a_stranger_reads_a_message_of_a_public_room(server: Server, alice: str, bob: str, room: str) -> None:
    message = server.send(room, alice)
    assert server.user(bob).get(f"/rooms/{room}/messages/{message}").read()["id"] == message


def test_a_stranger_reads_no_message_of_a_private_room(server: Server, alice: str, bob: str, private_room: str) -> None:
    message = server.send(private_room, alice)
    for api in (V2, V6):
        reply = server.user(bob).get(f"/rooms/{private_room}/messages/{message}", api=api)
        reply.fails(403)
        assert reply.json["error"].startswith(codes.FORBIDDEN)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("api", [V2, V6])
def test_a_message_that_is_not_in_the_room_is_not_found(
    server: Server, alice: str, room: str, method: str, api: str
) -> None:
    elsewhere = server.send(server.new_room(alice), alice)
    deleted = server.send(room, alice)
    server.su().delete(f"/rooms/{room}/messages/{deleted}").done()
    body = {**TEXT, **PARTS} if method == "PUT" else None
    for message in (UNKNOWN_ID, elsewhere, deleted, 2**31 - 1):
        reply = server.su(alice).call(method, f"/rooms/{room}/messages/{message}", body, api)
        reply.fails(404, codes.MESSAGE_NOT_FOUND)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("GET", codes.MESSAGE_NOT_FOUND),  # the SDKs' suites compare this one (spec A.4)
        ("PUT", codes.ROOM_NOT_FOUND),
        ("DELETE", codes.ROOM_NOT_FOUND),
    ],
)
def test_a_message_of_an_unknown_room_is_not_found(
    server: Server, alice: str, room: str, method: str, code: str
) -> None:
    message = server.send(room, alice)
    body = PARTS if method == "PUT" else None
    server.su(alice).call(method, f"/rooms/{fresh()}/messages/{message}", body).fails(404, code)


@each_dialect
def test_an_edit_replaces_the_content(server: Server, alice: str, room: str, api: str, body: object) -> None:
    message = server.send(room, alice, inline("old"), link())
    server.su(alice).put(f"/rooms/{room}/messages/{message}", body, api=api).done()
    assert server.message(room, message)["parts"] == [inline()]
    assert server.message(room, message, V2)["text"] == "hello"


@each_dialect
def test_an_edit_of_a_text_message_drops_its_attachment(
    server: Server, alice: str, room: str, api: str, body: object
) -> None:
    message = server.send_text(room, alice, "old", resource_link="https://a.example/a.png", type="image")
    server.su(alice).put(f"/rooms/{room}/messages/{message}", body, api=api).done()
    assert "attachment" not in server.message(room, message, V2)
    assert server.message(room, message)["parts"] == [inline()]


def test_an_edit_changes_nothing_but_content_and_updated_at(server: Server, alice: str, room: str) -> None:
    message = server.send(room, alice, inline("old"))
    before = server.message(room, message)
    pass_a_second()
    server.su(alice).put(f"/rooms/{room}/messages/{message}", PARTS).done()
    after = server.message(room, message)
    assert after["updated_at"] > before["updated_at"]
    assert after == {**before, "parts": [inline()], "updated_at": after["updated_at"]}


def test_an_edit_by_another_actor_keeps_the_sender(server: Server, alice: str, bob: str, room: str) -> None:
    message = server.send(room, alice, inline("old"))
    server.su(bob).put(f"/rooms/{room}/messages/{message}", PARTS).done()
    found = server.message(room, message)
    assert (found["user_id"], found["parts"]) == (alice, [inline()])


@each_dialect
def test_an_edit_needs_an_actor(server: Server, alice: str, room: str, api: str, body: object) -> None:
    message = server.send(room, alice)
    reply = server.su().put(f"/rooms/{room}/messages/{message}", body, api=api)
    reply.fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize(
    ("api", "path"),
    [(V6, "/rooms/{room}/messages/{message}"), (V2, "/messages/{message}"), (V6, "/messages/{message}")],
)
def test_a_deleted_message_is_gone(server: Server, alice: str, room: str, api: str, path: str) -> None:
    kept, message = server.send(room, alice), server.send(room, alice)
    where = path.format(room=room, message=message)
    server.su().delete(where, api=api).done()
    server.su().get(f"/rooms/{room}/messages/{message}").fails(404, codes.MESSAGE_NOT_FOUND)
    assert [found["id"] for found in server.su().get(f"/rooms/{room}/messages").read()] == [kept]
    server.su().delete(where, api=api).fails(404, codes.MESSAGE_NOT_FOUND)


def test_an_unknown_message_without_a_room_is_not_found(server: Server) -> None:
    server.su().delete(f"/messages/{UNKNOWN_ID}", api=V2).fails(404, codes.MESSAGE_NOT_FOUND)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("message", ["undefined", "1.5", "0x10", "1e6"])
def test_a_message_id_that_is_no_number_is_unusable(
    server: Server, alice: str, room: str, method: str, message: str
) -> None:
    body = PARTS if method == "PUT" else None
    reply = server.su(alice).call(method, f"/rooms/{room}/messages/{message}", body)
    reply.fails(422, codes.UNUSABLE_PATH)
