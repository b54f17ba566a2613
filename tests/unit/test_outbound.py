"""The one way out: where it goes, and what it bears (fault 20)."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import IPv4Address

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from services.common.lookups import LOOKUPS
from services.common.outbound import (
    MAX_URL_LENGTH,
    Outbound,
    OutboundError,
    OutboundFailed,
    OutboundRefused,
)
from tests.support.ports import free_port
from tests.support.receiver import Receiver, receiver, refuse

HERE = "127.0.0.1"


class Names:
    """A name server with an answer for each question; the last one is repeated."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers: Iterator[Sequence[str]] = iter(answers[:-1])
        self._last = answers[-1]
        self.asked = 0

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked += 1
        return next(self._answers, self._last)


@pytest.fixture
async def target() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.0.0.1:8443/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://0/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1%25eth0]/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://any.localhost/",
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "unix:/run/socket",
        "//example.org/",
        "example.org",
        "",
        "https://",
        "https:///path",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:port/",
        "https://user@example.org/",
        "https://user:password@example.org/",
        "https://:password@example.org/",
        "https://example.org/#part",
        "https://example.org\\@127.0.0.1/",
        "https://example.org/a b",
        "https://example.org/\r\nHost: 127.0.0.1",
        "https://[::1/",
        "https://example.org][@/",
        "https://example.org/" + "a" * MAX_URL_LENGTH,
    ],
)
async def test_a_url_that_is_not_allowed_is_refused_unseen(url: str) -> None:
    names = Names(["1.1.1.1"])
    async with Outbound(resolve=names) as outbound:
        with pytest.raises(OutboundRefused):
            await outbound.check(url)
        with pytest.raises(OutboundRefused):
            await outbound.post(url, b"", {})
    assert not names.asked


@given(
    st.ip_addresses(v=4, network="127.0.0.0/8"),
    st.lists(st.sampled_from(("{}", "0{:o}", "0x{:x}")), min_size=4, max_size=4),
    st.integers(1, 4),
)
def test_no_notation_of_this_machine_gets_through(address: IPv4Address, forms: list[str], parts: int) -> None:
    """As C reads addresses: up to four parts, decimal, octal or hexadecimal, the last of which has the rest."""
    number = int(address)
    values = [number >> 24, number >> 16 & 255, number >> 8 & 255][: parts - 1]
    values.append(number & ((1 << 8 * (5 - parts)) - 1))
    host = ".".join(form.format(value) for form, value in zip(forms, values, strict=False))

    async def check() -> None:
        async with Outbound(resolve=Names(["1.1.1.1"])) as outbound:
            await outbound.check(f"https://{host}/")

    with pytest.raises(OutboundRefused):
        asyncio.run(check())


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c", "https://example.org:8443/", "https://b\xfccher.example/", "https://1.1.1.1/"]
)
async def test_a_public_url_is_allowed(url: str) -> None:
    async with Outbound(resolve=Names(["1.1.1.1", "2606:4700:4700::1111"])) as outbound:
        await outbound.check(url)


@pytest.mark.parametrize(
    "addresses",
    [
        [HERE],
        ["1.1.1.1", HERE],
        [HERE, "1.1.1.1"],
        ["2606:4700:4700::1111", "::1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["0.0.0.0"],
        ["fe80::1%2"],
        ["no address"],
    ],
)
async def test_a_name_with_a_private_address_is_refused(addresses: Sequence[str]) -> None:
    async with Outbound(resolve=Names(addresses)) as outbound:
        with pytest.raises(OutboundRefused):
            await outbound.check("https://example.org/")
        with pytest.raises(OutboundRefused):
            await outbound.post("https://example.org/", b"", {})


async def test_the_second_answer_of_a_name_server_is_checked_like_the_first() -> None:
    names = Names(["1.1.1.1"], [HERE])
    async with Outbound(resolve=names) as outbound:
        await outbound.check("https://example.org/")
        with pytest.raises(OutboundRefused):
            await outbound.post("https://example.org/", b"", {})


async def test_a_request_goes_to_an_address_that_was_checked_for_it(target: Receiver) -> None:
    names = Names([HERE], ["127.0.0.2"])
    url = target.url.replace(HERE, "hooks.example.org")
    async with Outbound(allow_private=True, resolve=names) as outbound:
        answer = await outbound.post(f"{url}/path?query", b"body", {"X-Own": "yes"})
    assert (answer.status, names.asked) == (204, 1)
    (posted,) = target.posted
    assert (posted.path, posted.body) == ("/path?query", b"body")
    assert posted.headers["x-own"] == "yes"
    assert posted.headers["host"].startswith("hooks.example.org:")


async def test_of_a_name_that_leads_inside_one_learns_no_more_than_of_one_that_is_not_there() -> None:
    """The names inside of our network are nobody's business; the operator is told which it is."""

    async def look_up(host: str) -> Sequence[str]:
        if host == "inside.example.org":
            return ["10.0.0.7"]
        raise OSError("no such name")

    said: list[tuple[str, str]] = []
    async with Outbound(resolve=look_up) as outbound:
        for host in ("inside", "nothing"):
            for request in (
                outbound.check(f"https://{host}.example.org/"),
                outbound.post(f"https://{host}.example.org/", b"", {}),
            ):
                with pytest.raises(OutboundError) as raised:
                    await request
                said.append((raised.value.problem, str(raised.value)))
    assert len({problem for problem, _ in said}) == 1
    assert ["resolved" in detail for _, detail in said] == [False, False, True, True]
    assert ["not public" in detail for _, detail in said] == [True, True, False, False]


async def test_what_the_system_resolves_is_checked_too() -> None:
    async with Outbound() as outbound:
        with pytest.raises(OutboundFailed, match="resolved"):
            await outbound.check("https://no-such-name.invalid/")
        with pytest.raises(OutboundFailed, match="resolved"):
            await outbound.check(f"https://{'a' * 70}.example/")


async def test_private_addresses_go_if_they_are_allowed_but_those_of_clouds(target: Receiver) -> None:
    async with Outbound(allow_private=True) as outbound:
        assert (await outbound.post(target.url, b"", {})).status == 204
        for url in ("http://169.254.169.254/", "http://0177.0.0.1/", "http://[fe80::1]/"):
            with pytest.raises(OutboundRefused):
                await outbound.post(url, b"", {})


async def test_neither_proxies_nor_cookies_are_used(target: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    target.reply = refuse(200, Set_Cookie="name=value")
    async with Outbound(allow_private=True) as outbound:
        for _ in range(2):
            assert (await outbound.post(target.url, b"", {})).status == 200
    assert all("cookie" not in posted.headers for posted in target.posted)


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
async def test_a_body_of_any_size_is_sent(target: Receiver, size: int) -> None:
    body = b"x" * size
    async with Outbound(allow_private=True) as outbound:
        assert (await outbound.post(target.url, body, {})).status == 204
    (posted,) = target.posted
    assert (posted.body, posted.headers["content-length"]) == (body, str(size))


async def test_names_that_hang_when_they_are_checked_hold_up_no_request(
    target: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody who may register an endpoint could stop all deliveries otherwise."""
    answer = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host == "slow.example.org":
            answer.wait(60)
        return [(None, None, None, None, (HERE, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with Outbound(allow_private=True, timeout=60) as outbound:
        checks = [asyncio.create_task(outbound.check("https://slow.example.org/")) for _ in range(2 * LOOKUPS)]
        try:
            url = target.url.replace(HERE, "quick.example.org")
            assert (await outbound.post(url, b"", {})).status == 204
            assert not any(check.done() for check in checks)
        finally:
            answer.set()
            await asyncio.gather(*checks)


async def test_a_slow_name_server_is_not_waited_for() -> None:
    async def never(_: str) -> Sequence[str]:
        nothing: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        return await nothing

    async with Outbound(resolve=never, timeout=0.1) as outbound:
        with pytest.raises(OutboundFailed, match="resolved"):
            await outbound.check("https://example.org/")
        with pytest.raises(OutboundFailed, match="in time"):
            await outbound.post("https://example.org/", b"", {})


async def test_nobody_there() -> None:
    url = f"http://{HERE}:{free_port()}/"
    async with Outbound(allow_private=True) as outbound:
        with pytest.raises(OutboundFailed, match="no connection"):
            await outbound.post(url, b"", {})


async def test_the_certificate_must_be_that_of_the_name() -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example.org").configure_cert(server)
    authority.configure_trust(client)
    async with receiver(tls=server) as target:
        names = Names([HERE])
        async with Outbound(allow_private=True, resolve=names, trust=client) as outbound:
            url = target.url.replace(HERE, "hooks.example.org")
            assert (await outbound.post(url, b"", {})).status == 204
            with pytest.raises(OutboundFailed, match="secure"):
                await outbound.post(target.url.replace(HERE, "other.example.org"), b"", {})
        async with Outbound(allow_private=True, resolve=names) as outbound:
            with pytest.raises(OutboundFailed, match="secure"):
                await outbound.post(url, b"", {})
