"""Signatures: for whom, for how long, and with which keys."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import OctKey
from roomline.v1.attachment_pb2 import Attachment

from services.common.ids import MICROSECONDS
from services.media.signatures import DOWNLOAD_SECONDS, RENEW_SECONDS, Signatures, Signed
from services.media.store import Stored
from tests.stores.media_stores import MediaStores, open_stores
from tests.support.refusals import refuses

STORED = Stored("one", Attachment(id="a"), "room", None, sized=True)
OWN = Stored("one", Attachment(id="b"), None, None, sized=True)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[MediaStores]:
    """Stores on SQLite."""
    opened = await open_stores(tmp_path)
    yield opened
    await opened.database.close()


@pytest.fixture
async def signatures(stores: MediaStores) -> Signatures:
    """Signatures with keys."""
    made = Signatures(stores.keys, stores.clock)
    await made.refresh()
    return made


def seconds(stores: MediaStores) -> int:
    return stores.clock() // MICROSECONDS


async def test_they_say_what_they_are_for(stores: MediaStores, signatures: Signatures) -> None:
    ends = seconds(stores) + 10
    assert signatures.verify(signatures.sign(STORED, "GET", ends), "GET") == Signed("one", "a", "room", ends)
    assert signatures.verify(signatures.sign(OWN, "PUT", ends), "PUT") == Signed("one", "b", None, ends)
    assert signatures.verify(signatures.sign(OWN, "GET", None), "GET") == Signed("one", "b", None, None)
    with refuses("SIGNATURE_INVALID"):
        signatures.verify(signatures.sign(STORED, "GET", ends), "PUT")


async def test_they_end(stores: MediaStores, signatures: Signatures) -> None:
    signature = signatures.sign(STORED, "GET", seconds(stores) + 10)
    stores.clock.advance(9.9)
    signatures.verify(signature, "GET")
    stores.clock.advance(0.1)
    with refuses("SIGNATURE_INVALID"):
        signatures.verify(signature, "GET")


async def test_keys_change_and_nothing_that_counts_is_lost(stores: MediaStores, signatures: Signatures) -> None:
    permanent = signatures.sign(STORED, "GET", None)
    first = signatures.sign(STORED, "GET", seconds(stores) + DOWNLOAD_SECONDS)
    stores.clock.advance(RENEW_SECONDS - 5)
    await signatures.refresh()
    last = signatures.sign(STORED, "GET", seconds(stores) + DOWNLOAD_SECONDS)
    assert last.split(".")[0] == first.split(".")[0]  # the same key
    stores.clock.advance(10)
    restarted = Signatures(stores.keys, stores.clock)
    await restarted.refresh()
    later = restarted.sign(STORED, "GET", seconds(stores) + 60 * 86_400)
    assert later.split(".")[0] != first.split(".")[0]
    stores.clock.advance(DOWNLOAD_SECONDS - 20)
    await restarted.refresh()
    for signature in (permanent, last, later):
        restarted.verify(signature, "GET")
    stores.clock.advance(3 * RENEW_SECONDS)
    await restarted.refresh()
    await restarted.refresh()
    with refuses("SIGNATURE_INVALID"):
        restarted.verify(last, "GET")
    assert len(await stores.rows("SELECT * FROM signing_keys")) == 3
    restarted.verify(permanent, "GET")
    assert restarted.sign(STORED, "GET", None) == permanent


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


async def test_forged_ones_are_refused(stores: MediaStores, signatures: Signatures) -> None:
    good = signatures.sign(STORED, "GET", seconds(stores) + 10)
    header, payload, mark = good.split(".")
    kid = orjson.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
    claims = {"sub": "a", "instance": "one", "method": "GET"}
    secret = str((await stores.rows("SELECT secret FROM signing_keys WHERE permanent = 0"))[0][0])
    endless = jws.serialize_compact({"alg": "HS256", "kid": kid}, orjson.dumps(claims), OctKey.import_key(secret))
    foreign = jws.serialize_compact({"alg": "HS256", "kid": kid}, orjson.dumps(claims), OctKey.import_key("x" * 32))
    headers = [{"alg": "none", "kid": kid}, {"alg": "HS512", "kid": kid}, {"alg": "HS256"}, ["alg", "kid"], "kid", None]
    headers += [{"alg": "HS256", "kid": kid_} for kid_ in ("other", None, 1, [kid], {"a": 1})]
    headers.append({"alg": "HS256", "kid": kid, "crit": ["b64"], "b64": False})
    for forged in (
        *(f"{encoded(one)}.{payload}.{mark}" for one in headers),
        *(f"{encoded(one)}.{payload}." for one in headers),
        f"{header}.{encoded(claims)}.{mark}",
        f"{header}.{payload}.{mark[:-4]}",
        f"{header}.{payload}.{mark}.{mark}",
        *(endless, foreign, "", "...", "\ud800".encode("utf-8", "replace").decode(), "ä", good + "\n"),
    ):
        with refuses("SIGNATURE_INVALID"):
            signatures.verify(forged, "GET")
    assert signatures.verify(good, "GET")
