"""Each example of the API's own documentation, as it is written there (brief/chat-api.md)."""

from tests.wire.chat_api.client import Person, done
from tests.wire.client import fresh

FILE_NAME = "Screenshot 2023-07-19 at 09.38.16.png"


def test_a_text_message(anna: Person, direct: str) -> None:
    message = anna.post("chat.postMessage", {"conversation_id": direct, "content": {"text": "test"}}).read()
    assert type(message["created_at"]) is int
    assert message == {
        "id": message["id"],
        "conversation_id": direct,
        "created_by": anna.id,
        "created_at": message["created_at"],
        "unsent_at": None,
        "edited_at": None,
        "expires_at": None,
        "content": {"text": "test"},
        "attachments": None,
    }


def test_an_image_message(anna: Person, direct: str, picture: bytes) -> None:
    media = anna.file(picture, FILE_NAME)
    message = anna.post("chat.postMessage", {"conversation_id": direct, "attachments": [media]}).read()
    assert message == {
        "id": message["id"],
        "conversation_id": direct,
        "created_by": anna.id,
        "created_at": message["created_at"],
        "unsent_at": None,
        "edited_at": None,
        "expires_at": None,
        "content": None,
        "attachments": [
            {"id": media, "link": f"/api/v1/media/content/{media}", "name": FILE_NAME, "mime_type": "image/png"}
        ],
    }


def test_a_conversation_that_does_not_exist(anna: Person) -> None:
    reply = anna.post("chat.postMessage", {"conversation_id": fresh(), "content": {"text": "test"}})
    assert reply.read(403) == {"ok": False, "error": "operation_not_allowed"}


def test_removing_a_message(anna: Person, direct: str) -> None:
    message = anna.say(direct)
    done(anna.post("chat.remove", mid=message["id"]), id=message["id"])


def test_unsending_a_message(anna: Person, direct: str) -> None:
    message = anna.say(direct)
    done(anna.post("chat.unsend", mid=message["id"]), id=message["id"])
