"""A browser's subscription to web push, as `PushSubscription.toJSON()` gives it (W3C Push API §8.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.chat_api import parse
from gateway.chat_api.errors import BODY, InputError
from services.common import base64url

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

Json = dict[str, Any]


class Browser(NamedTuple):
    """One that wants to be told."""

    endpoint: str
    p256dh: bytes
    auth: bytes
    expires_at: Timestamp | None


class End(NamedTuple):
    """One that does not any more; one of the two is empty."""

    id: str
    endpoint: str


def browser(data: Json) -> Browser:
    """The body of a registration."""
    endpoint = parse.string(data, "endpoint")
    keys = data.get("keys")
    if type(keys) is not dict:
        raise InputError(BODY, "missing field `keys`" if keys is None else "keys: expected an object")
    return Browser(endpoint, _bytes(keys, "p256dh"), _bytes(keys, "auth"), _expiry(data))


def end(data: Json) -> End:
    """The body that ends a registration: with an `id`, or else with an `endpoint`, as the registration has it."""
    subscription_id = parse.optional_uuid(data, "id")
    if subscription_id is not None:
        return End(subscription_id, "")
    return End("", parse.string(data, "endpoint"))


def _bytes(keys: Json, name: str) -> bytes:
    try:
        return base64url.decode(parse.string(keys, name, "keys."))
    except ValueError as error:
        raise InputError(BODY, f"keys.{name}: expected base64url") from error


def _expiry(data: Json) -> Timestamp | None:
    """`expirationTime`: milliseconds, perhaps with a fraction."""
    value = data.get("expirationTime")
    if value is None:
        return None
    if type(value) not in {int, float} or not 0 <= value <= parse.LAST_MILLISECOND:
        raise InputError(BODY, "expirationTime: expected milliseconds since the Unix epoch")
    return parse.timestamp(int(value))
