"""Where a request comes from, behind proxies: what they say of it counts only if they are trusted.

`X-Forwarded-For` grows at its right end: each proxy adds the address that it was reached from, and what stands further
left may be anybody's invention. So it is read from the right, as long as trusted proxies stand there.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_SCHEMES = {"http", "https"}


class Origin(NamedTuple):
    """What the client did to get here."""

    address: str
    """The client's, empty if unknown."""
    scheme: str
    """`http` or `https`, as the client spoke it."""


class Proxies:
    """The proxies of this installation."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = trusted

    def origin(self, scope: Scope) -> Origin:
        """Where the request of an ASGI scope comes from."""
        peer: str = (scope.get("client") or ("",))[0]
        direct = Origin(peer, scope["scheme"])
        if not self._trusted or not self._is_trusted(parsed(peer)):
            return direct
        forwarded = _elements(scope, b"x-forwarded-for")
        schemes = _elements(scope, b"x-forwarded-proto")
        scheme = schemes[-1].lower() if schemes else ""
        return Origin(self._client(forwarded) or peer, scheme if scheme in _SCHEMES else direct.scheme)

    def _client(self, forwarded: Sequence[str]) -> str:
        """The right-most address that is no trusted proxy's, the left-most if all are; empty if it cannot be read."""
        client: Address | None = None
        for text in reversed(forwarded):
            client = parsed(text)
            if not self._is_trusted(client):
                break
        return "" if client is None else str(client)

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)


def parsed(text: str) -> Address | None:
    """An address as proxies write it, with a port, in brackets or in quotes; None if it is none.

    An IPv4 address in the form of IPv6 is taken for what it is.
    """
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _elements(scope: Scope, name: bytes) -> list[str]:
    """The elements of a header that holds a list, in all its lines."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [element.strip() for element in ",".join(lines).split(",")] if lines else []
