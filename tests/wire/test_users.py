"""One user and batches of users: create, read, update, delete (spec §3 U1-U3, U6, U7, §3.1-§3.3)."""

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, TIMESTAMP, Server, fresh, pass_a_second, path_of

WRONG_NAMES = ["", 5, True, [], ["x"], {}, "x" * 161]


def test_a_user_is_created_as_sent(server: Server) -> None:
    custom_data = {"age": 42, "ratio": 0.5, "nested": {"list": [1, {"two": None}]}}
    sent = {"id": fresh(), "name": "Ann", "avatar_url": "https://a.example/a.png", "custom_data": custom_data}
    reply = server.su().post("/users", sent)
    user = reply.read(201)
    assert len(reply.headers) > 0
    assert {key: user[key] for key in sent} == sent
    assert set(user) == {*sent, "created_at", "updated_at"}
    assert server.su().get(path_of("users", user["id"])).read() == user


def test_fields_that_are_not_set_are_left_out(server: Server) -> None:
    user = server.su().post("/users", {"id": fresh(), "name": "Ann"}).read(201)
    assert set(user) == {"id", "name", "created_at", "updated_at"}


def test_a_new_user_has_whole_second_timestamps(server: Server) -> None:
    user = server.su().post("/users", {"id": fresh(), "name": "Ann"}).read(201)
    assert TIMESTAMP.fullmatch(user["created_at"])
    assert user["updated_at"] == user["created_at"]


def test_an_id_can_be_taken_only_once(server: Server, alice: str) -> None:
    server.su().post("/users", {"id": alice, "name": "Eve"}).fails(400, codes.USER_EXISTS)
    assert server.su().get(f"/users/{alice}").read()["name"] == alice


@pytest.mark.parametrize("field", ["id", "name"])
@pytest.mark.parametrize("null", [True, False])
def test_id_and_name_are_required(server: Server, field: str, null: bool) -> None:
    body: dict[str, object] = {"id": fresh(), "name": "Ann"}
    body.pop(field)
    server.su().post("/users", {**body, field: None} if null else body).refuses(field, "required")


def test_an_empty_body_lacks_the_required_fields(server: Server) -> None:
    assert "is required" in server.su().post("/users").fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize("value", ["", 5, True, [], ["x"], {}, "x" * 161])
def test_a_wrong_id_is_refused(server: Server, value: object) -> None:
    server.su().post("/users", {"id": value, "name": "Ann"}).refuses("id")


@pytest.mark.parametrize("value", WRONG_NAMES)
def test_a_wrong_name_is_refused_on_create(server: Server, value: object) -> None:
    server.su().post("/users", {"id": fresh(), "name": value}).refuses("name")


@pytest.mark.parametrize("value", WRONG_NAMES)
def test_a_wrong_name_is_refused_on_update(server: Server, alice: str, value: object) -> None:
    server.su().put(f"/users/{alice}", {"name": value}).refuses("name")


@pytest.mark.parametrize("value", [5, True, [], ["x"], {}])
def test_a_wrong_avatar_is_refused(server: Server, alice: str, value: object) -> None:
    body = {"id": fresh(), "name": "Ann", "avatar_url": value}
    server.su().post("/users", body).refuses("avatar_url", "invalid")
    server.su().put(f"/users/{alice}", {"avatar_url": value}).refuses("avatar_url", "invalid")


@pytest.mark.parametrize("avatar", ["https://a.example/a.png", "not a url", "/relative"])
def test_any_string_is_an_avatar(server: Server, avatar: str) -> None:
    user = server.new_user(avatar_url=avatar)
    assert server.su().get(f"/users/{user}").read()["avatar_url"] == avatar


def test_id_and_name_may_have_160_characters(server: Server) -> None:
    long = fresh() + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 124
    user = server.new_user(long)
    assert server.su().get(path_of("users", user)).read()["name"] == long


def test_an_unknown_user_is_not_found(server: Server) -> None:
    for method in ("GET", "DELETE", "PUT"):
        body = {"name": "new"} if method == "PUT" else None
        description = server.su().call(method, f"/users/{fresh()}", body).fails(404, codes.USER_NOT_FOUND)
        assert description == "The requested user does not exist"


def test_a_user_may_read_another(server: Server, alice: str, bob: str) -> None:
    assert server.user(alice).get(f"/users/{bob}").read()["id"] == bob


def test_presence_is_not_part_of_a_user(server: Server, alice: str) -> None:
    assert "presence" not in server.user(alice).get(f"/users/{alice}").read()


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_batch_answers_in_the_order_sent(server: Server, wrapped: bool) -> None:
    users = [{"id": fresh(start), "name": start} for start in "jaihbgcfde"]
    created = server.su().post("/batch_users", {"users": users} if wrapped else users).read(201)
    assert [(user["id"], user["name"]) for user in created] == [(user["id"], user["name"]) for user in users]
    assert server.su().get(f"/users/{users[3]['id']}").read() == created[3]


@pytest.mark.parametrize("count", [0, 11])
def test_a_batch_has_one_to_ten_users(server: Server, count: int) -> None:
    users = [{"id": fresh(), "name": "Ann"} for _ in range(count)]
    server.su().post("/batch_users", {"users": users}).fails(422, codes.VALIDATION_FAILED)
    assert all(server.su().get(f"/users/{user['id']}").status == 404 for user in users)


@pytest.mark.parametrize("body", [{}, {"users": None}, {"users": "x"}, {"users": {}}, {"users": [5]}])
def test_a_batch_is_a_list_of_users(server: Server, body: object) -> None:
    server.su().post("/batch_users", body).fails(422, codes.VALIDATION_FAILED)


def test_a_batch_with_a_taken_id_creates_nobody(server: Server, alice: str) -> None:
    new = fresh()
    body = [{"id": new, "name": "New"}, {"id": alice, "name": "Again"}]
    server.su().post("/batch_users", body).fails(400, codes.USER_EXISTS)
    assert server.su().get(f"/users/{new}").status == 404


def test_a_batch_with_a_repeated_id_creates_nobody(server: Server) -> None:
    new = fresh()
    body = [{"id": new, "name": "New"}, {"id": new, "name": "Again"}]
    server.su().post("/batch_users", body).fails(400, codes.USER_EXISTS)
    assert server.su().get(f"/users/{new}").status == 404


def test_a_batch_with_a_wrong_user_creates_nobody(server: Server) -> None:
    new = fresh()
    body = [{"id": new, "name": "New"}, {"id": fresh()}]
    server.su().post("/batch_users", body).fails(422, codes.VALIDATION_FAILED)
    assert server.su().get(f"/users/{new}").status == 404


def test_an_update_replaces_the_given_fields(server: Server) -> None:
    user = server.new_user(avatar_url="old", custom_data={"old": 1, "both": 1})
    server.su(user).put(f"/users/{user}", {"name": "New", "custom_data": {"both": 2}}).done()
    found = server.su().get(f"/users/{user}").read()
    assert (found["name"], found["avatar_url"], found["custom_data"]) == ("New", "old", {"both": 2})


def test_an_update_may_change_everything(server: Server) -> None:
    user = server.new_user(avatar_url="old", custom_data={"old": 1})
    change = {"name": "New", "avatar_url": "new", "custom_data": {"new": {"in": [1]}}}
    server.su(user).put(f"/users/{user}", change).done()
    found = server.su().get(f"/users/{user}").read()
    assert found == {**found, "id": user, **change}


def test_null_in_an_update_keeps_the_field(server: Server) -> None:
    user = server.new_user(avatar_url="old", custom_data={"old": 1})
    body = {"name": None, "avatar_url": None, "custom_data": None}
    server.su().put(f"/users/{user}", body).done()
    found = server.su().get(f"/users/{user}").read()
    assert (found["name"], found["avatar_url"], found["custom_data"]) == (user, "old", {"old": 1})


def test_an_update_bumps_only_updated_at(server: Server, alice: str) -> None:
    before = server.su().get(f"/users/{alice}").read()
    pass_a_second()
    server.su().put(f"/users/{alice}", {"name": "New"}).done()
    after = server.su().get(f"/users/{alice}").read()
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


def test_a_deleted_user_is_gone(server: Server, alice: str) -> None:
    server.su().delete(f"/users/{alice}").done()
    server.su().get(f"/users/{alice}").fails(404, codes.USER_NOT_FOUND)
    server.su().delete(f"/users/{alice}").fails(404, codes.USER_NOT_FOUND)
    assert server.su().get(f"/users_by_ids?id={alice}").read() == []


def test_a_deleted_user_leaves_rooms_and_messages_behind(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    message = server.send(room, alice)
    server.set_cursor(room, alice, message)
    server.su().delete(f"/users/{alice}").done()
    found = server.room(room)
    assert (found["created_by_id"], found["member_user_ids"]) == (alice, [bob])
    assert server.message(room, message)["user_id"] == alice
    assert server.su().get(f"/cursors/0/rooms/{room}", api=CURSORS).read() == []


def test_a_new_user_of_a_deleted_id_starts_afresh(server: Server, alice: str, room: str) -> None:
    server.su().delete(f"/users/{alice}").done()
    server.new_user(alice)
    assert server.rooms_of(alice) == {}
