"""Refusals that only the edge can give; everything else is a reason of the contract."""

from enum import Enum, auto


class EdgeReason(Enum):
    """Why the gateway refuses a request by itself. Each dialect maps it to a body of its own, beside the contract's."""

    ROUTE_NOT_FOUND = auto()
    METHOD_NOT_ALLOWED = auto()
    """Metadata: `allow`."""
    PATH_INVALID = auto()
    """A path segment that is no UTF-8, holds NUL, or is no number where one is needed."""
    JSON_MALFORMED = auto()
    FORM_MALFORMED = auto()
    FORM_TOO_LARGE = auto()
    """Too much besides the file."""
    BODY_TOO_SLOW = auto()
    REQUEST_MALFORMED = auto()
    """No HTTP/1.1."""
    HEAD_TOO_LARGE = auto()
    HEAD_TOO_SLOW = auto()
    TOO_MANY_CONNECTIONS = auto()
    TOO_MANY_SUBSCRIPTIONS = auto()
    """In this process."""
    TOO_MANY_ON_SOCKET = auto()
    """Subscriptions on one WebSocket. Metadata: `limit`."""
    SUBSCRIPTION_ID_TAKEN = auto()
    HEARTBEAT_INVALID = auto()
    """Metadata: `header`, `least`, `most`."""
    WEBSOCKET_ONLY = auto()
    """An ordinary request to where WebSockets begin."""
    FRAME_MALFORMED = auto()
    """A WebSocket message that is none of the protocol's."""
    FRAME_TOO_LARGE = auto()
    READER_TOO_SLOW = auto()
    """A client that takes less than it is sent."""
    GRANT_TYPE_INVALID = auto()
    USER_ID_MISSING = auto()


class EdgeError(Exception):
    """Raised to refuse a request at the edge."""

    def __init__(self, reason: EdgeReason, **metadata: str) -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.metadata = metadata


class ClientGoneError(Exception):
    """The client left before its request was complete: there is nobody to answer."""
