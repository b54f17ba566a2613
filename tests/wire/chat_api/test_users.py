"""Users (spec §0 rows 4, 4b, 29; §2, §11)."""

import time

import pytest

from tests.wire.chat_api.client import (
    NOBODY,
    PASSWORD,
    USER_KEYS,
    Api,
    Person,
    done,
    log_in,
    person,
    refused,
    refused_json,
    refused_query,
)
from tests.wire.client import Server, path_of
from tests.wire.live.client import Subscriber


def everybody(api: Api, **query: object) -> list[dict[str, object]]:
    """All users, page by page."""
    found: list[dict[str, object]] = []
    while True:
        reply = api.get("users.list", **query)
        found.extend(reply.read())
        after = reply.headers.get("X-Cursor-After")
        if after is None:
            return found
        query["after"] = after


def test_the_list_is_a_bare_array_of_users(anna: Person) -> None:
    users = everybody(anna)
    for user in users:
        assert set(user) == USER_KEYS
    assert {
        "id": anna.id,
        "first_name": "Anna",
        "last_name": "Smith",
        "email": anna.email,
        "last_seen": None,
    } in users


def test_who_was_online_was_seen(server: Server, anna: Person) -> None:
    someone, live = person(server), Subscriber(server, "websocket")
    began = int(time.time() * 1000)

    def last_seen() -> int:
        user = anna.get("users.info", uid=someone.id).read()["user"]
        assert type(user["last_seen"]) is int
        return int(user["last_seen"])

    path, api = path_of("users", someone.id), "chatkit_presence/v2"
    with live.user(path, anna.id, api=api) as watching:
        assert watching.data("presence_state") == {"state": "offline"}
        with live.user(f"{path}/register", someone.id, api=api):
            assert watching.data("presence_state") == {"state": "online"}
            online = last_seen()
        assert watching.data("presence_state") == {"state": "offline"}
        assert began <= online <= last_seen() == last_seen()


def test_the_list_comes_in_pages_if_asked(anna: Person, ben: Person) -> None:
    assert len(anna.get("users.list", limit=1).read()) == 1
    assert everybody(anna, limit=7) == everybody(anna)


def test_a_user_without_an_account_has_one_name_and_no_address(server: Server, anna: Person) -> None:
    user = server.new_user(name="Chatkit Charlie")
    (found,) = [one for one in everybody(anna) if one["first_name"] == "Chatkit Charlie"]
    assert found["last_name"] == ""
    assert found["email"] is None
    assert found["id"] != user, "the API shows uids"


def test_one_user(anna: Person, ben: Person) -> None:
    answer = anna.get("users.info", uid=ben.id).read()
    assert set(answer) == {"ok", "user"}
    assert answer["user"]["first_name"] == "Ben"
    assert set(answer["user"]) == USER_KEYS
    assert anna.get("users.info", uid=ben.id.upper()).read() == answer
    done(anna.get("users.info", uid=NOBODY), user=None)


@pytest.mark.parametrize("query", [{}, {"uid": ""}, {"uid": "x"}, {"uid": "0" * 32}])
def test_no_id(anna: Person, query: dict[str, str]) -> None:
    assert "uid" in refused_query(anna.get("users.info", **query))


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "9" * 30])
def test_no_limit(anna: Person, limit: str) -> None:
    assert "limit" in refused_query(anna.get("users.list", limit=limit))


def test_a_profile_changes_by_the_fields_that_are_given(server: Server) -> None:
    someone = person(server)
    answer = someone.post("users.setProfile", {"first_name": "Annabel"}).read()
    assert answer["ok"] is True
    assert set(answer["user"]) == USER_KEYS
    assert (answer["user"]["first_name"], answer["user"]["last_name"]) == ("Annabel", "Smith")
    assert someone.get("users.info", uid=someone.id).read()["user"] == answer["user"]
    assert someone.post("users.setProfile", {"last_name": "", "x": 1}).read()["user"]["last_name"] == ""


def test_a_new_password_needs_the_old_one_and_ends_other_sessions(server: Server, nobody: Api) -> None:
    someone = person(server)
    other = log_in(server, someone.email)
    wrong = {"password": {"old": "not the password", "new": "another password"}}
    assert refused(someone.post("users.setProfile", wrong)) == (401, "Invalid email or password")
    refused_json(someone.post("users.setProfile", {"password": {"new": "another password"}}))
    refused_json(someone.post("users.setProfile", {"password": {"old": PASSWORD}}))
    refused_json(someone.post("users.setProfile", {"password": {"old": PASSWORD, "new": "short"}}))
    refused_json(someone.post("users.setProfile", {"password": "another password"}))
    someone.post("users.setProfile", {"password": {"old": PASSWORD, "new": "another password"}}).read()
    someone.get("users.info", uid=someone.id).read()
    assert refused(other.get("conversations.list")) == (401, "Unauthorized")
    assert refused(nobody.post("auth/login", {"email": someone.email, "password": PASSWORD}))[0] == 401
    log_in(server, someone.email, "another password")


def test_who_has_no_account_has_no_profile(server: Server) -> None:
    user = Api(server, server.user_token(server.new_user()))
    assert refused(user.post("users.setProfile", {"first_name": "A"})) == (404, "Not found")
