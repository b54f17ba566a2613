"""What is to be told to browsers, as it is stored."""

from __future__ import annotations

import pytest
from roomline.v1.push_service_pb2 import CreatePushSubscriptionRequest

from services.common.ids import MICROSECONDS, Uuid7
from services.message import sqlite_log_readers, sqlite_push_queue
from services.message.push_store import CONSUMER, GIVE_UP_MICROSECONDS, MOST_WAITING, Push, PushQueue, Sent
from services.message.sqlite_push_queue import SqlitePushQueue
from services.message.sqlite_push_subscriptions import SqlitePushSubscriptions
from tests.stores.conftest import Stores

ENDPOINT = "https://push.example.org/"


class Queue:
    """The queue, with a private room `den` of bob and ann."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.store: PushQueue = SqlitePushQueue(stores.database, stores.clock)
        self.subscriptions = SqlitePushSubscriptions(stores.database, stores.clock, Uuid7(stores.clock))

    async def subscribe(self, user_id: str, name: str = "1", most: int = 20) -> str:
        """A subscription; messages that come now are newer."""
        request = CreatePushSubscriptionRequest(user_id=user_id, endpoint=f"{ENDPOINT}{user_id}/{name}")
        made = await self.subscriptions.create("one", request, self.stores.clock(), most)
        self.stores.clock.advance(0.001)
        return made.id

    async def say(self, *texts: str, room_id: str = "den") -> list[Sent]:
        """Messages of bob, as the log has them; not yet added."""
        sent = []
        for text in texts:
            message = await self.stores.send(room_id, "bob", text)
            sent.append(Sent(len(await self.stores.events()), message.id))
        return sent

    async def add(self, *sent: Sent) -> bool:
        """Takes them in."""
        return await self.store.add("one", sent)

    async def due(self, *, failing: bool = False) -> list[Push]:
        """What can be sent."""
        return await self.store.due(self.stores.clock(), failing=failing, busy=(), size=100)

    async def waiting(self) -> list[tuple[str, int]]:
        """Subscriptions, and the messages that wait for them."""
        return await self.stores.database.read(
            lambda connection: connection.execute(
                "SELECT subscription_id, message_id FROM pushes ORDER BY subscription_id, position"
            ).fetchall()
        )

    async def is_read(self) -> bool:
        """Whether the instance's log is read for web push."""
        found = await self.stores.database.read(lambda connection: sqlite_log_readers.find(connection, "one", CONSUMER))
        return found is not None


@pytest.fixture
async def queue(stores: Stores) -> Queue:
    await stores.room("bob", "ann", "eve", room_id="den", private=True)
    await stores.room("bob", "ann", room_id="attic", private=True)
    return Queue(stores)


def said(push: Push) -> str:
    assert push.notice is not None
    return push.notice.message.parts[0].content


async def test_what_was_sent_is_not_told_again_when_the_log_is(queue: Queue) -> None:
    """A piece of the log is repeated if the process ends before it has noted that it was taken."""
    await queue.subscribe("ann")
    first, second = await queue.say("first", "second")
    assert await queue.add(first)
    (push,) = await queue.due()
    await queue.store.told(push)
    await queue.add(first, second)
    assert [said(push) for push in await queue.due()] == ["second"]
    assert len(await queue.waiting()) == 1
    await queue.add(first, second)
    assert len(await queue.waiting()) == 1


async def test_one_that_is_behind_keeps_the_newest_of_each_room(queue: Queue) -> None:
    """Whoever cannot be told as fast as others write does not fill the disk."""
    subscription_id = await queue.subscribe("ann")
    (above,) = await queue.say("above", room_id="attic")
    await queue.add(above, *await queue.say(*(["below"] * (MOST_WAITING - 1))))
    assert len(await queue.waiting()) == MOST_WAITING
    (last,) = await queue.say("last")
    await queue.add(last)
    assert await queue.waiting() == [(subscription_id, above.message_id), (subscription_id, last.message_id)]
    assert [said(push) for push in await queue.due()] == ["above"]


async def test_of_very_many_pushes_not_all_are_held_at_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_push_queue, "MOST_FOUND", 3)
    names = sorted([await queue.subscribe(user_id, name) for user_id in ("ann", "eve") for name in ("1", "2")])
    sent = await queue.say("one", "two", "three")
    assert await queue.add(*sent)
    assert await queue.waiting() == [(name, one.message_id) for name in names for one in sent]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE messages SET content = x'ffff' WHERE id = :id",
        "UPDATE rooms SET custom_data = x'ffff' WHERE id = 'attic'",
    ],
)
async def test_a_message_that_cannot_be_read_holds_up_no_other(queue: Queue, damage: str) -> None:
    """Fault 24."""
    await queue.subscribe("ann")
    await queue.subscribe("eve")
    (broken,) = await queue.say("broken", room_id="attic")
    (whole,) = await queue.say("whole")
    await queue.stores.database.write(lambda connection: connection.execute(damage, {"id": broken.message_id}))
    await queue.add(broken, whole)
    damaged, fine = await queue.due()
    assert damaged.notice is None
    assert said(fine) == "whole"


async def test_one_that_is_always_refused_is_removed_after_a_week(queue: Queue) -> None:
    await queue.subscribe("ann")
    for text in ("first", "second"):
        await queue.add(*await queue.say(text))
        (push,) = await queue.due(failing=text == "second")
        assert said(push) == text
        is_left = await queue.store.refused(push)
        assert is_left == (text == "first")
        assert await queue.waiting() == []
        queue.stores.clock.advance(GIVE_UP_MICROSECONDS / MICROSECONDS)
    assert await queue.store.instances() == []


async def test_what_comes_due_while_one_looks_is_not_forgotten(queue: Queue) -> None:
    await queue.subscribe("ann")
    await queue.add(*await queue.say("first"))
    (push,) = await queue.due()
    now = queue.stores.clock()
    assert await queue.store.next_due(now) is None
    retry_at = now + MICROSECONDS
    assert await queue.store.failed(push, retry_at)
    assert await queue.due(failing=True) == []
    queue.stores.clock.advance(2)
    assert await queue.store.next_due(now) == retry_at
    assert await queue.store.next_due(queue.stores.clock()) is None
    assert [said(push) for push in await queue.due(failing=True)] == ["first"]


async def test_one_that_is_refused_in_between_stays(queue: Queue) -> None:
    await queue.subscribe("ann")
    for text in ("first", "second", "third"):
        await queue.add(*await queue.say(text))
        (push,) = await queue.due(failing=text == "second")
        if text == "second":
            await queue.store.told(push)
        else:
            assert await queue.store.refused(push)
        queue.stores.clock.advance(GIVE_UP_MICROSECONDS / MICROSECONDS / 2)
    assert await queue.store.instances() == ["one"]


async def test_after_the_last_subscription_the_log_is_read_no_more(queue: Queue) -> None:
    first, _ = await queue.subscribe("ann"), await queue.subscribe("eve")
    await queue.subscriptions.delete("one", "ann", first, "")
    assert await queue.is_read()
    await queue.subscriptions.delete("one", "ann", "", f"{ENDPOINT}eve/1")
    assert await queue.is_read(), "it is not hers"
    await queue.subscriptions.delete("one", "eve", "", f"{ENDPOINT}eve/1")
    assert not await queue.is_read()

    await queue.subscribe("ann")
    assert await queue.is_read()
    await queue.add(*await queue.say("hello"))
    (push,) = await queue.due()
    await queue.store.gone(push)
    assert not await queue.is_read()

    await queue.subscribe("ann")
    await queue.stores.purges.user("one", "ann")
    assert not await queue.is_read()


async def test_one_that_comes_while_the_clock_is_set_back_is_kept(queue: Queue) -> None:
    for name in ("1", "2"):
        await queue.subscribe("ann", name, most=2)
    queue.stores.clock.advance(-3600)
    made = await queue.subscribe("ann", "3", most=2)
    listed = [one.id for one in await queue.subscriptions.page("one", "ann", "", 10)]
    assert made in listed
    assert len(listed) == 2


@pytest.mark.parametrize("dearer", [1, 1_000_000])
async def test_members_are_found_by_their_subscriptions_and_subscriptions_by_their_members(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, dearer: int
) -> None:
    """It looks at those of which there are fewer: at 3 members, or at 2 subscriptions; or at members anyway."""
    monkeypatch.setattr(sqlite_push_queue, "DEARER", dearer)
    names = [await queue.subscribe("ann", name) for name in ("1", "2")]
    first, second = await queue.say("first", "second")
    (later,) = await queue.say("later", room_id="attic")
    assert await queue.add(first, second, later)
    assert await queue.waiting() == [(name, one.message_id) for name in names for one in (first, second, later)]
    assert not await queue.add(*await queue.say("to nobody", room_id=(await queue.stores.room("bob", private=True)).id))
