"""Attachments in messages: sent, edited and read in both dialects (spec §5.2-§5.7; fault #4)."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.wire import codes
from tests.wire.client import TIMESTAMP, V2, V6, Reply, Server, inline, link
from tests.wire.files import DATA, Reserved, at, attach, attachment_of, reserve, upload
from tests.wire.test_dialects import UNREADABLE

Submit = Callable[..., Reply]
"""Sends parts, or edits a message to them."""


@pytest.fixture(params=["send", "edit"])
def submit(request: pytest.FixtureRequest, server: Server, alice: str, room: str) -> Submit:
    message = server.send(room, alice, inline("before"))
    path = f"/rooms/{room}/messages"
    if request.param == "send":
        return lambda *parts: server.user(alice).post(path, {"parts": parts})
    return lambda *parts: server.su(alice).put(f"{path}/{message}", {"parts": parts})


def newest(server: Server, room: str, api: str = V6) -> Any:
    return server.su().get(f"/rooms/{room}/messages?limit=1", api=api).read()[0]


def test_the_example_of_the_documentation_comes_back_field_for_field(server: Server, alice: str, room: str) -> None:
    data = b"%PDF-1.4" + b"x" * 4088
    text = inline("see attached document and figure")
    figure = link("https://example.com/figure01.png")
    document = attach(
        server,
        room,
        alice,
        data,
        content_type="application/pdf",
        name="super-interesting-document.pdf",
        custom_data={"foo": "bar"},
    )
    message = server.send(room, alice, text, figure, document.part_of("application/pdf"))
    found = server.message(room, message)
    attachment = found["parts"][2]["attachment"]
    assert found == {
        "id": message,
        "user_id": alice,
        "room_id": room,
        "parts": [
            text,
            figure,
            {
                "type": "application/pdf",
                "attachment": {
                    "id": document.id,
                    "download_url": attachment["download_url"],
                    "refresh_url": attachment["refresh_url"],
                    "expiration": attachment["expiration"],
                    "name": "super-interesting-document.pdf",
                    "size": 4096,
                    "custom_data": {"foo": "bar"},
                },
            },
        ],
        "created_at": found["created_at"],
        "updated_at": found["created_at"],
    }
    assert TIMESTAMP.fullmatch(attachment["expiration"])
    assert at(server, attachment["download_url"]).body == data
    target = attachment["refresh_url"].removeprefix(f"http://{server.netloc}")
    refreshed = server.request("GET", target, {"Authorization": f"Bearer {server.user_token(alice)}"}, None).read()
    assert at(server, refreshed["download_url"]).body == data


def test_a_list_shows_what_one_message_shows(server: Server, alice: str, room: str) -> None:
    server.send(room, alice, inline(), attach(server, room, alice, name="n").part)
    listed = newest(server, room)
    alone = server.message(room, listed["id"])
    for message in (listed, alone):
        for part in message["parts"]:
            part.get("attachment", {}).update(download_url=0, expiration=0)
    assert listed == alone


def test_a_part_of_an_attachment(submit: Submit, server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    assert submit(reserved.part_of("image/png")).status in {201, 204}
    assert newest(server, room)["parts"][0]["type"] == "image/png"


def test_stray_keys_are_ignored(submit: Submit, server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice, name="n", custom_data={"a": 1})
    stray = {"name": "x", "file": "x", "customData": {}, "custom_data": 1, "origin": "x", "content": None, "url": None}
    inner = {"id": reserved.id, "name": "x", "size": [], "download_url": 5, "custom_data": "x", "expiration": "x"}
    assert submit({"type": "image/png", "attachment": inner, **stray}).status in {201, 204}
    part = newest(server, room)["parts"][0]
    assert set(part) == {"type", "attachment"}
    attachment = part["attachment"]
    assert (attachment["name"], attachment["size"], attachment["custom_data"]) == ("n", len(DATA), {"a": 1})


def test_an_attachment_may_be_sent_before_it_is_uploaded(submit: Submit, server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room, 1000)
    assert submit(reserved.part).status in {201, 204}
    attachment = newest(server, room)["parts"][0]["attachment"]
    assert attachment["size"] == 1000
    upload(server, reserved.upload_url, b"x" * 1000)
    assert at(server, attachment["download_url"]).body == b"x" * 1000


def refused(reply: Reply) -> None:
    assert reply.fails(422, codes.VALIDATION_FAILED) == "Field `attachment.id` is invalid"


def test_an_attachment_of_another_room_is_refused(submit: Submit, server: Server, alice: str) -> None:
    refused(submit(attach(server, server.new_room(alice), alice).part))


def test_an_attachment_of_another_message_is_refused(submit: Submit, server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    message = server.send(room, alice, reserved.part)
    refused(submit(reserved.part))
    assert at(server, attachment_of(server, room, message)["download_url"]).body == DATA


def test_an_attachment_of_somebody_else_is_refused(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    reserved = attach(server, room, bob)
    refused(server.user(alice).post(f"/rooms/{room}/messages", {"parts": [reserved.part]}))
    assert server.user(bob).post(f"/rooms/{room}/messages", {"parts": [reserved.part]}).status == 201


def test_an_attachment_of_a_deleted_message_is_refused(submit: Submit, server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    server.su().delete(f"/rooms/{room}/messages/{server.send(room, alice, reserved.part)}").done()
    refused(submit(reserved.part))


@pytest.mark.parametrize("attachment_id", ["x", "0190a5b0-7c00-7000-8000-000000000001"])
def test_an_unknown_attachment_is_refused(submit: Submit, attachment_id: str) -> None:
    refused(submit({"type": "a/b", "attachment": {"id": attachment_id}}))


@pytest.mark.parametrize("attachment", ["x", 5, [], {}, {"id": None}, {"id": ""}, {"id": 5}], ids=repr)
def test_an_attachment_is_an_object_with_an_id(submit: Submit, attachment: object) -> None:
    submit({"type": "a/b", "attachment": attachment}).fails(422, codes.VALIDATION_FAILED)


def test_one_of_several_that_is_refused_leaves_the_others_free(
    submit: Submit, server: Server, alice: str, room: str
) -> None:
    good, bad = attach(server, room, alice), attach(server, server.new_room(alice), alice)
    refused(submit(good.part, bad.part))
    assert submit(good.part).status in {201, 204}


def test_an_edit_may_keep_its_attachment(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice)
    message = server.send(room, alice, reserved.part)
    for parts in ([inline("new"), reserved.part], [reserved.part]):
        server.su(alice).put(f"/rooms/{room}/messages/{message}", {"parts": parts}).done()
    assert at(server, attachment_of(server, room, message)["download_url"]).body == DATA


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/jpeg", "image"),
        ("IMAGE/x-own; a=b", "image"),
        ("video/mp4", "video"),
        ("audio/ogg", "audio"),
        ("application/json", "file"),
        ("text/plain", "file"),
    ],
)
@pytest.mark.parametrize("text_first", [True, False])
def test_a_text_reader_sees_a_text_and_an_attachment(
    server: Server, alice: str, room: str, mime: str, kind: str, text_first: bool
) -> None:
    reserved = attach(server, room, alice, name="a file.json")
    parts = [inline("look"), reserved.part_of(mime)]
    message = server.send(room, alice, *(parts if text_first else reversed(parts)))
    for found in (server.message(room, message, V2), newest(server, room, V2)):
        assert found["text"] == "look"
        attachment = found["attachment"]
        assert set(attachment) == {"resource_link", "type", "name"}
        assert (attachment["type"], attachment["name"]) == (kind, "a file.json")
        assert at(server, attachment["resource_link"]).body == DATA
        assert "parts" not in found


def test_a_text_reader_sees_nothing_else(server: Server, alice: str, room: str) -> None:
    def another() -> dict[str, object]:
        return attach(server, room, alice).part

    for parts in (
        [another()],
        [another(), another()],
        [inline("x"), another(), another()],
        [inline("x"), link(), another()],
        [inline("<b>", "text/html"), another()],
        [inline("x"), another(), link(), another(), link()],
    ):
        found = server.message(room, server.send(room, alice, *parts), V2)
        assert found["text"] == UNREADABLE
        assert "attachment" not in found


def test_a_v2_edit_replaces_an_attachment(server: Server, alice: str, room: str) -> None:
    reserved: Reserved = attach(server, room, alice)
    message = server.send(room, alice, inline("x"), reserved.part)
    server.su(alice).put(f"/rooms/{room}/messages/{message}", {"text": "new"}, api=V2).done()
    assert server.message(room, message)["parts"] == [inline("new")]
    server.su().get(f"/rooms/{room}/attachments/{reserved.id}").fails(404, codes.ATTACHMENT_NOT_FOUND)
