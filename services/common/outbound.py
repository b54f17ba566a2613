"""The one way out: requests to URLs that others have chosen, such as webhooks and push services (fault 20).

A name is resolved once, all its addresses are checked, and the connection goes to one of these, so that a second answer
of the name's server counts for nothing. Redirects are not followed, and neither proxies from the environment nor
cookies are used. Time and size of an answer are bounded.

Whoever chooses a URL learns nothing of our network by it: of a name that leads inside, the same as of one that nobody
knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.common.lookups import Lookups
from services.common.public_addresses import allowed

_HEADERS = {"User-Agent": "Roomline", "Accept-Encoding": "identity"}

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""Host name → its addresses in their usual notation. Raises OSError."""

TIMEOUT_SECONDS = 15.0
"""How long a request may take, from the look-up of the name to the answer's end."""
MAX_ANSWER_BYTES = 16 * 1024
"""More of an answer that nobody wants is not read."""
MAX_ANSWER_SECONDS = 1.0
"""Nor is it waited for any longer."""
MAX_URL_LENGTH = 2048
MAX_FILE_URL_LENGTH = 8192
"""Of a file: signatures are long."""
PIECE_BYTES = 64 * 1024
MAX_CONNECTIONS = 1024


_NO_ADDRESS = "its host has no address that requests may go to"


class OutboundError(Exception):
    """A request that did not get an answer.

    `problem` says why, in words that may be shown to whoever chose the URL. As text the error says more: that is for
    the operator alone.
    """

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(detail or problem)
        self.problem = problem


class OutboundRefused(OutboundError):  # noqa: N818 - it is no error of ours
    """The URL, or where it leads, is not allowed. Nothing was sent."""


class OutboundFailed(OutboundError):  # noqa: N818 - it is no error of ours
    """No whole answer came in time. Whether the request arrived is unknown."""


class OutboundUnanswered(OutboundFailed):
    """Nobody has said anything: the host has no name, cannot be connected to, or is silent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; a redirect is an answer, too."""

    status: int
    headers: Mapping[str, str]
    """By their names in any case."""


class Outbound:
    """A client for the time of its `async with` block; safe for many requests at once.

    `allow_private` also allows http, and addresses of private networks and this machine. `trust` has the authorities
    whose certificates count: by default the system's.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        resolve: Resolve | None = None,
        timeout: float | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._timeout = timeout or TIMEOUT_SECONDS
        self._trust = trust
        self._resolve = resolve or Lookups()
        self._resolve_to_check = resolve or Lookups()
        """Beside the other: names that hang, which anybody may have checked, hold up no request."""
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Outbound:
        connector = aiohttp.TCPConnector(
            ssl=self._trust or True,
            resolver=_Checked(self._addresses),
            use_dns_cache=False,
            socket_factory=self._socket,
            limit=MAX_CONNECTIONS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),  # one of our own includes what follows
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a small answer stays small
            skip_auto_headers=("User-Agent",),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def check(self, url: str) -> None:
        """Looks whether requests may go to the URL, as of now. Raises OutboundRefused, OutboundFailed."""
        parsed = self._parsed(url)
        host = _host(parsed)
        if not _is_address(host):
            try:
                async with asyncio.timeout(self._timeout):
                    self._require_all(await self._resolve_to_check(host))
            except (TimeoutError, OSError):
                raise _unknown_name() from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends the body. Raises OutboundRefused, OutboundFailed.

        Status and headers are the answer: nobody cares what follows them, or whether anything does.
        """
        parsed = self._parsed(url)
        async with contextlib.AsyncExitStack() as stack:
            with _problems():
                async with asyncio.timeout(self._timeout):
                    request = self._session.post(
                        parsed, data=io.BytesIO(body), headers={**_HEADERS, **headers}, allow_redirects=False
                    )
                    response = await stack.enter_async_context(request)
            await _pass_over(response)
            return Answer(response.status, response.headers)

    async def get(self, url: str, most: int) -> AsyncGenerator[bytes]:
        """The bytes of a file, in pieces; close it. The time that is allowed is for the first and for each next piece.

        Raises OutboundRefused, and OutboundFailed for another answer than 200 and for more than `most` bytes.
        """
        parsed = self._parsed(url, MAX_FILE_URL_LENGTH)
        async with contextlib.AsyncExitStack() as stack:
            with _problems():
                async with asyncio.timeout(self._timeout):
                    request = self._session.get(parsed, headers=_HEADERS, allow_redirects=False)
                    response = await stack.enter_async_context(request)
            if response.status != 200:
                raise OutboundFailed(f"the answer has the status {response.status}")
            size = 0
            while True:
                with _problems():
                    async with asyncio.timeout(self._timeout):
                        piece = await response.content.read(PIECE_BYTES)
                if not piece:
                    return
                size += len(piece)
                if size > most:
                    raise OutboundFailed(f"the answer has more than {most} bytes")
                yield piece

    def _parsed(self, url: str, longest: int = MAX_URL_LENGTH) -> URL:
        """The URL as requests take it, so that nobody else reads it otherwise. Raises OutboundRefused."""
        if len(url) > longest or any(one <= " " or one in {"\x7f", "\\"} for one in url):
            raise OutboundRefused("it is no URL, or too long")
        try:
            parsed = URL(url)
            scheme, host, port = parsed.scheme, parsed.raw_host, parsed.port
        except (ValueError, IndexError):  # the latter of brackets in odd places
            raise OutboundRefused("it is no URL") from None
        if scheme not in {"http", "https"} or not host or not port:
            raise OutboundRefused("it is no URL of a web server")
        if scheme == "http" and not self._allow_private:
            raise OutboundRefused("it must begin with https://")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise OutboundRefused("it must not have a user or password")
        if parsed.raw_fragment:
            raise OutboundRefused("it must not have a fragment")
        host = _host(parsed)
        if _is_address(host) and not allowed(host, private=self._allow_private):
            raise OutboundRefused("its address is not public")
        if host == "localhost" or host.endswith(".localhost"):
            self._require("127.0.0.1")
        return parsed

    async def _addresses(self, host: str) -> Sequence[str]:
        """The host's addresses, if all of them are allowed. Raises OutboundRefused, OSError."""
        addresses = await self._resolve(host)
        self._require_all(addresses)
        return addresses

    def _require_all(self, addresses: Sequence[str]) -> None:
        if not addresses:
            raise OSError("no address")
        for address in addresses:
            self._require(address)

    def _require(self, address: str) -> None:
        if not allowed(address, private=self._allow_private):
            raise OutboundRefused(_NO_ADDRESS, "the name of its host leads to an address that is not public")

    def _socket(self, info: tuple[Any, ...]) -> socket.socket:
        """The last look, at the very address that is connected to: no way around the others gets past this."""
        family, kind, protocol, _, address = info
        self._require(str(address[0]))
        return socket.socket(family, kind, protocol)


class _Checked(AbstractResolver):
    """What the HTTP library asks for addresses."""

    def __init__(self, addresses: Resolve) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OutboundRefused, OSError."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._addresses(host)
            if family in {socket.AF_UNSPEC, socket.AF_INET6 if ":" in address else socket.AF_INET}
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")


def _is_address(host: str) -> bool:
    """Whether it is meant as an address, in whatever notation; no public name ends in a number (WHATWG URL, 3.5)."""
    last = host.rpartition(".")[2]
    return ":" in host or last.isdigit() or last.startswith("0x")


def _unknown_name() -> OutboundFailed:
    return OutboundUnanswered(_NO_ADDRESS, "the name of its host cannot be resolved")


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    # Causes are left out: they name addresses, which the one who chose the URL may not be meant to know.
    try:
        yield
    except TimeoutError:
        raise OutboundUnanswered("no answer in time") from None
    except aiohttp.ClientConnectorDNSError:
        raise _unknown_name() from None
    except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch):
        raise OutboundFailed("no secure connection") from None
    except aiohttp.ClientConnectorError:
        raise OutboundUnanswered("no connection") from None
    except (aiohttp.ClientError, OSError):
        raise OutboundFailed("no proper answer") from None


async def _pass_over(response: aiohttp.ClientResponse) -> None:
    """Reads what is left if it is little and comes soon: then the connection can be used again. Else it is closed."""
    left = MAX_ANSWER_BYTES
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(MAX_ANSWER_SECONDS):
            while left > 0 and (piece := await response.content.read(left)):
                left -= len(piece)
    if not response.content.at_eof():
        response.close()
