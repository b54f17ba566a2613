"""Conversations (spec §3, §0 rows 5 to 13 and 23 to 25)."""

from __future__ import annotations

import pytest

from tests.wire.chat_api.client import (
    CONVERSATION_KEYS,
    NOBODY,
    NOT_ALLOWED,
    USER_KEYS,
    UUID,
    Api,
    Person,
    done,
    person,
    refused,
    refused_json,
    refused_query,
)
from tests.wire.client import Server, fresh


def listed(api: Api, **query: object) -> list[str]:
    """The ids of the caller's conversations."""
    answer = api.get("conversations.list", **query).read()
    assert type(answer) is list
    assert all(set(one) == CONVERSATION_KEYS for one in answer)
    return [one["id"] for one in answer]


def test_what_a_conversation_is(server: Server, anna: Person) -> None:
    friend = person(server, "Fred")
    opened = anna.open(friend.id)
    assert UUID.fullmatch(opened["id"])
    assert type(opened["joined_at"]) is int
    people = opened.pop("participants")
    assert opened == {
        "id": opened["id"],
        "created_by": anna.id,
        "conversation_type": "direct",
        "last_msg_text": None,
        "last_msg_uid": None,
        "archived": False,
        "joined_at": opened["joined_at"],
        "unread_count": 0,
    }
    assert {one["id"] for one in people} == {anna.id, friend.id}
    assert all(set(one) == USER_KEYS for one in people)


def test_types_by_the_number_of_people(server: Server, anna: Person, ben: Person, carl: Person) -> None:
    alone = person(server)
    assert alone.open(alone.id)["conversation_type"] == "channel"
    assert anna.open(ben.id)["conversation_type"] == "direct"
    assert anna.open(ben.id, carl.id)["conversation_type"] == "group"


def test_opening_again_gives_the_same_in_any_order(anna: Person, ben: Person, carl: Person) -> None:
    direct = anna.open(ben.id)["id"]
    for someone, users in ((anna, [anna.id, ben.id, ben.id]), (ben, [anna.id]), (anna, [ben.id.upper()])):
        assert someone.open(*users)["id"] == direct
    group = anna.open(ben.id, carl.id)["id"]
    assert carl.open(ben.id, carl.id, anna.id)["id"] == group
    assert group != direct


@pytest.mark.parametrize("body", [{"users": []}, {}, {"users": None}, {"users": "x"}, {"users": ["x"]}, {"users": [1]}])
def test_opening_needs_users(anna: Person, body: object) -> None:
    refused_json(anna.post("conversations.open", body))


def test_opening_with_an_unknown_user(anna: Person, ben: Person) -> None:
    for stranger in (fresh(), NOBODY):
        assert refused(anna.post("conversations.open", {"users": [ben.id, stranger]})) == NOT_ALLOWED


def test_matching_finds_the_exact_set(anna: Person, ben: Person, carl: Person, eve: Person, direct: str) -> None:
    found = ben.post("conversations.match", {"users": [ben.id, anna.id]}).read()
    assert found == {"ok": True, "conversation": ben.info(direct)}
    done(anna.post("conversations.match", {"users": [anna.id, eve.id, carl.id]}), cid=None)
    done(anna.post("conversations.match", {"users": [anna.id, fresh()]}), cid=None)


def test_matching_is_for_those_who_are_in_it(carl: Person, anna: Person, ben: Person) -> None:
    for users in ([anna.id, ben.id], [fresh()], []):
        assert refused(carl.post("conversations.match", {"users": users})) == NOT_ALLOWED
    refused_json(carl.post("conversations.match", {"users": "x"}))


def test_the_list_has_the_newest_activity_first(server: Server, ben: Person, carl: Person) -> None:
    anna = person(server)
    first, second = anna.open(ben.id)["id"], anna.open(carl.id)["id"]
    assert listed(anna) == [second, first]
    ben.say(first)
    assert listed(anna) == [first, second]
    assert listed(anna, limit=1) == [first]
    assert anna.get("conversations.list").read()[0] == anna.info(first)


@pytest.mark.parametrize("path", ["conversations.list", "conversations.replies", "conversations.members"])
@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_no_limit(anna: Person, direct: str, path: str, limit: str) -> None:
    assert "limit" in refused_query(anna.get(path, cid=direct, limit=limit))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "conversations.info"),
        ("GET", "conversations.members"),
        ("GET", "conversations.replies"),
        *[("POST", f"conversations.{verb}") for verb in ("archive", "unarchive", "delete", "join", "leave")],
        *[("POST", f"conversations.{verb}") for verb in ("mark", "typing")],
    ],
)
def test_a_conversation_needs_an_id(anna: Person, method: str, path: str) -> None:
    for query in ("", "?cid=", "?cid=x", "?cid=5", "?x=5"):
        assert "cid" in refused_query(anna.call(method, path + query))


def test_what_one_is_not_in_is_not_there(eve: Person, direct: str) -> None:
    for cid in (direct, fresh(), NOBODY):
        assert eve.info(cid) is None
        for path in ("conversations.members", "conversations.replies"):
            assert refused(eve.get(path, cid=cid)) == NOT_ALLOWED
        for verb in ("archive", "unarchive", "delete", "join", "leave", "typing"):
            assert refused(eve.post(f"conversations.{verb}", cid=cid)) == NOT_ALLOWED
        assert refused(eve.post("conversations.mark", cid=cid, mid=fresh())) == NOT_ALLOWED
        body = {"conversation_id": cid, "users": [eve.id]}
        assert refused(eve.post("conversations.invite", body)) == NOT_ALLOWED


def test_the_last_message_is_told_to_each_reader(anna: Person, ben: Person, direct: str, picture: bytes) -> None:
    anna.say(direct, "words")
    for someone in (anna, ben):
        info = someone.info(direct)
        assert (info["last_msg_text"], info["last_msg_uid"]) == ("words", anna.id)
    anna.show(direct, anna.file(picture))
    assert anna.info(direct)["last_msg_text"] == "You sent a photo"
    assert ben.info(direct)["last_msg_text"] == "Anna sent a photo"
    anna.show(direct, anna.file(picture), anna.file(picture))
    assert ben.info(direct)["last_msg_text"] == "Anna sent 2 photos"
    anna.show(direct, anna.file(picture), anna.file(b"words"))
    assert ben.info(direct)["last_msg_text"] == "Anna sent 2 files"


def test_members(anna: Person, ben: Person, carl: Person, group: str) -> None:
    members = ben.get("conversations.members", cid=group).read()
    assert {one["id"] for one in members} == {anna.id, ben.id, carl.id}
    assert all(set(one) == USER_KEYS for one in members)
    assert members[0]["id"] == anna.id
    assert ben.get("conversations.members", cid=group, limit=2).read() == members[:2]


def test_archiving_is_ones_own_matter(anna: Person, ben: Person, direct: str) -> None:
    for _ in range(2):
        done(anna.post("conversations.archive", cid=direct))
    assert anna.info(direct)["archived"] is True
    assert direct in listed(anna)
    assert ben.info(direct)["archived"] is False
    for _ in range(2):
        done(anna.post("conversations.unarchive", cid=direct))
    assert anna.info(direct)["archived"] is False
    anna.post("conversations.archive", cid=direct).read()
    ben.say(direct)
    assert anna.info(direct)["archived"] is False


def test_deleting_a_direct_conversation_hides_its_history(server: Server, ben: Person) -> None:
    anna = person(server)
    cid = anna.open(ben.id)["id"]
    message = ben.say(cid, "old")
    for _ in range(2):
        done(anna.post("conversations.delete", cid=cid))
    assert anna.replies(cid) == []
    assert ben.replies(cid) == [message]
    new = ben.say(cid, "new")
    assert anna.replies(cid) == [new]
    assert anna.open(ben.id)["id"] == cid


def test_deleting_somebody_elses_group_leaves_it(server: Server, ben: Person, carl: Person) -> None:
    anna = person(server)
    cid = ben.open(anna.id, carl.id)["id"]
    for _ in range(2):
        done(anna.post("conversations.delete", cid=cid))
    assert anna.info(cid) is None
    assert ben.info(cid) is not None
    ben.post("conversations.invite", {"conversation_id": cid, "users": [anna.id]}).read()
    assert anna.info(cid) is not None
    done(anna.post("conversations.delete", cid=cid))
    assert anna.info(cid) is None


def test_deleting_ones_own_group_deletes_it_for_everybody(server: Server, ben: Person, carl: Person) -> None:
    anna = person(server)
    cid = anna.open(ben.id, carl.id)["id"]
    for _ in range(2):
        done(anna.post("conversations.delete", cid=cid))
    assert anna.info(cid) is None
    assert ben.info(cid) is None
    assert cid not in listed(carl)
    assert refused(ben.post("conversations.delete", cid=cid)) == NOT_ALLOWED


def test_deleting_a_channel_leaves_it_or_ends_it(server: Server, eve: Person) -> None:
    owner = person(server)
    channel = owner.open(owner.id)["id"]
    eve.post("conversations.join", cid=channel).read()
    done(eve.post("conversations.delete", cid=channel))
    assert eve.info(channel) is None
    assert [one["id"] for one in owner.info(channel)["participants"]] == [owner.id]
    eve.post("conversations.join", cid=channel).read()
    done(owner.post("conversations.delete", cid=channel))
    assert refused(eve.post("conversations.join", cid=channel)) == NOT_ALLOWED


def test_who_leaves_a_group_sees_it_no_longer(server: Server, ben: Person, carl: Person) -> None:
    anna = person(server)
    group = anna.open(ben.id, carl.id)["id"]
    media = anna.file(b"data")
    message = anna.show(group, media)
    assert carl.get(f"media/content/{media}").status == 200
    done(carl.post("conversations.leave", cid=group))
    assert carl.info(group) is None
    assert refused(carl.get("conversations.replies", cid=group)) == NOT_ALLOWED
    assert refused(carl.post("chat.remove", mid=message["id"])) == NOT_ALLOWED
    assert refused(carl.get(f"media/content/{media}")) == (404, "not_found")
    assert anna.info(group)["conversation_type"] == "group", "with two members it is still none of two"
    assert anna.open(ben.id)["id"] != group


def test_members_say_that_they_are_typing(anna: Person, ben: Person, direct: str, group: str) -> None:
    for someone in (anna, ben):
        for cid in (direct, group):
            done(someone.post("conversations.typing", cid=cid))


def test_marking_reads_up_to_a_message(server: Server, ben: Person, group: str) -> None:
    anna = person(server)
    cid = anna.open(ben.id)["id"]
    messages = [ben.say(cid)["id"] for _ in range(3)]
    assert anna.info(cid)["unread_count"] == 3
    done(anna.post("conversations.mark", cid=cid, mid=messages[1]))
    assert anna.info(cid)["unread_count"] == 1
    elsewhere = ben.say(group)["id"]
    for mid in (elsewhere, fresh()):
        assert refused(anna.post("conversations.mark", cid=cid, mid=mid)) == NOT_ALLOWED
    assert "mid" in refused_query(anna.post("conversations.mark", cid=cid))


def test_anybody_joins_and_leaves_a_channel(server: Server, eve: Person) -> None:
    owner = person(server)
    channel = owner.open(owner.id)["id"]
    assert eve.info(channel) is None
    assert refused(eve.get("conversations.replies", cid=channel)) == NOT_ALLOWED
    assert refused(eve.post("chat.postMessage", {"conversation_id": channel, "content": {"text": "x"}})) == NOT_ALLOWED
    assert refused(eve.post("conversations.leave", cid=channel)) == NOT_ALLOWED
    for _ in range(2):
        joined = eve.post("conversations.join", cid=channel).read()
        assert joined == {"ok": True, "conversation": eve.info(channel)}
    eve.say(channel)
    done(eve.post("conversations.leave", cid=channel))
    assert eve.info(channel) is None


def test_nobody_joins_what_is_not_public(anna: Person, eve: Person, direct: str, group: str) -> None:
    for someone in (eve, anna):
        for cid in (direct, group):
            assert refused(someone.post("conversations.join", cid=cid)) == NOT_ALLOWED


def test_members_invite_into_groups_and_channels(server: Server, ben: Person, carl: Person, eve: Person) -> None:
    anna = person(server)
    group = anna.open(ben.id, carl.id)["id"]
    invited = carl.post("conversations.invite", {"conversation_id": group, "users": [eve.id]}).read()
    assert invited == {"ok": True, "conversation": carl.info(group)}
    assert eve.id in {one["id"] for one in invited["conversation"]["participants"]}
    eve.say(group)
    assert refused(anna.post("conversations.invite", {"conversation_id": group, "users": [fresh()]})) == NOT_ALLOWED
    refused_json(anna.post("conversations.invite", {"conversation_id": group, "users": []}))
    refused_json(anna.post("conversations.invite", {"users": [eve.id]}))


def test_a_direct_conversation_stays_between_two(anna: Person, ben: Person, carl: Person, direct: str) -> None:
    for someone in (carl, ben, anna):
        body = {"conversation_id": direct, "users": [someone.id]}
        assert refused(anna.post("conversations.invite", body)) == NOT_ALLOWED
    assert refused(anna.post("conversations.leave", cid=direct)) == NOT_ALLOWED
    assert {one["id"] for one in anna.info(direct)["participants"]} == {anna.id, ben.id}
