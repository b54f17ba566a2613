"""What Android's SDK and its suite call, each in the version that they call it in (spec §13, A.2 to A.7)."""

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V7, Server, fresh, inline, path_of
from tests.wire.files import DATA, at, upload


def test_users_in_v7(server: Server) -> None:
    first, second, third = (fresh("user-") for _ in range(3))
    su = server.su()
    created = su.post("/users", {"id": first, "name": "Ann", "avatar_url": None, "custom_data": {"a": 1}}, api=V7)
    assert created.read(201).items() >= {"id": first, "name": "Ann", "custom_data": {"a": 1}}.items()
    batch = {"users": [{"id": second, "name": "Bea"}, {"id": third, "name": "Cleo"}]}
    assert [user["id"] for user in su.post("/batch_users", batch, api=V7).read(201)] == [second, third]
    caller = server.user(first)
    found = caller.get(f"/users_by_ids?id={first}&id={third}&id={fresh()}", api=V7).read()
    assert {user["id"] for user in found} == {first, third}
    su.put(path_of("users", first), {"name": "Anna", "custom_data": None}, api=V7).done()
    updated = caller.get(path_of("users", first), api=V7).read()
    assert (updated["name"], updated["custom_data"]) == ("Anna", {"a": 1})
    assert "avatar_url" not in updated
    su.delete(path_of("users", second), api=V7).done()
    caller.get(path_of("users", second), api=V7).fails(404, codes.USER_NOT_FOUND)


def test_messages_of_parts_in_v7(server: Server, alice: str, room: str) -> None:
    caller, path = server.user(alice), path_of("rooms", room, "messages")
    sent = caller.post(path, {"parts": [inline("one")]}, api=V7).read(201)
    assert set(sent) == {"message_id"}
    caller.post(path_of("rooms", room, "typing_indicators"), b"", api=V7).done()
    message = f"{path}/{sent['message_id']}"
    server.su(alice).put(message, {"parts": [inline("two")]}, api=V7).done()
    (found,) = caller.get(f"{path}?limit=2&direction=older", api=V7).read()
    assert found["parts"] == [inline("two")]
    assert caller.get(message, api=V7).read() == found
    server.su().delete(message, api=V7).done()
    caller.get(message, api=V7).fails(404, codes.MESSAGE_NOT_FOUND)


def test_attachments_in_v7(server: Server, alice: str, room: str) -> None:
    caller, path = server.user(alice), path_of("rooms", room, "attachments")
    body = {"content_type": "image/png", "content_length": len(DATA), "origin": "https://app.example"}
    reserved = caller.post(path, body, api=V7).read(201)
    upload(server, reserved["upload_url"])
    part = {"type": "image/png", "attachment": {"id": reserved["attachment_id"]}}
    messages = path_of("rooms", room, "messages")
    caller.post(messages, {"parts": [part]}, api=V7).read(201)
    (message,) = caller.get(messages, api=V7).read()
    assert at(server, message["parts"][0]["attachment"]["download_url"]).body == DATA
    refreshed = caller.get(f"{path}/{reserved['attachment_id']}", api=V7).read()
    assert at(server, refreshed["download_url"]).body == DATA


def test_texts_and_deletion_in_v2_and_cursors_beside_v7(server: Server, alice: str) -> None:
    caller = server.user(alice)
    room = caller.post("/rooms", {"name": "x", "created_by_id": alice}, api=V7).read(201)["room"]["id"]
    messages = path_of("rooms", room, "messages")
    sent = caller.post(messages, {"text": "hi", "user_id": alice}, api=V2).read(201)["message_id"]
    assert caller.get(messages, api=V7).read()[0]["parts"] == [inline("hi")]
    cursor = path_of("cursors", "0", "rooms", room, "users", alice)
    assert caller.put(cursor, {"position": sent}, api=CURSORS).read(201) == {}
    (state,) = caller.get(path_of("users", alice, "rooms"), api=V7).read()["read_states"]
    assert (state["unread_count"], state["cursor"]["position"]) == (0, sent)
    server.su().delete(path_of("rooms", room), api=V2).done()
    server.su().get(path_of("rooms", room), api=V7).fails(404, codes.ROOM_NOT_FOUND)
