"""How rooms look in a version: whole (v1 to v6, spec §4.1), or split from members and read states (v7, spec §4.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from roomline.v1.room_pb2 import Room, UserRoom

from gateway.chatkit import render, render_v7
from gateway.chatkit.render import Json

JsonList = list[Json]


class RoomDialect(NamedTuple):
    """What the calls that show rooms answer."""

    entered: Callable[[Room], Json]
    """To whom has created or joined the room (R1, R6)."""
    found: Callable[[Room], Json]
    """R2."""
    listed: Callable[[Room], Json]
    """One of R3, without its members."""
    of_user: Callable[[Sequence[UserRoom]], Json | JsonList]
    """Rooms that a user is in (U8)."""
    joinable: Callable[[Sequence[Room]], Json | JsonList]
    """Rooms that a user could join (U8, U9)."""


WHOLE = RoomDialect(
    entered=render.room_with_members,
    found=render.room_with_members,
    listed=render.room,
    of_user=lambda rooms: [render.user_room(room) for room in rooms],
    joinable=lambda rooms: [render.room_with_members(room) for room in rooms],
)
SPLIT = RoomDialect(
    entered=render_v7.room_and_membership,
    found=render_v7.room_with_members,
    listed=render_v7.room,
    of_user=render_v7.user_rooms,
    joinable=render_v7.rooms_and_memberships,
)
