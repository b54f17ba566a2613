"""PushService over gRPC: registering browsers, seeing them, ending them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.push_service_pb2 import CreatePushSubscriptionRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.ids import MICROSECONDS
from services.message.push_servicer import MAX_SUBSCRIPTIONS
from tests.services.message.desk import until
from tests.services.message.push_desk import PushDesk, push_desk
from tests.support.browser import Browser
from tests.support.refusals import refuses


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PushDesk]:
    async with push_desk(tmp_path) as running:
        yield running


async def test_registering_again_renews(desk: PushDesk) -> None:
    browser = desk.browser()
    first = await desk.subscribe(browser, "ann")
    desk.clock.advance(60)
    renewed = Browser(browser.endpoint)
    expires_at = Timestamp(seconds=desk.clock() // MICROSECONDS + 3600)
    second = await desk.subscribe(renewed, "ann", expires_at=expires_at)
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.updated_at.seconds >= first.updated_at.seconds + 60
    assert second.expires_at == expires_at
    assert list((await desk.listed("ann")).subscriptions) == [second]

    await desk.say("hello")
    (posted,) = await desk.pushed(1)
    assert renewed.read(posted), "with the new keys"


async def test_what_is_kept_is_not_shown(desk: PushDesk) -> None:
    browser = desk.browser()
    subscription = await desk.subscribe(browser, "ann")
    assert (subscription.user_id, subscription.endpoint) == ("ann", browser.endpoint)
    assert browser.auth not in subscription.SerializeToString()


async def test_a_browser_belongs_to_whom_it_was_registered_for_last(desk: PushDesk) -> None:
    browser = desk.browser()
    first = await desk.subscribe(browser, "ann")
    await desk.say_in_vain("for ann")
    second = await desk.subscribe(browser, "bob")
    assert second.id != first.id
    assert await desk.endpoints("ann") == []
    assert await desk.endpoints("bob") == [browser.endpoint]
    desk.clock.advance(40)
    await desk.say("for bob", user_id="ann")
    (posted,) = await desk.pushed(1)
    assert browser.read(posted)["notification"]["body"] == "for bob"


async def test_instances_are_apart(desk: PushDesk) -> None:
    await desk.cluster.add_instance("two")
    await desk.cluster.add_users("ann", instance_id="two")
    browser, elsewhere = desk.browser(), desk.cluster.as_user("ann", "two")
    first = await desk.subscribe(browser, "ann")
    await desk.subscribe(browser, "ann", by=elsewhere)
    await desk.unsubscribe("ann", by=elsewhere, id=first.id)
    await desk.unsubscribe("ann", by=elsewhere, endpoint=browser.endpoint)
    assert list((await desk.listed("ann", by=elsewhere)).subscriptions) == []
    assert list((await desk.listed("ann")).subscriptions) == [first]


async def test_of_too_many_the_one_registered_longest_ago_goes(desk: PushDesk) -> None:
    browsers = [desk.browser(f"browser-{number}") for number in range(MAX_SUBSCRIPTIONS)]
    for browser in browsers:
        await desk.subscribe(browser, "ann")
    await desk.subscribe(browsers[0], "ann")
    await desk.subscribe(desk.browser("one-more"), "ann")
    left = await desk.endpoints("ann")
    assert len(left) == MAX_SUBSCRIPTIONS
    assert browsers[0].endpoint in left
    assert browsers[1].endpoint not in left


async def test_pages(desk: PushDesk) -> None:
    made = [(await desk.subscribe(desk.browser(f"browser-{number}"), "ann")).id for number in range(3)]
    first = await desk.listed("ann", page_size=2)
    assert [one.id for one in first.subscriptions] == made[:2]
    second = await desk.listed("ann", page_size=2, page_token=first.next_page_token)
    assert [one.id for one in second.subscriptions] == made[2:]
    assert second.next_page_token == ""
    with refuses("PAGE_TOKEN_INVALID"):
        await desk.listed("ann", page_token="?")


async def test_ending(desk: PushDesk) -> None:
    first, second = desk.browser("first"), desk.browser("second")
    subscription = await desk.subscribe(first, "ann")
    await desk.subscribe(second, "ann")
    await desk.unsubscribe("bob", id=subscription.id)
    await desk.unsubscribe("bob", endpoint=second.endpoint)
    assert len(await desk.endpoints("ann")) == 2, "only one's own"
    await desk.unsubscribe("ann", id=subscription.id)
    await desk.unsubscribe("ann", id=subscription.id)
    await desk.unsubscribe("ann", endpoint=second.endpoint)
    assert await desk.endpoints("ann") == []
    with refuses("FIELD_REQUIRED", field="id"):
        await desk.unsubscribe("ann")


async def test_others_are_refused(desk: PushDesk) -> None:
    """Fault 3."""
    browser, as_eve = desk.browser(), desk.cluster.as_user("eve")
    await desk.subscribe(browser, "ann")
    with refuses("SUBJECT_MISMATCH"):
        await desk.subscribe(desk.browser("hers"), "ann", by=as_eve)
    with refuses("SUBJECT_MISMATCH"):
        await desk.listed("ann", by=as_eve)
    with refuses("SUBJECT_MISMATCH"):
        await desk.unsubscribe("ann", by=as_eve, endpoint=browser.endpoint)
    with refuses("TOKEN_MISSING"):
        await desk.key(by=(("x-nothing", "here"),))
    assert await desk.endpoints("ann") == [browser.endpoint]


async def test_servers_act_for_users_that_exist(desk: PushDesk) -> None:
    await desk.subscribe(desk.browser(), "ann", by=desk.cluster.as_server())
    with refuses("USER_NOT_FOUND"):
        await desk.subscribe(desk.browser(), "nobody", by=desk.cluster.as_server())


GOOD = Browser("https://push.example.org/1")
NO_KEYS = [
    ("p256dh", GOOD.p256dh[:64]),
    ("p256dh", b"\x02" + GOOD.p256dh[1:33]),
    ("p256dh", b"\x05" + GOOD.p256dh[1:]),
    ("p256dh", GOOD.p256dh[:64] + bytes([GOOD.p256dh[64] ^ 1])),
    ("p256dh", b"\x04" + bytes(64)),
    ("p256dh", GOOD.p256dh + b"\0"),
    ("auth", GOOD.auth[:15]),
    ("auth", GOOD.auth + b"\0"),
]
ELSEWHERE = [
    "http://push.example.org/1",
    "https://127.0.0.1/1",
    "https://localhost/1",
    "https://10.0.0.7/1",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:127.0.0.1]/1",
    "https://0x7f000001/1",
    "https://user:secret@93.184.216.34/1",
    "https://no-such-name.invalid/1",
    "ftp://push.example.org/1",
    "/1",
    "https://",
]


async def test_keys_that_no_browser_made(desk: PushDesk) -> None:
    for field, value in NO_KEYS:
        request = CreatePushSubscriptionRequest(
            user_id="ann", endpoint=GOOD.endpoint, p256dh=GOOD.p256dh, auth=GOOD.auth
        )
        setattr(request, field, value)
        with refuses("FIELD_INVALID", field=field):
            await desk.push.CreatePushSubscription(request, metadata=desk.cluster.as_user("ann"))


async def test_endpoints_that_lead_elsewhere(tmp_path: Path) -> None:
    """Fault 20. All of them get the same answer: it tells nothing of what there is inside."""
    async with push_desk(tmp_path, outbound_allow_private=False) as desk:
        for endpoint in ELSEWHERE:
            with refuses("FIELD_INVALID", field="endpoint", rule="the https URL of a push service on the internet"):
                await desk.subscribe(Browser(endpoint), "ann")
        assert desk.rows("push_subscriptions") == 0


async def test_without_a_key_nobody_can_come_but_leave(desk: PushDesk) -> None:
    browser = desk.browser()
    await desk.subscribe(browser, "ann")
    await desk.stop()
    await desk.start_without_key()
    with refuses("PUSH_NOT_CONFIGURED"):
        await desk.key()
    with refuses("PUSH_NOT_CONFIGURED"):
        await desk.subscribe(desk.browser("another"), "ann")
    assert await desk.endpoints("ann") == [browser.endpoint]
    await desk.unsubscribe("ann", endpoint=browser.endpoint)
    assert await desk.endpoints("ann") == []


async def test_a_deleted_user_is_told_nothing(desk: PushDesk) -> None:
    browser = desk.browser("ann")
    await desk.subscribe(browser, "ann")
    await desk.say_in_vain("a secret")
    await desk.cluster.users.DeleteUser(DeleteUserRequest(id="ann"), metadata=desk.cluster.as_server())

    async def purged() -> bool:
        return desk.rows("push_subscriptions") == 0

    await until(purged)
    assert desk.rows("pushes") == 0


async def test_nothing_is_left_of_an_instance_that_is_reset_and_it_can_begin_anew(desk: PushDesk) -> None:
    await desk.subscribe(desk.browser(), "ann")
    await desk.say("before")
    await desk.pushed(1)
    await desk.cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=desk.cluster.as_server())
    assert (desk.rows("push_subscriptions"), desk.rows("pushes")) == (0, 0)

    await desk.cluster.add_users("bob", "ann")
    await desk.room("den", "bob", "ann")
    browser = desk.browser("another")
    await desk.subscribe(browser, "ann")
    await desk.say("afterwards")
    pushed = await desk.pushed(2)
    assert browser.read(pushed[1])["notification"]["body"] == "afterwards"
