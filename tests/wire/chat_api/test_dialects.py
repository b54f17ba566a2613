"""One message as each dialect shows it (spec §11), against golden files.

`ROOMLINE_GOLDEN=write pytest …` writes the files anew: look at the difference before you keep it.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.wire import codes
from tests.wire.chat_api.client import NOBODY, Person, person
from tests.wire.client import V2, V6, Caller, Server, path_of
from tests.wire.files import attach

GOLDEN = Path(__file__).parent / "golden"
SHOWN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|https?://\S+/attachments/\S+|https?://\S+/services/\S+")


class Talk:
    """A conversation of two people that no other test uses, as both dialects see it."""

    def __init__(self, server: Server, anna: Person, ben: Person) -> None:
        self.server, self.anna, self.ben = server, anna, ben
        self.cid = str(anna.open(ben.id)["id"])
        (room,) = server.rooms_of(anna.id).values()
        self.room = str(room["id"])
        self.chatkit: Caller = server.user(anna.id)

    def send(self, *parts: dict[str, object]) -> None:
        """Send parts through Chatkit."""
        self.server.send(self.room, self.anna.id, *parts)

    def newest(self, api: str) -> Any:
        """The newest message in a version of Chatkit."""
        return self.chatkit.get(path_of("rooms", self.room, "messages") + "?limit=1", api=api).read()[0]

    def pictures(self) -> dict[str, object]:
        """The newest message in all dialects, without what differs from run to run."""
        message = self.ben.replies(self.cid, limit=1)[0]
        parts = self.newest(V6)
        names = {message["id"]: "MESSAGE", self.cid: "CONVERSATION", self.room: "ROOM", self.anna.id: "ANNA"}
        for number, file in enumerate(message["attachments"] or ()):
            names[file["id"]] = f"FILE {number}"
        shown = {
            "/api/v1": message,
            "/api/v1 conversations.info": {
                key: value for key, value in self.ben.info(self.cid).items() if key.startswith("last_")
            },
            "chatkit v6": parts,
            "chatkit v2": self.newest(V2),
        }
        return {dialect: _still(picture, {**names, parts["id"]: "NUMBER"}) for dialect, picture in shown.items()}


def _still(value: Any, names: dict[Any, str]) -> Any:
    """A picture with names in place of ids, and without times and signatures."""
    if isinstance(value, dict):
        return {key: _still("TIME" if key.endswith("_at") and item else item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_still(item, names) for item in value]
    if isinstance(value, str) and value not in names:
        if SHOWN.fullmatch(value):
            return "TIME" if value[0].isdigit() else "URL"
        for known, name in names.items():
            value = value.replace(known, name) if isinstance(known, str) else value
        return value
    return names.get(value, value) if isinstance(value, int | str) and not isinstance(value, bool) else value


def compare(name: str, pictures: dict[str, object]) -> None:
    """Compare with the golden file."""
    file = GOLDEN / f"{name}.json"
    if os.environ.get("ROOMLINE_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(pictures, indent=2, ensure_ascii=False) + "\n")
    assert pictures == json.loads(file.read_text())


@pytest.fixture(scope="module")
def talk(server: Server, ben: Person) -> Talk:
    return Talk(server, person(server, "Anna"), ben)


def test_a_text_posted_here(talk: Talk) -> None:
    talk.anna.say(talk.cid, "Hello\nthere")
    compare("posted_text", talk.pictures())


def test_a_picture_posted_here(talk: Talk, picture: bytes) -> None:
    talk.anna.show(talk.cid, talk.anna.file(picture, "a b.png"))
    compare("posted_picture", talk.pictures())


def test_a_text_with_files_posted_here(talk: Talk, picture: bytes) -> None:
    files = [talk.anna.file(picture, "a b.png"), talk.anna.file(b"words", "c.txt")]
    talk.anna.show(talk.cid, *files, content={"text": "look"})
    compare("posted_text_and_files", talk.pictures())


def test_a_text_and_a_file_sent_through_chatkit(talk: Talk, picture: bytes) -> None:
    file = attach(talk.server, talk.room, talk.anna.id, picture, name="a b.png", content_type="image/x-own")
    talk.send({"type": "text/plain", "content": "look"}, file.part_of("image/x-own"))
    compare("sent_text_and_file", talk.pictures())


def test_many_parts_sent_through_chatkit(talk: Talk) -> None:
    talk.send(
        {"type": "text/plain", "content": "one"},
        {"type": "image/png", "url": "https://pictures.example/dog.png"},
        {"type": "application/json", "content": '{"two": 2}'},
    )
    compare("sent_parts", talk.pictures())


def test_a_text_with_a_link_sent_through_v2(talk: Talk) -> None:
    link = {"resource_link": "https://pictures.example/dog.png", "type": "image"}
    talk.server.send_text(talk.room, talk.anna.id, "look", **link)
    compare("sent_text_and_link", talk.pictures())


def test_deleting_there_unsends_here(talk: Talk) -> None:
    talk.anna.say(talk.cid)
    number = talk.newest(V6)["id"]
    talk.server.su().delete(path_of("rooms", talk.room, "messages", str(number))).done()
    tombstone = talk.ben.replies(talk.cid, limit=1)[0]
    assert tombstone["unsent_at"]
    assert (tombstone["content"], tombstone["attachments"]) == (None, None)


def test_unsending_here_deletes_there(talk: Talk) -> None:
    message = talk.anna.say(talk.cid)
    number = talk.newest(V6)["id"]
    talk.anna.post("chat.unsend", mid=message["id"]).read()
    path = path_of("rooms", talk.room, "messages", str(number))
    talk.chatkit.get(path).fails(404, codes.MESSAGE_NOT_FOUND)
    assert talk.newest(V6)["id"] != number


def test_removing_here_hides_there(talk: Talk) -> None:
    message = talk.anna.say(talk.cid)
    number = talk.newest(V6)["id"]
    talk.anna.post("chat.remove", mid=message["id"]).read()
    assert talk.newest(V6)["id"] != number
    others = talk.server.user(talk.ben.id).get(path_of("rooms", talk.room, "messages") + "?limit=1").read()
    assert others[0]["id"] == number


def test_rooms_made_there_are_conversations_here(server: Server, ben: Person) -> None:
    maker = server.new_user(name="Charlie of Chatkit")
    rooms = {"group": server.new_room(maker, ben.id, private=True), "channel": server.new_room(maker, ben.id)}
    found = {one["conversation_type"]: one for one in ben.get("conversations.list").read()[:2]}
    assert set(found) == set(rooms)
    server.send(rooms["group"], maker)
    info = ben.info(found["group"]["id"])
    assert info["last_msg_text"] == "hello"
    assert info["created_by"] == info["last_msg_uid"] == ben.replies(info["id"])[0]["created_by"] != maker
    assert {"Charlie of Chatkit", "Ben"} == {one["first_name"] for one in info["participants"]}


def test_who_is_deleted_is_nobody(server: Server, ben: Person) -> None:
    maker = server.new_user()
    room = server.new_room(maker, ben.id)
    server.send(room, maker)
    conversation = ben.get("conversations.list").read()[0]
    server.su().delete(path_of("users", maker)).done()
    shown = ben.info(conversation["id"])
    assert (shown["created_by"], shown["last_msg_uid"]) == (NOBODY, NOBODY)
    assert [one["id"] for one in shown["participants"]] == [ben.id]
    assert ben.replies(shown["id"])[0]["created_by"] == NOBODY
