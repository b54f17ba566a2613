"""How long the gateway waits for its clients."""

from typing import NamedTuple


class Patience(NamedTuple):
    """How many seconds a client may keep a connection waiting."""

    head: float = 20.0
    """For a whole head, from its first byte or the beginning of the connection."""
    body: float = 30.0
    """For the next bytes of a body. Whoever takes a body as it arrives has a limit of its own."""
    idle: float = 75.0
    """For the next request. Longer than the idle time of usual proxies and of the SDKs' connection pools, so that they
    close first."""
    taking: float = 60.0
    """For taking some of what it was sent."""
    lingering: float = 2.0
    """For reading an answer that ends the connection while the client is still sending."""
    ping: float = 45.0
    """Between two pings on a WebSocket."""
    silence: float = 100.0
    """For anything on a WebSocket: an answer to a ping, for one. Two pings may get lost."""
    look: float = 0.5
    """Between two looks at the connections: cheaper than a timer for each request."""
