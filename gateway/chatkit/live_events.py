"""Events on their way to subscriptions: names, ids, and each made only once (spec §10.3)."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.chatkit import render
from gateway.chatkit.render import Json
from gateway.live.happening import Happening
from gateway.live.outlet import event_tail
from services.common.ids import Clock
from services.common.timestamps import to_proto

PER_POSITION = 1_000_000
"""How many events of one subscription a place in the log can make, at most."""


def event_id(position: int, number: int = 0) -> str:
    """The id of an event that is not of a room's messages: rising, and of no other meaning."""
    return str(position * PER_POSITION + number)


def initial_state(data: Json, position: int, clock: Clock) -> bytes:
    """The first event: what there is, as of a position; its id is above those of all events up to there."""
    return _tail(event_id(position, PER_POSITION - 1), "initial_state", data, to_proto(clock()))


def tail(happening: Happening, id_: str, name: str, data: Callable[[], Json], *looks: object) -> bytes:
    """The event `name`, made once for all who are told the same. `looks` says what `data` depends on besides."""
    return happening.once((name, id_, *looks), lambda: _tail(id_, name, data(), happening.event.created_at))


def _tail(id_: str, name: str, data: Json, at: Timestamp) -> bytes:
    return event_tail(id_, orjson.dumps(render.event(name, data, at)))
