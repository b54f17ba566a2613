"""How much goes into a frame, and how long a channel waits."""

import random
from collections.abc import Callable
from dataclasses import dataclass

MAX_FRAME_ITEMS = 64
"""The most calls or results that a frame may have (see the contract)."""

MAX_FRAME_BYTES = 1024 * 1024
"""The most bytes in a frame of calls, and in one of several results. A call above it goes unary, a result above it has
a frame of its own."""

ITEM_OVERHEAD = 64
"""More than an item's numbers and tags ever take."""

MAX_METADATA_ITEMS = 128
"""The most metadata entries of a call: in HTTP/2 their number costs the sender more than it does here."""

GRPC_MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message that a gRPC peer accepts unless its options say otherwise."""

MAX_IN_FLIGHT = 1024
"""How many calls one pipe has in flight unless a setting says otherwise."""

RECONNECT_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
"""Channel options for a channel under a pipe: gRPC's own backoff rises to two minutes, and a pipe that dials
meanwhile is refused without a try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How a `PipeChannel` bears that its server is slow, busy or away. All times are seconds."""

    max_queued: int = 16384
    """How many calls may wait to be sent; one more ends RESOURCE_EXHAUSTED at once."""
    connect_seconds: float = 5.0
    """How long one try to open the stream may take."""
    outage_seconds: float = 2.0
    """How long a server may be away before calls fail UNAVAILABLE: time to restart. From then on calls fail at once
    until it is back, except those with `wait_for_ready`."""
    first_backoff_seconds: float = 0.05
    """The pause after the first failed try; it doubles."""
    max_backoff_seconds: float = 1.0
    """The longest pause between tries."""
    max_sends: int = 3
    """How often a call that may be repeated is sent in all: one that kills its server must not kill it for ever."""
    random: Callable[[], float] = random.random
    """Between 0 and 1; spreads the tries of many channels."""
