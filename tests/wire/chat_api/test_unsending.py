"""`chat.remove` and `chat.unsend`, row by row (spec §5)."""

from tests.wire.chat_api.client import NOT_ALLOWED, Api, Person, done, refused
from tests.wire.client import Server


def test_a_removed_message_is_gone_for_oneself_alone(anna: Person, ben: Person, direct: str) -> None:
    kept = anna.say(direct, "kept")
    message = anna.say(direct, "removed")
    for _ in range(2):
        done(ben.post("chat.remove", mid=message["id"]), id=message["id"])
    assert ben.replies(direct)[-1] == kept
    assert anna.replies(direct)[-1] == message
    assert ben.info(direct)["last_msg_text"] == "kept"
    assert anna.info(direct)["last_msg_text"] == "removed"


def test_a_removed_file_stays_for_the_others(anna: Person, ben: Person, direct: str) -> None:
    media = anna.file(b"data")
    message = anna.show(direct, media)
    anna.post("chat.remove", mid=message["id"]).read()
    assert ben.get(f"media/content/{media}").body == b"data"


def test_a_removed_message_does_not_count_as_unread(anna: Person, ben: Person) -> None:
    cid = anna.open(ben.id)["id"]
    ben.post("conversations.mark", cid=cid, mid=anna.say(cid)["id"]).read()
    message = anna.say(cid)
    assert ben.info(cid)["unread_count"] == 1
    ben.post("chat.remove", mid=message["id"]).read()
    assert ben.info(cid)["unread_count"] == 0


def test_an_unsent_message_is_a_tombstone_for_all(anna: Person, ben: Person, direct: str) -> None:
    before = anna.say(direct, "before")
    media = anna.file(b"data")
    message = anna.show(direct, media, content={"text": "unsent"})
    assert ben.get(f"media/content/{media}").status == 200
    done(anna.post("chat.unsend", mid=message["id"]), id=message["id"])
    tombstone = ben.replies(direct)[-1]
    assert type(tombstone["unsent_at"]) is int
    assert tombstone == {**message, "unsent_at": tombstone["unsent_at"], "content": None, "attachments": None}
    for someone in (anna, ben):
        assert refused(someone.get(f"media/content/{media}")) == (404, "not_found")
        assert someone.info(direct)["last_msg_text"] == "before"
    done(anna.post("chat.unsend", mid=message["id"]), id=message["id"])
    assert anna.replies(direct)[-2:] == [before, tombstone], "the first time counts"


def test_only_its_author_unsends_a_message(anna: Person, ben: Person, direct: str) -> None:
    message = anna.say(direct)
    assert refused(ben.post("chat.unsend", mid=message["id"])) == NOT_ALLOWED
    assert anna.replies(direct)[-1] == message


def test_a_server_unsends_anything(server: Server, anna: Person, ben: Person, direct: str) -> None:
    message = anna.say(direct)
    done(Api(server, server.server_token()).post("chat.unsend", mid=message["id"]), id=message["id"])
    assert ben.replies(direct)[-1]["unsent_at"]


def test_what_one_removed_one_still_unsends(anna: Person, ben: Person, direct: str) -> None:
    message = anna.say(direct)
    anna.post("chat.remove", mid=message["id"]).read()
    done(anna.post("chat.unsend", mid=message["id"]), id=message["id"])
    assert ben.replies(direct)[-1]["content"] is None


def test_a_tombstone_can_be_removed(anna: Person, ben: Person, direct: str) -> None:
    kept = anna.say(direct, "kept")
    message = anna.say(direct)
    anna.post("chat.unsend", mid=message["id"]).read()
    done(ben.post("chat.remove", mid=message["id"]), id=message["id"])
    assert ben.replies(direct)[-1] == kept


def test_an_upper_case_id_is_the_same(anna: Person, direct: str) -> None:
    message = anna.say(direct)
    done(anna.post("chat.remove", mid=message["id"].upper()), id=message["id"])
