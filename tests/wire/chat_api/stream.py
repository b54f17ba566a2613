"""A client of the event stream: what `EventSource` does, by hand."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Self
from urllib.parse import urlencode

from tests.wire.chat_api.client import Api
from tests.wire.client import Reply

SECONDS = 30.0
"""Far longer than anything takes that a test waits for."""
MOST_PINGS = 2
EVENT_ID = re.compile(r"[0-9a-f]{32}:[0-9]+")
NAMES = {
    *("message.new", "message.unsent", "message.removed", "message.edited"),
    *("conversation.new", "conversation.updated", "conversation.deleted", "member.joined", "member.left", "resync"),
}


@dataclass(frozen=True)
class Event:
    """One event."""

    id: str
    name: str
    data: Any

    @property
    def message_id(self) -> Any:
        """The message's id; None if it is not about one."""
        return self.data["message"] and self.data["message"]["id"]


class EventStream:
    """One connection. `last_id` is what a browser would resume with."""

    def __init__(
        self,
        api: Api,
        last_id: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self.last_id = last_id or ""
        self._socket = api.server.open_socket()
        self._socket.settimeout(SECONDS)
        fields = {"Host": api.server.netloc, "Accept": "text/event-stream"}
        if api.token is not None:
            fields["Authorization"] = f"Bearer {api.token}"
        if last_id is not None:
            fields["Last-Event-ID"] = last_id
        fields.update(headers or {})
        target = "/api/v1/events/conversations" + (f"?{urlencode(query)}" if query else "")
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._socket.sendall(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
        self.response = HTTPResponse(self._socket, method="GET")
        self._pings = 0
        try:
            self._begin(resumed=last_id is not None)
        except BaseException:
            self.close()
            raise

    def _begin(self, *, resumed: bool) -> None:
        self.response.begin()
        if self.response.status == 200:
            assert self._block() == ["retry: 2000"]
            if not resumed:
                self.reached(lambda: self.last_id != "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def reply(self) -> Reply:
        """The refusal."""
        return Reply(self.response.status, self.response.headers, self.response.read())

    def next(self) -> Event:
        """The next event."""
        while True:
            event = self._event()
            if event is not None:
                return event

    def until(self, condition: Callable[[Event], bool]) -> list[Event]:
        """All events up to the first one of which that is true."""
        events = [self.next()]
        while not condition(events[-1]):
            events.append(self.next())
        return events

    def reached(self, condition: Callable[[], bool]) -> None:
        """Waits until the server has said something so that this is true; there must be no event before it."""
        while not condition():
            assert self._event() is None

    def ended(self) -> list[Event]:
        """What comes until the stream ends."""
        events = []
        with suppress(EOFError):
            while True:
                event = self._event()
                if event is not None:
                    events.append(event)
        return events

    def close(self) -> None:
        """Lose the connection, without a word."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.response.close()
        self._socket.close()

    def _event(self) -> Event | None:
        """The next block; None if it is no event."""
        block = self._block()
        self._pings = self._pings + 1 if block == [": ping"] else 0
        assert self._pings <= MOST_PINGS, "nothing else comes"
        fields = dict(line.split(": ", 1) for line in block if line != ": ping")
        event_id = fields.pop("id", None)
        if event_id is not None:
            assert EVENT_ID.fullmatch(event_id)
            self.last_id = event_id
        if not fields:
            return None
        assert set(fields) == {"event", "data"}
        assert fields["event"] in NAMES
        data = json.loads(fields["data"])
        assert {"conversation_id", "message", "ts"} <= set(data) <= {"conversation_id", "message", "ts", "users"}
        assert type(data["ts"]) is int
        return Event(self.last_id, fields["event"], data)

    def _block(self) -> list[str]:
        lines: list[str] = []
        while line := self.response.readline().decode():
            if line == "\n":
                return lines
            lines.append(line.removesuffix("\n"))
        raise EOFError
