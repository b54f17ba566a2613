"""Downloading attachments: exact bytes, headers, ranges, caches, browsers (spec §6.3, §12.1).

Faults #12 (names), #13 (files with script), #17 (absurd ranges).
"""

import re
import time
from urllib.parse import unquote

import pytest

from tests.wire import codes
from tests.wire.client import Reply, Server
from tests.wire.files import DATA, at, attach, attachment_of

SIZE = len(DATA)


@pytest.fixture
def url(server: Server, alice: str, room: str) -> str:
    """The download URL of an attachment in a message."""
    reserved = attach(server, room, alice, content_type="image/png", name="figure.png")
    return str(attachment_of(server, room, server.send(room, alice, reserved.part))["download_url"])


def get(server: Server, url: str, **headers: str) -> Reply:
    return at(server, url, headers={name.replace("_", "-"): value for name, value in headers.items()})


def items(reply: Reply, name: str) -> set[str]:
    return {item.strip().lower() for item in ",".join(reply.headers.get_all(name, [])).split(",")}


def test_a_download_is_what_was_uploaded(server: Server, url: str) -> None:
    reply = get(server, url)
    assert (reply.status, reply.body) == (200, DATA)
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["Content-Length"] == str(SIZE)
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert re.fullmatch(r'"[^"]+"', reply.headers["ETag"])


def test_a_token_is_not_looked_at(server: Server, url: str) -> None:
    assert get(server, url, Authorization="Bearer nonsense").body == DATA


@pytest.mark.parametrize(
    "content_type", ["image/jif", "file/x-pusher-file", "text/plain; charset=utf-8", "application/json", "IMAGE/PNG"]
)
def test_the_stored_type_is_told(server: Server, alice: str, room: str, content_type: str) -> None:
    reserved = attach(server, room, alice, content_type=content_type)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    assert get(server, attachment["download_url"]).headers["Content-Type"] == content_type


@pytest.mark.parametrize(
    "content_type", ["nonsense", "a/b\r\nX-Evil: 1", "text/html\n", "a/b/c", "\N{GRINNING FACE}/x"]
)
def test_what_is_no_type_is_octets(server: Server, alice: str, room: str, content_type: str) -> None:
    reserved = attach(server, room, alice, content_type=content_type)
    reply = get(server, server.user(alice).get(f"/rooms/{room}/attachments/{reserved.id}").read()["download_url"])
    assert (reply.status, reply.body) == (200, DATA)
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert "X-Evil" not in reply.headers


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        ("text/html", b"<script>alert(1)</script>"),
        ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("image/png", b"<html><script>alert(1)</script>"),
        ("application/pdf", b"%PDF-"),
    ],
)
def test_no_file_runs_in_a_browser(server: Server, alice: str, room: str, content_type: str, data: bytes) -> None:
    reserved = attach(server, room, alice, data, content_type=content_type)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    for method in ("GET", "HEAD"):
        headers = at(server, attachment["download_url"], method).headers
        assert headers["Content-Disposition"].startswith("attachment")
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = {directive.strip() for directive in headers["Content-Security-Policy"].split(";")}
        assert policy == {"sandbox", "default-src 'none'"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("figure.png", "figure.png"),
        ("my figure.png", "my figure.png"),
        ("na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{GRINNING FACE}.png", None),
        ('"; filename="evil.exe', None),
        ("x\r\nX-Evil: 1", "xX-Evil: 1"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "gpj.exe"),
        ("%2e%2e%2f", None),
        ("x" * 4000 + ".png", "x" * 251 + ".png"),
    ],
)
def test_a_name_stays_in_its_header(server: Server, alice: str, room: str, name: str, told: str | None) -> None:
    reserved = attach(server, room, alice, name=name)
    url = server.user(alice).get(f"/rooms/{room}/attachments/{reserved.id}").read()["download_url"]
    reply = get(server, url)
    assert reply.body == DATA
    assert "X-Evil" not in reply.headers
    match = re.fullmatch(
        r"attachment; filename=\"([^\"\\]*)\"; filename\*=UTF-8''([A-Za-z0-9!#$&+.^_`|~%-]*)",
        reply.headers["Content-Disposition"],
    )
    assert match is not None
    assert unquote(match[2]) == (name if told is None else told)


def test_head_has_the_headers_of_get(server: Server, url: str) -> None:
    whole, head = get(server, url), at(server, url, "HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Content-Disposition", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, SIZE - 1),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-9999999", 1000, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=-9999999", 0, SIZE - 1),
        ("bytes=5-99999999999999999999999999", 5, SIZE - 1),
    ],
)
def test_a_range(server: Server, url: str, header: str, first: int, last: int) -> None:
    reply = get(server, url, Range=header)
    assert (reply.status, reply.body) == (206, DATA[first : last + 1])
    assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert reply.headers["ETag"] == get(server, url).headers["ETag"]
    assert reply.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", "bytes=99999999999999999999999999-", "bytes=-0"])
def test_a_range_that_is_not_there(server: Server, url: str, header: str) -> None:
    reply = get(server, url, Range=header)
    reply.fails(416)
    assert reply.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=0-1,3-4", "bytes=0-,-1", "lines=0-1", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b"),
        "bytes=" + ",".join(f"{first}-" for first in range(8000)),
        "bytes=" + "0-," * 18_000,
        "bytes=" + " " * 50_000 + "-",
    ],
    ids=lambda header: header[:20],
)
def test_what_is_not_one_range_is_the_whole_file(server: Server, url: str, header: str) -> None:
    started = time.perf_counter()
    reply = get(server, url, Range=header)
    assert (reply.status, reply.body) == (200, DATA)
    assert time.perf_counter() - started < 1


def test_a_cache_asks_with_what_it_has(server: Server, url: str) -> None:
    etag = get(server, url).headers["ETag"]
    for method in ("GET", "HEAD"):
        reply = at(server, url, method, headers={"If-None-Match": f'"x", W/{etag}'})
        assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", etag)
    assert get(server, url, If_None_Match="*").status == 304
    assert get(server, url, If_None_Match='"x"').body == DATA


def test_a_range_goes_with_the_bytes_it_was_asked_for(server: Server, url: str) -> None:
    etag = get(server, url).headers["ETag"]
    assert get(server, url, Range="bytes=1-2", If_Range=etag).status == 206
    for other in ('"x"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert get(server, url, Range="bytes=1-2", If_Range=other).body == DATA


def test_only_the_clients_own_cache_keeps_it_and_not_for_long(server: Server, url: str) -> None:
    match = re.fullmatch(r"private, max-age=(\d+)", get(server, url).headers["Cache-Control"])
    assert match is not None
    assert int(match[1]) <= 24 * 3600


def test_every_page_may_read_and_show_it(server: Server, url: str) -> None:
    etag = get(server, url).headers["ETag"]
    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=9999-"}, {"If-None-Match": etag}):
        reply = at(server, url, headers={"Origin": "null", **headers})
        assert reply.headers.get_all("Access-Control-Allow-Origin") == ["*"]
    reply = get(server, url, Origin="https://app.example")
    assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    exposed = items(reply, "Access-Control-Expose-Headers")
    assert exposed >= {"content-disposition", "content-range", "etag", "accept-ranges"}


@pytest.mark.parametrize(("method", "asked"), [("PUT", "content-type"), ("GET", "range,if-range"), ("HEAD", "x-own")])
def test_a_preflight_needs_no_signature(server: Server, url: str, method: str, asked: str) -> None:
    headers = {
        "Origin": "null",
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked,
    }
    for target in (url, url.partition("?")[0]):
        reply = at(server, target, "OPTIONS", headers=headers)
        assert reply.status in {200, 204}
        assert reply.headers.get_all("Access-Control-Allow-Origin") == ["*"]
        assert items(reply, "Access-Control-Allow-Methods") >= {"put", "get", "head", "options"}
        assert items(reply, "Access-Control-Allow-Headers") >= set(asked.split(","))


def test_a_changed_signature_gives_nothing(server: Server, alice: str, room: str, url: str) -> None:
    base, _, signature = url.partition("?signature=")
    other = attach(server, room, alice)
    elsewhere = base.rpartition("/")[0] + f"/{other.id}?signature={signature}"
    changed = signature[:-5] + ("a" if signature[-5] != "a" else "b") + signature[-4:]
    for wrong in (base, f"{base}?signature=", f"{base}?signature={changed}", elsewhere, other.upload_url):
        reply = get(server, wrong, Origin="null")
        reply.fails(403, codes.SIGNATURE_INVALID)
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        assert "no-store" in reply.headers["Cache-Control"]


def test_an_unknown_thumbnail(server: Server, url: str) -> None:
    get(server, f"{url}&thumbnail=x").refuses("thumbnail")
    get(server, f"{url}&thumbnail=123456").fails(404, codes.ATTACHMENT_NOT_FOUND)
