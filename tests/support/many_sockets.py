"""Thousands of WebSockets that cost next to nothing: bytes made beforehand, frames counted rather than parsed.

Each subscribes to one thing, comes back when it is cut, and waits as long as it is told to when it is refused.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import ssl
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from zlib import crc32

RETRY_SECONDS = 2.0
"""How long a client waits that has lost its connection without a word (spec §10.5)."""

_HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_RETRY_AFTER = re.compile(rb'(?i)"?retry-after"?: ?"?(\d+)')
_TEXT, _CLOSE = 0x81, 0x88


class Place(NamedTuple):
    """Where the sockets go."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None = None


class Refusal(Exception):  # noqa: N818 - an answer, which may well be expected
    """The subscription was not opened. `retry_seconds` is None if it never will be."""

    def __init__(self, text: str, retry_seconds: float | None) -> None:
        super().__init__(text)
        self.retry_seconds = retry_seconds


class Tally:
    """What all sockets have received together."""

    def __init__(self) -> None:
        self.events = 0
        self.size = 0
        """Of the frame of an event in bytes; the same for all events of a measurement."""
        self.head = b""
        """What such a frame begins with."""
        self.arrivals: list[list[float]] | None = None
        """For each event since this was set, when it came to each socket; a socket gets its events in order."""
        self._awaited = 0
        self._reached: asyncio.Future[float] | None = None

    def add(self, events: int) -> None:
        """Counts."""
        self.events += events
        if self._reached is not None and self.events >= self._awaited:
            self._reached.set_result(time.perf_counter())
            self._reached = None

    async def reaches(self, events: int) -> float:
        """Waits until so many events have come to all sockets together; when that was, on `time.perf_counter`."""
        if self.events >= events:
            return time.perf_counter()
        self._awaited, self._reached = events, asyncio.get_running_loop().create_future()
        return await self._reached


class Receiver(asyncio.Protocol):
    """One socket with one subscription: a path and headers, or None if everybody on the socket gets everything."""

    def __init__(self, place: Place, tally: Tally, subscription: tuple[str, dict[str, str]] | None) -> None:
        self.events = 0
        self.digest = 0
        """Of the frames of all events; equal for sockets that got the same."""
        self.kept: list[bytes] | None = None
        """The frames of events, if they are to be kept."""
        self.lost = False
        """The connection has ended, though nobody here has ended it."""
        self._place = place
        self._tally = tally
        self._subscription = subscription
        self._begun = 0
        """How many events it had when its tally began to note when they come."""
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None]
        self._upgraded = False
        self._rest = b""

    async def connect(self, last_event_id: str | None = None) -> None:
        """Opens the socket, unless it is open, and the subscription. Raises Refusal, and OSError if there is nobody."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        if self._subscription is not None and last_event_id is not None:
            self._subscription[1]["Last-Event-Id"] = last_event_id
        if self._upgraded:
            self._subscribe()
        else:
            self._rest, self.lost = b"", False
            await loop.create_connection(lambda: self, self._place.host, self._place.port, ssl=self._place.tls)
        await self._opened

    async def come_back(self, last_event_id: str | None = None) -> int:
        """Connects, and tries again as long as it may; returns how often it was told to come later, or was cut off."""
        refused = 0
        while True:
            try:
                await self.connect(last_event_id)
            except Refusal as refusal:
                if refusal.retry_seconds is None:
                    raise
                seconds = refusal.retry_seconds
            except OSError:
                seconds = RETRY_SECONDS
            else:
                return refused
            refused += 1
            await asyncio.sleep(seconds)

    def event_ids(self) -> list[int]:
        """The ids of the events that were kept, if they are those of a room's messages."""
        return [int(event[2]) for event in events_of(self.kept or ())]

    def last_event_id(self) -> str | None:
        """The id of the last event that was kept."""
        return str(events_of(self.kept[-1:])[-1][2]) if self.kept else None

    def cut(self) -> None:
        """Loses the connection, without a word."""
        if self._transport is not None:
            self._transport.abort()
            self._transport, self._upgraded = None, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own has no such base class
        self._transport.write(_HANDSHAKE % (self._place.path.encode(), self._place.host.encode()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:  # it was cut here
            return
        self._transport, self._upgraded, self.lost = None, False, True
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        tally = self._tally
        if not self._rest and tally.size and len(data) % tally.size == 0 and data.startswith(tally.head):
            self._take_events(data, len(data) // tally.size)
            return
        data = self._rest + data
        if not self._upgraded:
            head, end, data_after = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = data
                return
            self._take_head(head)
            if not self._upgraded:
                return
            data = data_after
        self._rest = self._take_frames(data)

    def watch(self) -> None:
        """Begins to note when events come, in the tally's `arrivals`."""
        self._begun = self.events

    def _take_head(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 101"):
            self._refused(head)
            self.cut()
            return
        self._upgraded = True
        self._subscribe()

    def _subscribe(self) -> None:
        if self._subscription is None:
            self._opened.set_result(None)
        else:
            path, headers = self._subscription
            self._send(json.dumps([100, 0, path, headers]).encode())

    def _take_frames(self, data: bytes) -> bytes:
        """Takes what is complete, and returns what is not."""
        at = 0
        while len(data) - at >= 4:
            length, begin = data[at + 1], at + 2
            if length == 126:
                length, begin = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif length == 127:
                if len(data) - at < 10:
                    break
                length, begin = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < begin + length:
                break
            self._take_frame(data[at : begin + length], begin - at)
            at = begin + length
        return data[at:]

    def _take_frame(self, frame: bytes, begin: int) -> None:
        kind = frame[begin : begin + 4]
        if frame[0] != _TEXT:
            assert frame[0] == _CLOSE, frame
        elif kind == b"[102":
            self._tally.size, self._tally.head = len(frame), frame[: begin + 5]
            self._take_events(frame, 1)
        elif kind == b"[101":
            self._opened.set_result(None)
        elif kind == b"[16,":
            self._send(b"[17," + frame[begin + 4 :])
        else:
            self._refused(frame[begin:])

    def _take_events(self, frames: bytes, number: int) -> None:
        self.digest = crc32(frames, self.digest)
        if self.kept is not None:
            self.kept.append(frames)
        arrivals = self._tally.arrivals
        if arrivals is not None:
            now, first = time.perf_counter(), self.events - self._begun
            for event in range(first, first + number):
                arrivals[event].append(now)
        self.events += number
        self._tally.add(number)

    def _refused(self, answer: bytes) -> None:
        found = _RETRY_AFTER.search(answer)
        text = answer.decode(errors="replace")
        if self._opened.done():
            raise AssertionError(f"the subscription has ended: {text}")
        self._opened.set_exception(Refusal(text, float(found[1]) if found else None))

    def _send(self, message: bytes) -> None:
        assert self._transport is not None
        size = len(message)
        head = b"\x81%c" % (0x80 | size) if size < 126 else b"\x81\xfe" + size.to_bytes(2)
        self._transport.write(head + b"\0\0\0\0" + message)


def events_of(frames: Sequence[bytes]) -> list[Any]:
    """What was kept of a socket: its events as the client reads them."""
    data, at, events = b"".join(frames), 0, []
    while at < len(data):
        length, begin = data[at + 1], at + 2
        if length == 126:
            length, begin = int.from_bytes(data[at + 2 : at + 4]), at + 4
        at = begin + length
        events.append(json.loads(data[begin:at]))
    return events


def allow_files(number: int) -> None:
    """Lets this process and those that it starts open so many files. Raises ValueError or OSError if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (number, hard if hard == resource.RLIM_INFINITY else max(hard, number))
        )
