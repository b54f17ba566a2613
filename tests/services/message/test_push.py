"""Web push: who is told of which messages, and in which words (spec §10.12)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from google.protobuf.duration_pb2 import Duration
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    DeleteMessageRequest,
    EditMessageRequest,
    HideMessageRequest,
    UnsendMessageRequest,
)
from roomline.v1.role_pb2 import Role, RoleScope
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import AddMembersRequest, DeleteRoomRequest, RemoveMembersRequest, UpdateRoomRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.ids import MICROSECONDS
from tests.services.message.push_desk import PushDesk, push_desk
from tests.support.browser import PUBLIC_KEY, SUBJECT, Browser, sender_of

LONG = "ä" * 200


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PushDesk]:
    async with push_desk(tmp_path) as running:
        yield running


def texts(desk: PushDesk, browser: Browser) -> list[str]:
    """The bodies of the notifications that have come for a browser."""
    path = browser.endpoint.removeprefix(desk.service.url)
    return [browser.read(one)["notification"]["body"] for one in desk.service.posted if one.path == path]


async def test_what_the_push_service_gets(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    await desk.say("see you at nine")
    (posted,) = await desk.pushed(1)

    assert browser.read(posted) == {
        "notification": {
            "title": "bob",
            "body": "see you at nine",
            "icon": "https://pusher.com/favicon.ico",
            "deep_link": "https://pusher.com?ck_room_id=den",
        },
        "data": {"chatkit": {"roomId": "den"}},
    }
    assert posted.headers["ttl"] == "86400"
    assert posted.headers["urgency"] == "normal"
    assert len(posted.headers["topic"]) == 32
    claims = sender_of(posted, await desk.key())
    now = desk.clock() // MICROSECONDS
    assert (claims["aud"], claims["sub"]) == (desk.service.url, SUBJECT)
    assert now < claims["exp"] <= now + 86400
    assert await desk.key() == PUBLIC_KEY


async def test_only_that_browser_can_read_it(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    await desk.say("for ann")
    await desk.say("for ann, again")
    first, second = await desk.pushed(2)
    assert first.body[:16] != second.body[:16], "another salt each time"
    with pytest.raises(InvalidTag):
        desk.browser().read(first)


@pytest.mark.parametrize(
    ("override", "title", "body"),
    [(None, "The crew", "bob: hello"), ("News!", "News!", "bob: hello")],
)
async def test_a_room_of_many_is_named(desk: PushDesk, override: str | None, title: str, body: str) -> None:
    browser = desk.browser()
    await desk.room("crew", "bob", "ann", "eve", push_notification_title_override=override)
    await desk.subscribe(browser, "ann")
    await desk.say("hello", "crew")
    (posted,) = await desk.pushed(1)
    said = browser.read(posted)["notification"]
    assert (said["title"], said["body"]) == (title, body)


async def test_long_texts_are_cut_and_missing_ones_replaced(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    link = Part(type="image/png", url="https://example.com/a.png")
    await desk.say("", parts=[link, Part(type="text/plain; charset=utf-8", content=LONG)])
    await desk.say("", parts=[link])
    await desk.pushed(2)
    assert texts(desk, browser) == ["ä" * 140 + "…", "📎"]


async def test_what_is_too_long_for_a_push_is_shortened(desk: PushDesk) -> None:
    browser, room_id = desk.browser(), "\x01" * 160
    await desk.room(room_id, "bob", "ann", "eve", name="odd", push_notification_title_override="\x01" * 1024)
    await desk.subscribe(browser, "ann")
    await desk.say("\x02" * 500, room_id)
    (posted,) = await desk.pushed(1)
    pushed = browser.read(posted)
    assert pushed["data"] == {"chatkit": {"roomId": room_id}}
    assert pushed["notification"]["title"] == "\x01" * 140 + "…"
    assert pushed["notification"]["body"] == "bob: " + "\x02" * 135 + "…"


async def test_nobody_else_is_told(desk: PushDesk) -> None:
    """Not the sender, no stranger, nobody in a public room, and nobody in another instance."""
    browsers = {name: desk.browser(name) for name in ("bob", "ann", "eve")}
    await desk.cluster.add_instance("two")
    await desk.cluster.add_users("ann", instance_id="two")
    elsewhere = desk.browser("elsewhere")
    await desk.subscribe(elsewhere, "ann", by=desk.cluster.as_user("ann", "two"))
    await desk.room("market", "bob", "ann", "eve", private=False)
    await desk.room("all", "ann", "bob", "eve")
    await desk.say("too early")
    for name, browser in browsers.items():
        await desk.subscribe(browser, name)
    await desk.say("for everybody", "market")
    await desk.say("for ann")
    await desk.say("for bob and eve", "all", "ann")
    await desk.pushed(3)
    await desk.say("for ann and eve", "all", "bob")
    await desk.pushed(5)
    assert texts(desk, browsers["ann"]) == ["for ann", "bob: for ann and eve"]
    assert texts(desk, browsers["bob"]) == ["ann: for bob and eve"]
    assert texts(desk, browsers["eve"]) == ["ann: for bob and eve", "bob: for ann and eve"]
    assert texts(desk, elsewhere) == []


async def test_who_joins_later_is_not_told_of_earlier_messages(desk: PushDesk) -> None:
    ann, eve = desk.browser("ann"), desk.browser("eve")
    await desk.subscribe(ann, "ann")
    await desk.subscribe(eve, "eve")
    await desk.stop()
    await desk.start_without_key()
    await desk.say("before eve")
    request = AddMembersRequest(room_id="den", user_ids=["eve"])
    await desk.cluster.rooms.AddMembers(request, metadata=desk.cluster.as_user("bob"))
    await desk.say("after eve")
    await desk.stop()
    await desk.start()
    await desk.pushed(3)
    assert texts(desk, ann) == ["bob: before eve", "bob: after eve"]
    assert texts(desk, eve) == ["bob: after eve"]


async def unsend(desk: PushDesk, message: Message) -> None:
    request = UnsendMessageRequest(uid=message.uid)
    await desk.cluster.messages.UnsendMessage(request, metadata=desk.cluster.as_user("bob"))


async def delete(desk: PushDesk, message: Message) -> None:
    request = DeleteMessageRequest(room_id="den", id=message.id)
    await desk.cluster.messages.DeleteMessage(request, metadata=desk.cluster.as_server("bob"))


async def expire(desk: PushDesk, message: Message) -> None:
    desk.clock.advance(31)


async def hide(desk: PushDesk, message: Message) -> None:
    request = HideMessageRequest(uid=message.uid)
    await desk.cluster.messages.HideMessage(request, metadata=desk.cluster.as_user("ann"))


async def remove(desk: PushDesk, message: Message) -> None:
    request = RemoveMembersRequest(room_id="den", user_ids=["ann"])
    await desk.cluster.rooms.RemoveMembers(request, metadata=desk.cluster.as_server())


async def delete_room(desk: PushDesk, message: Message) -> None:
    await desk.cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id="den"), metadata=desk.cluster.as_server())


async def open_room(desk: PushDesk, message: Message) -> None:
    request = UpdateRoomRequest(room=Room(id="den", private=False))
    request.update_mask.paths.append("private")
    await desk.cluster.rooms.UpdateRoom(request, metadata=desk.cluster.as_server())


async def end(desk: PushDesk, message: Message) -> None:
    await desk.unsubscribe("ann", endpoint=f"{desk.service.url}/chrome")


@pytest.mark.parametrize("change", [unsend, delete, expire, hide, remove, delete_room, open_room, end])
async def test_what_is_over_is_not_told(desk: PushDesk, change: Callable[[PushDesk, Message], Awaitable[None]]) -> None:
    """Faults 3 and 23: a push shows only what its reader would find in the room when it is sent."""
    chrome, firefox = desk.browser("chrome"), desk.browser("firefox")
    await desk.room("attic", "bob", "ann")
    await desk.subscribe(chrome, "ann")
    message = await desk.say_in_vain("a secret", expires_in=Duration(seconds=30))
    await change(desk, message)
    await desk.subscribe(firefox, "ann")
    await desk.say("still here", "attic")
    desk.clock.advance(40)
    await desk.say("and here", "attic")
    await desk.service.until(lambda _: "and here" in texts(desk, firefox))
    if change is not end:
        await desk.service.until(lambda _: "and here" in texts(desk, chrome))
    assert "a secret" not in [*texts(desk, chrome), *texts(desk, firefox)]


async def test_a_user_whose_role_does_not_let_it_read_is_not_told(desk: PushDesk) -> None:
    await desk.room("attic", "bob", "ann")
    ann, bob = desk.browser("ann"), desk.browser("bob")
    await desk.subscribe(ann, "ann")
    await desk.subscribe(bob, "bob")
    as_server = desk.cluster.as_server()
    role = Role(name="mute", scope=RoleScope.ROLE_SCOPE_GLOBAL, permissions=["message:create"])
    await desk.cluster.access.CreateRole(CreateRoleRequest(role=role), metadata=as_server)
    await desk.cluster.access.AssignRole(AssignRoleRequest(user_id="ann", role_name="mute"), metadata=as_server)
    await desk.say("a secret")
    await desk.say("for bob", user_id="ann")
    await desk.pushed(1)
    assert (texts(desk, ann), texts(desk, bob)) == ([], ["for bob"])


async def test_an_edited_message_is_told_as_it_is(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    message = await desk.say_in_vain("a slip")
    parts = [Part(type="text/plain", content="a correction")]
    request = EditMessageRequest(room_id="den", id=message.id, parts=parts)
    await desk.cluster.messages.EditMessage(request, metadata=desk.cluster.as_server("bob"))
    desk.clock.advance(40)
    await desk.pushed(1)
    assert texts(desk, browser) == ["a correction"]


async def test_a_message_that_expires_is_not_kept_longer_by_the_push_service(desk: PushDesk) -> None:
    await desk.subscribe(desk.browser(), "ann")
    await desk.say("soon gone", expires_in=Duration(seconds=60))
    (posted,) = await desk.pushed(1)
    assert 0 <= int(posted.headers["ttl"]) <= 60


async def test_a_deleted_sender_is_named_by_its_id(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.room("crew", "bob", "ann", "eve")
    await desk.subscribe(browser, "ann")
    await desk.say_in_vain("my last words", "crew")
    await desk.cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=desk.cluster.as_server())
    desk.clock.advance(40)
    await desk.pushed(1)
    assert texts(desk, browser) == ["my last words"]
