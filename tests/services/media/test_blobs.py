"""Stores of bytes that are not there, or do not do what they should."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from services.common.settings import Settings
from services.media.blobs import FolderBlobs, MissingError, open_blobs
from services.media.headers import object_headers
from services.media.store import Garbage
from tests.support.object_store import Bucket
from tests.support.ports import free_port
from tests.support.refusals import refuses


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


@pytest.mark.parametrize("url", ["ftp://host/path", "memory:///", "nonsense", "file://media"])
def test_what_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="ROOMLINE_MEDIA_URL"):
        open_blobs(Settings(media_url=url))


async def test_a_folder_may_lie_elsewhere(tmp_path: Path) -> None:
    blobs = open_blobs(Settings(media_url=f"file://{tmp_path}/else where", data_dir=tmp_path / "data"))
    await blobs.open()
    await blobs.put("ab/key", chunks(b"x"), {})
    assert (tmp_path / "else where" / "ab" / "key").read_bytes() == b"x"


@pytest.mark.thorough
async def test_a_store_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    for name, value in {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "r"}.items():
        monkeypatch.setenv("AWS_" + name, value)
    blobs = open_blobs(Settings(media_url="s3://bucket/"))
    await blobs.open()
    with structlog.testing.capture_logs():
        async with asyncio.timeout(30):
            with refuses("SERVICE_UNAVAILABLE", service="storage"):
                await blobs.put("key", chunks(bytes(2**21)), {})
            with refuses("SERVICE_UNAVAILABLE", service="storage"):
                await blobs.get("key", 0, 1)
            assert await blobs.delete([Garbage("key", torn=False)]) == []


async def test_what_is_gone_may_be_deleted_again(
    tmp_path: Path, object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(object_store)
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    for blobs in (FolderBlobs(tmp_path / "media"), open_blobs(Settings(media_url=bucket.url))):
        await blobs.open()
        await blobs.put("ab/there", chunks(b"x"), object_headers("text/plain", "x"))
        garbage = [Garbage("ab/there", torn=False), Garbage("ab/never", torn=True), Garbage("cd/never", torn=False)]
        for _ in range(2):
            assert await blobs.delete(garbage) == [key for key, _ in garbage]
        with pytest.raises(MissingError):
            await blobs.get("ab/there", 0, 1)
    bucket.close()


async def test_what_cannot_be_read_to_its_end_is_an_error(tmp_path: Path) -> None:
    """Better than a file that is silently short."""
    blobs = FolderBlobs(tmp_path)
    await blobs.open()
    await blobs.put("ab/key", chunks(b"12345"), {})
    (tmp_path / "ab" / "key").write_bytes(b"123")
    with refuses("SERVICE_UNAVAILABLE"):
        async for _ in await blobs.get("ab/key", 0, 5):
            pass
