"""What the message service's store promises of web push; see `store`, whose preface counts here too.

Neither subscriptions nor what is to be told to them make events: they are no part of what clients watch.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from roomline.v1.message_pb2 import Message
from roomline.v1.push_pb2 import PushSubscription
from roomline.v1.push_service_pb2 import CreatePushSubscriptionRequest
from roomline.v1.room_pb2 import Room

from services.common.ids import MICROSECONDS

CONSUMER = "push"
"""Who reads the log, as `LogReaders` know it."""
STALE_MICROSECONDS = 3600 * MICROSECONDS
"""A message this old is told to nobody any more: after a long stop, or where a push service would not take it."""
GIVE_UP_MICROSECONDS = 7 * 86400 * MICROSECONDS
"""A subscription is removed when every try has failed for so long."""
MOST_WAITING = 100
"""If more waits for a subscription, only the newest message of each room is kept."""


class Sent(NamedTuple):
    """A message that was sent, by what the log says of it."""

    position: int
    message_id: int


class Key(NamedTuple):
    """What names a subscription."""

    instance_id: str
    id: str


class Notice(NamedTuple):
    """What is to be told, as it is now."""

    room: Room
    members: int
    """How many the room has."""
    message: Message


class Push(NamedTuple):
    """The next thing to be told to a subscription."""

    key: Key
    position: int
    endpoint: str
    p256dh: bytes
    auth: bytes
    failures: int
    """How many tries in a row have failed."""
    expired: bool
    """The subscription has come to the end that the browser had said."""
    notice: Notice | None
    """None if it is not to be told any more: it is stale, or the user would not find the message in the room now."""


class PushSubscriptionStore(Protocol):
    """Subscriptions of users."""

    async def create(
        self, instance_id: str, request: CreatePushSubscriptionRequest, asked_at: int, most: int
    ) -> PushSubscription:
        """Stores a subscription, or renews the user's own one with that endpoint. One of another user is removed.

        Of more than `most` of the user those go that were renewed longest ago. `asked_at`: when the user service was
        asked about the user. Raises USERS_NOT_FOUND if it was purged since then.
        """

    async def page(self, instance_id: str, user_id: str, after: str, size: int) -> list[PushSubscription]:
        """The user's subscriptions with greater ids."""

    async def delete(self, instance_id: str, user_id: str, subscription_id: str, endpoint: str) -> None:
        """Removes the user's subscription with that id or, if that is empty, that endpoint, if there is one."""


class PushQueue(Protocol):
    """What is to be told to subscriptions, each in the order of the messages."""

    async def instances(self) -> list[str]:
        """The instances that have subscriptions."""

    async def add(self, instance_id: str, sent: Sequence[Sent]) -> bool:
        """Takes in new messages, in the order of the log, for all members of their private rooms but the senders.

        Not for subscriptions and members that are newer than the message. Repeated, it changes nothing, also if it was
        sent meanwhile. A subscription that fails or is behind (`MOST_WAITING`) keeps only the newest message of each
        room. Whether there was anybody to tell.
        """

    async def due(self, now: int, *, failing: bool, busy: Collection[Key], size: int) -> list[Push]:
        """What can be sent `now` to so many subscriptions at most that are not busy: the oldest thing of each.

        `failing` asks for those whose last try failed, or else for the others.
        """

    async def next_due(self, now: int) -> int | None:
        """When something can be sent that cannot be sent `now`, if there is such a thing.

        With the `now` of `due` nothing falls between the two, whose time comes meanwhile.
        """

    async def told(self, push: Push, *, slow: bool = False) -> None:
        """It was sent. If that was slow, the subscription is one of those that fail until the next one is sent."""

    async def dropped(self, push: Push) -> None:
        """It will not be sent."""

    async def failed(self, push: Push, retry_at: int) -> bool:
        """It could not be sent; nothing is sent to the subscription until then. False if it is removed for that."""

    async def refused(self, push: Push) -> bool:
        """It will not be sent: it would fail again. The next one may be sent at once. False as `failed`."""

    async def gone(self, push: Push) -> None:
        """The subscription has ended: it is removed, with everything that was to be sent to it."""
