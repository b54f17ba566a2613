"""Finds the handler of a path: byte-exact, by dictionary look-ups only (spec §1.3).

Paths are split on "/" before they are decoded, so an id may hold any character. "//" counts as "/", a trailing "/" as
nothing; nothing is ever redirected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.edge import EdgeError, EdgeReason

if TYPE_CHECKING:
    from gateway.live.outlet import LiveEndpoint
    from gateway.request import Request
    from gateway.response import Response

Handler = Callable[["Request"], Awaitable["Response"]]

SUBSCRIBE = "SUBSCRIBE"
"""The method of subscriptions (spec §10.2)."""


class Route(NamedTuple):
    """What serves one method of one path."""

    handler: Handler | LiveEndpoint
    """Of SUBSCRIBE it is a LiveEndpoint, of GET it may be one: server-sent events."""
    names: tuple[str, ...]
    """The names of the path's parameters, in their order."""
    positions: tuple[int, ...]
    """Which segments of the path they are."""


class Match(NamedTuple):
    """A path that exists."""

    routes: dict[str, Route]
    """By method."""
    values: list[str]
    """The path's parameters, decoded, in their order."""
    credentials: bool
    """Browsers may call it with cookies: the answer names their origin (spec §12.1, the token provider)."""


class _Node:
    __slots__ = ("credentials", "literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, Route] = {}
        self.credentials = False


class Router:
    """A tree of path segments, built once at start."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, method: str, pattern: str, handler: Handler, *, credentials: bool = False, head: bool = True) -> None:
        """Serves a pattern such as `/rooms/{room_id}/users/add`; GET serves HEAD too, unless it changes something.

        Raises ValueError if a segment could be both a literal and a parameter, or if the route exists.
        """
        self._add(("GET", "HEAD") if method == "GET" and head else (method,), pattern, handler, credentials=credentials)

    def add_subscription(self, pattern: str, endpoint: LiveEndpoint) -> None:
        """Serves subscriptions to a path, by the method SUBSCRIBE and through WebSockets. Raises as `add` does."""
        self._add((SUBSCRIBE,), pattern, endpoint, credentials=False)

    def add_event_stream(self, pattern: str, endpoint: LiveEndpoint) -> None:
        """Serves server-sent events at a path, by GET. Raises as `add` does."""
        self._add(("GET",), pattern, endpoint, credentials=False)

    def _add(self, methods: Sequence[str], pattern: str, handler: Handler | LiveEndpoint, *, credentials: bool) -> None:
        node = self._root
        names, positions = [], []
        for position, segment in enumerate(pattern.strip("/").split("/")):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                positions.append(position)
                node.parameter = node.parameter or _Node()
                child = node.parameter
            else:
                child = node.literals.setdefault(segment, _Node())
            if node.parameter and node.literals:
                raise ValueError(f"{pattern}: a parameter and a literal in the same place")
            node = child
        for method in methods:
            if method in node.routes:
                raise ValueError(f"{method} {pattern} is there already")
            node.routes[method] = Route(handler, tuple(names), tuple(positions))
        node.credentials |= credentials

    def find(self, raw_path: bytes) -> Match | None:
        """The routes of a path as it came over the wire. Raises EdgeError (PATH_INVALID) if it cannot be decoded."""
        node = self._root
        values = []
        for segment in segments(raw_path):
            child = node.literals.get(segment)
            if child is None:
                child = node.parameter
                if child is None:
                    return None
                values.append(segment)
            node = child
        return Match(node.routes, values, node.credentials) if node.routes else None

    def patterns(self) -> Iterator[tuple[str, str]]:
        """Method and pattern of every route, as they were added; `HEAD` too."""
        return _patterns(self._root, [])


def _patterns(node: _Node, above: list[str]) -> Iterator[tuple[str, str]]:
    for method, route in node.routes.items():
        parts = [*above]
        for name, position in zip(route.names, route.positions, strict=True):
            parts[position] = "{" + name + "}"
        yield method, "/" + "/".join(parts)
    for segment, child in node.literals.items():
        yield from _patterns(child, [*above, segment])
    if node.parameter is not None:
        yield from _patterns(node.parameter, [*above, ""])


def segments(raw_path: bytes) -> Sequence[str]:
    """The decoded segments of a path. Bytes that are not percent-encoded are UTF-8 too."""
    if b"%" not in raw_path and raw_path.isascii():
        return [segment for segment in raw_path.decode("ascii").split("/") if segment]
    return [_decoded(segment) for segment in raw_path.split(b"/") if segment]


def _decoded(segment: bytes) -> str:
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise EdgeError(EdgeReason.PATH_INVALID) from error
    if "\0" in text:
        raise EdgeError(EdgeReason.PATH_INVALID)
    return text
