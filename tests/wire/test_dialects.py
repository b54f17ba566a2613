"""Messages sent in one dialect and read in the other (spec §5.5-§5.7), as far as no upload is needed."""

import pytest

from tests.wire.client import V2, V6, Server, inline, link

UNREADABLE = (
    "You have received a message which can't be represented in this version of the app."
    " You will need to upgrade to read it."
)

URL = "https://pictures.example/pics/dog"


@pytest.mark.parametrize("mime", ["text/plain", "TEXT/Plain", "text/plain; charset=utf-8"])
def test_one_text_part_is_a_text(server: Server, alice: str, room: str, mime: str) -> None:
    message = server.send(room, alice, inline("hello", mime))
    found = server.message(room, message, V2)
    assert found["text"] == "hello"
    assert set(found) == {"id", "user_id", "room_id", "text", "created_at", "updated_at"}


def test_an_empty_text_part_is_an_empty_text(server: Server, alice: str, room: str) -> None:
    assert server.message(room, server.send(room, alice, inline("")), V2)["text"] == ""


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/png", "image"),
        ("image/made-up", "image"),
        ("IMAGE/PNG; a=b", "image"),
        ("video/mp4", "video"),
        ("audio/ogg", "audio"),
        ("application/json", "file"),
        ("text/html", "file"),
        ("image/x-pusher-img", "image"),
    ],
)
@pytest.mark.parametrize("text_first", [True, False])
def test_a_text_and_a_link_are_a_text_with_an_attachment(
    server: Server, alice: str, room: str, mime: str, kind: str, text_first: bool
) -> None:
    parts = [inline("look"), link(URL, mime)]
    message = server.send(room, alice, *(parts if text_first else reversed(parts)))
    found = server.message(room, message, V2)
    assert found["text"] == "look"
    assert found["attachment"] == {"resource_link": URL, "type": kind, "name": "dog"}
    assert "parts" not in found


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (URL, "dog"),
        ("https://pictures.example/200/300", "300"),
        ("https://pictures.example/a/cat.png?size=1&x=/y", "cat.png"),
        ("https://pictures.example/cat.png#part", "cat.png"),
    ],
)
def test_an_attachment_is_named_after_the_last_segment(
    server: Server, alice: str, room: str, url: str, name: str
) -> None:
    as_parts = server.send(room, alice, inline(), link(url))
    as_text = server.send_text(room, alice, "hello", resource_link=url, type="image")
    for message in (as_parts, as_text):
        attachment = server.message(room, message, V2)["attachment"]
        assert attachment == {"resource_link": url, "type": "image", "name": name}


@pytest.mark.parametrize(
    "parts",
    [
        [inline("one"), inline("two")],
        [link()],
        [inline("{}", "application/json")],
        [inline("x"), inline("<b>", "text/html")],
        [inline("<b>", "text/html"), link()],
        [link(), link()],
        [inline("x"), link(), link()],
        [inline("x"), link(), inline("y"), link(), inline("z")],
    ],
    ids=["texts", "link", "json", "text+html", "html+link", "links", "text+links", "five parts"],
)
def test_other_parts_are_the_fixed_string(
    server: Server, alice: str, room: str, parts: list[dict[str, object]]
) -> None:
    message = server.send(room, alice, *parts)
    found = server.message(room, message, V2)
    assert found["text"] == UNREADABLE
    assert set(found) == {"id", "user_id", "room_id", "text", "created_at", "updated_at"}
    assert server.message(room, message)["parts"] == parts


def test_a_text_message_is_one_text_part(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "hello")
    assert server.message(room, message)["parts"] == [inline("hello")]


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("image", "image/x-pusher-img"),
        ("file", "file/x-pusher-file"),
        ("video", "video/x-pusher-video"),
        ("audio", "audio/x-pusher-audio"),
        ("hologram", "file/x-pusher-file"),
    ],
)
def test_a_text_message_with_a_link_is_a_text_and_a_link_part(
    server: Server, alice: str, room: str, kind: str, mime: str
) -> None:
    message = server.send_text(room, alice, "look", resource_link=URL, type=kind)
    assert server.message(room, message)["parts"] == [inline("look"), link(URL, mime)]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("image", "image"),
        ("file", "file"),
        ("video", "video"),
        ("audio", "audio"),
        ("hologram", "file"),
        ("IMAGE", "file"),
    ],
)
def test_a_text_message_keeps_its_attachment(server: Server, alice: str, room: str, sent: str, kept: str) -> None:
    message = server.send_text(room, alice, "look", resource_link=URL, type=sent)
    found = server.message(room, message, V2)
    assert found["text"] == "look"
    assert found["attachment"] == {"resource_link": URL, "type": kept, "name": "dog"}


def test_an_empty_text_keeps_its_attachment(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "", resource_link=URL, type="image")
    found = server.message(room, message, V2)
    assert (found["text"], found["attachment"]["resource_link"]) == ("", URL)


def test_other_keys_of_an_attachment_are_ignored(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "x", resource_link=URL, type="image", name="mine", size=5)
    assert server.message(room, message, V2)["attachment"]["name"] == "dog"


def test_a_list_reads_as_its_messages_do(server: Server, alice: str, room: str) -> None:
    messages = [
        server.send(room, alice, link(), link()),
        server.send(room, alice, inline("look"), link()),
        server.send_text(room, alice, "look", resource_link=URL, type="file"),
        server.send_text(room, alice, "hello"),
    ]
    for api in (V2, V6):
        listed = server.su().get(f"/rooms/{room}/messages?direction=newer", api=api).read()
        assert listed == [server.message(room, message, api) for message in messages]


def test_a_text_edit_of_parts_reads_in_both_dialects(server: Server, alice: str, room: str) -> None:
    message = server.send(room, alice, inline(), link(), link())
    body = {"text": "new", "attachment": {"resource_link": URL, "type": "video"}}
    server.su(alice).put(f"/rooms/{room}/messages/{message}", body, api=V2).done()
    assert server.message(room, message)["parts"] == [inline("new"), link(URL, "video/x-pusher-video")]
    attachment = server.message(room, message, V2)["attachment"]
    assert attachment == {"resource_link": URL, "type": "video", "name": "dog"}


def test_a_parts_edit_of_a_text_reads_in_both_dialects(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "old", resource_link="https://old.example/x", type="audio")
    parts = [inline("new"), link(URL, "image/png")]
    server.su(alice).put(f"/rooms/{room}/messages/{message}", {"parts": parts}).done()
    assert server.message(room, message)["parts"] == parts
    found = server.message(room, message, V2)
    assert found["text"] == "new"
    assert found["attachment"] == {"resource_link": URL, "type": "image", "name": "dog"}
