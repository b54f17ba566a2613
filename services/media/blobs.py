"""Where bytes lie: a local folder, or what else obstore speaks. A key names an object, and is made by us alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store, from_url
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError
from services.common.settings import Settings
from services.media.feed import Feed
from services.media.store import Garbage

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = structlog.get_logger()

CHUNK_BYTES = 256 * 1024
"""The largest piece of a download."""
WHOLE_BYTES = 1024 * 1024
"""What is not longer is put in one request."""
PARTS = 10_000
"""How many parts S3 takes."""
_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = re.compile(rf"os error ({'|'.join(map(str, _FULL_ERRORS))})\b|StorageFull|507 Insufficient Storage")
_CLIENT = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "30d"}
"""A large file takes as long as it takes; only silence is an error."""
_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
_ENVIRONMENT = {"s3": "AWS_", "s3a": "AWS_", "gs": "GOOGLE_", "az": "AZURE_", "azure": "AZURE_", "abfs": "AZURE_"}
_CLIENT_SETTINGS = (
    *("allow_http", "allow_invalid_certificates", "connect_timeout", "http1_only", "http2_only", "pool_idle_timeout"),
    *("pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate", "proxy_excludes", "read_timeout", "timeout"),
)


class MissingError(Exception):
    """There is no such object, or there is none any more."""


class Blobs:
    """Objects in a store. Every method raises SERVICE_UNAVAILABLE if that fails, and STORAGE_FULL if it is full."""

    part_bytes = 5 * 1024 * 1024
    """What S3 takes at least. Three times as much is in memory for each upload."""

    def __init__(self, store: ObjectStore, max_bytes: int) -> None:
        self._store = store
        self._part_bytes = max(self.part_bytes, -(-max_bytes // PARTS))

    @property
    def can_sign(self) -> bool:
        """Whether the store makes presigned URLs."""
        return isinstance(self._store, S3Store | GCSStore | AzureStore)

    async def open(self) -> None:
        """Makes ready what is needed to keep objects."""

    async def put(self, key: str, chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        """Writes an object; returns when it is safe. If it fails or is cancelled, or if `chunks` raises, there is none.

        `headers` are what the store shall say of the object to those who come with a presigned URL.
        """
        feed = Feed(chunks)
        # Not cancelled, but made to fail: only then does obstore take back what it has sent so far.
        writing = asyncio.ensure_future(self._write(key, feed, headers))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            feed.stop()
            await asyncio.wait([writing])
            _ = writing.exception()  # it was looked at: whatever it is, the caller is gone
            raise
        except (BaseError, OSError) as error:
            raise _failure(error) from error
        finally:
            feed.stop()

    async def get(self, key: str, start: int, length: int) -> AsyncGenerator[bytes]:
        """The bytes of a range, which the object must have, in pieces of at most `CHUNK_BYTES`. Close it when done.

        Raises MissingError: before it returns or, if the object is deleted later, while it is read.
        """
        if length == 0:
            return _nothing()
        try:
            result = await obstore.get_async(self._store, key, options={"range": (start, start + length)})
        except FileNotFoundError as error:
            raise MissingError from error
        except (BaseError, OSError) as error:
            raise _failure(error) from error
        return _read(result, length)

    async def delete(self, garbage: Sequence[Garbage]) -> list[str]:
        """Deletes objects, also such as are not there; returns the keys of those that are gone for good."""
        keys = [key for key, _ in garbage]
        try:
            await obstore.delete_async(self._store, keys)
        except (BaseError, OSError):
            return [key for key in keys if await self._delete_one(key)]
        return keys

    async def presigned(self, keys: Sequence[str], seconds: int) -> dict[str, str]:
        """URLs with which anybody can get these objects; none if the store cannot make them now."""
        if not keys or not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return {}
        try:
            urls = await obstore.sign_async(self._store, "GET", keys, timedelta(seconds=seconds))
        except (BaseError, OSError) as error:
            log.error("urls_not_signed", exc_info=error)
            return {}
        return dict(zip(keys, urls, strict=True))

    async def _delete_one(self, key: str) -> bool:
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return True
        except (BaseError, OSError) as error:
            log.warning("blob_not_deleted", key=key, exc_info=error)
            return False
        return True

    async def _write(self, key: str, feed: Feed, headers: Mapping[str, str]) -> None:
        first = bytearray()
        async for chunk in feed:
            first += chunk
            if len(first) > WHOLE_BYTES:
                source: Any = feed.after(bytes(first))
                break
        else:
            source = bytes(first)
        first.clear()
        await self._prepare(key)
        await obstore.put_async(
            self._store,
            key,
            source,
            attributes=self._attributes(headers),
            use_multipart=not isinstance(source, bytes),
            chunk_size=self._part_bytes,
            max_concurrency=2,
        )
        await self._settle(key)

    def _attributes(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        return dict(headers)

    async def _prepare(self, key: str) -> None:
        """Comes before an object is put."""

    async def _settle(self, key: str) -> None:
        """Returns when what was put outlives a power cut."""


class FolderBlobs(Blobs):
    """Objects in a local folder, readable for its owner only."""

    part_bytes = 1024 * 1024

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._part_bytes = self.part_bytes

    async def open(self) -> None:
        """See `Blobs`."""

        def make() -> None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._folder.parent)  # else a power cut could take the folder away, files and all

        await asyncio.to_thread(make)
        self._store = LocalStore(self._folder)

    @property
    def can_sign(self) -> bool:
        """See `Blobs`."""
        return False

    async def delete(self, garbage: Sequence[Garbage]) -> list[str]:
        """See `Blobs`."""
        return await asyncio.to_thread(self._delete, garbage)

    def _delete(self, garbage: Sequence[Garbage]) -> list[str]:
        gone = []
        folders = set()
        for key, torn in garbage:
            path = self._folder / key
            try:
                path.unlink(missing_ok=True)
                for staged in path.parent.glob(path.name + "#*") if torn else ():  # a crash leaves them behind
                    staged.unlink(missing_ok=True)
            except OSError as error:
                log.warning("blob_not_deleted", key=key, exc_info=error)
            else:
                folders.add(path.parent)
                gone.append(key)
        for folder in folders:  # the rows that know of these files are removed next
            with contextlib.suppress(FileNotFoundError):
                _sync(folder)
        return gone

    def _attributes(self, headers: Mapping[str, str]) -> dict[str, str] | None:  # noqa: ARG002 - a folder keeps none
        return None

    async def _prepare(self, key: str) -> None:
        await asyncio.to_thread((self._folder / key).parent.mkdir, mode=0o700, exist_ok=True)

    async def _settle(self, key: str) -> None:
        path = self._folder / key

        def sync() -> None:
            try:
                path.chmod(0o600)
                for part in (path, path.parent, self._folder):
                    _sync(part)
            except OSError:
                path.unlink(missing_ok=True)
                raise

        await asyncio.to_thread(sync)


def local_folder(settings: Settings) -> Path | None:
    """The folder that the settings name; None if it is another store. Raises ValueError."""
    url = urlsplit(settings.media_url)
    if url.scheme == "file" and url.netloc:
        raise ValueError(f"ROOMLINE_MEDIA_URL: {settings.media_url!r} names a host; a folder takes three slashes")
    if not settings.media_url:
        return settings.data_dir / "media"
    return Path(unquote(url.path)) if url.scheme == "file" else None


def open_blobs(settings: Settings) -> Blobs:
    """The store that the settings name. Raises ValueError, or an error of obstore's, if there is none such."""
    folder = local_folder(settings)
    if folder is not None:
        return FolderBlobs(folder)
    url = urlsplit(settings.media_url)
    prefix = _ENVIRONMENT.get(url.scheme)
    if prefix is None:
        raise ValueError(f"ROOMLINE_MEDIA_URL: {url.scheme!r} is none of file, {', '.join(_ENVIRONMENT)}")
    # Given client options are taken instead of those of the environment, so these have to be among them.
    from_environment = {
        name: os.environ[prefix + name.upper()] for name in _CLIENT_SETTINGS if prefix + name.upper() in os.environ
    }
    options: Any = _CLIENT | from_environment
    return Blobs(from_url(settings.media_url, client_options=options, retry_config=_RETRY), settings.media_max_bytes)


async def _nothing() -> AsyncGenerator[bytes]:
    return
    yield b""


async def _read(result: obstore.GetResult, length: int) -> AsyncGenerator[bytes]:
    left = length
    try:
        async for piece in result.stream(min_chunk_size=CHUNK_BYTES):
            for start in range(0, len(piece), CHUNK_BYTES):
                chunk = bytes(piece[start : start + CHUNK_BYTES])
                left -= len(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise MissingError from error
    except (BaseError, OSError) as error:
        raise _failure(error) from error
    if left:
        raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="storage")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(error: Exception) -> RoomlineError:
    """What a caller is told; the log gets the rest."""
    if _FULL.search(str(error)) or (isinstance(error, OSError) and error.errno in _FULL_ERRORS):
        return RoomlineError(ErrorReason.ERROR_REASON_STORAGE_FULL)
    log.error("storage_failed", exc_info=error)
    return RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="storage")
