"""What a picture is like: its size, and small copies of it. A process of its own finds out, which may fail."""

import asyncio
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Collection
from typing import TypedDict

import structlog

log = structlog.get_logger()

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
"""The detected types for which it is worth asking `Pictures.look`."""

THUMBNAIL_TYPE = "image/webp"
START_SECONDS = 30.0
MAX_THUMBNAIL_BYTES = 8 * 1024**2
MAX_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one picture may cost. One too large to be decoded still has a size, up to four times `max_pixels`."""

    max_bytes: int = 64 * 1024**2
    """How much of the file is read; what is longer has no thumbnails."""
    max_pixels: int = 48 * 1024**2
    """What is decoded at most: 8192 by 6144, which a telephone calls 50 megapixels."""
    max_side: int = 16_384
    thumbnails: tuple[int, ...] = (1024, 480, 160)
    """The pixels of a thumbnail's longer side, descending. Only those smaller than the picture are made."""
    memory_bytes: int = 768 * 1024**2
    """Address space of the process. The largest PNG takes 450 MiB, AVIF 610; the largest WebP would take 830."""
    cpu_seconds: int = 10
    wall_seconds: float = 30.0
    """How long the process may take for what it has been given, however little of that it is allowed to run."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """What was found out."""

    width: int
    """In pixels, as shown: turned as its EXIF data say."""
    height: int
    thumbnails: dict[int, bytes] = dataclasses.field(repr=False)
    """By the pixels of their longer side, WebP without metadata. Empty as well if the picture could not be decoded."""


class _Task(TypedDict):
    """What the process is to make of a picture."""

    thumbnails: tuple[int, ...]
    whole: bool
    """Of a picture that is no larger than a thumbnail, too: then in its own size."""


class PicturesUnavailableError(Exception):
    """No process could be started, which says nothing about the picture: to be tried again later."""


class Pictures:
    """Looks at one picture at a time, each in a new process.

    A process for each costs 50 ms of CPU more than one for many would, and keeps what a hostile picture does away from
    the pictures of others. It holds no secrets, can open no files or connections, and ends with its parent.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._one_at_a_time = asyncio.Lock()

    async def look(self, chunks: AsyncIterator[bytes]) -> Picture | None:
        """Looks at the picture with these bytes; None if it is none, or so broken or large that nothing is known of it.

        Raises PicturesUnavailableError, and what `chunks` raises.
        """
        return await self._look(chunks, {"thumbnails": self.limits.thumbnails, "whole": False})

    async def shrink(self, chunks: AsyncIterator[bytes], size: int) -> bytes | None:
        """Makes the picture at most `size` pixels wide and high, as a thumbnail is made; a smaller one keeps its size.

        None if it cannot be decoded. Raises PicturesUnavailableError, and what `chunks` raises.
        """
        picture = await self._look(chunks, {"thumbnails": (size,), "whole": True})
        return picture.thumbnails.get(size) if picture else None

    async def fits(self, chunks: AsyncIterator[bytes], size: int) -> bool:
        """Whether the picture can be decoded, and is at most `size` pixels wide and high. Raises what `shrink` does."""
        picture = await self._look(chunks, {"thumbnails": (size,), "whole": True})
        return picture is not None and size in picture.thumbnails and max(picture.width, picture.height) <= size

    async def _look(self, chunks: AsyncIterator[bytes], task: _Task) -> Picture | None:
        async with self._one_at_a_time:
            process, stdin, stdout = await self._start(task)
            try:
                await self._wait_until_ready(stdout)
                await self._feed(stdin, chunks)
                return await self._result(stdout, task["thumbnails"])
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await stdout.read()  # the little that a pipe holds: `wait` may wait for somebody to take it
                await process.wait()

    async def _start(
        self, task: _Task
    ) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, asyncio.StreamReader]:
        job = json.dumps({**dataclasses.asdict(self.limits), **task, "parent": os.getpid()})
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "services.media.picture_process", job),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,  # a traceback may quote the picture
                env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},  # no secrets
            )
        except OSError as error:
            raise PicturesUnavailableError from error
        if process.stdin is None or process.stdout is None:
            raise PicturesUnavailableError
        return process, process.stdin, process.stdout

    async def _wait_until_ready(self, stdout: asyncio.StreamReader) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await stdout.readline()
        except TimeoutError as error:
            raise PicturesUnavailableError from error
        if line != b"ready\n":
            raise PicturesUnavailableError

    async def _feed(self, stdin: asyncio.StreamWriter, chunks: AsyncIterator[bytes]) -> None:
        left = self.limits.max_bytes
        async for chunk in chunks:
            if left <= 0 or not await self._give(stdin, chunk[:left]):
                break
            left -= len(chunk)
        stdin.close()

    async def _give(self, stdin: asyncio.StreamWriter, chunk: bytes) -> bool:
        """Says whether the process takes it. What one that does not has said by then is read all the same."""
        try:
            stdin.write(chunk)
            async with asyncio.timeout(self.limits.wall_seconds):
                await stdin.drain()
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return False
        return True

    async def _result(self, stdout: asyncio.StreamReader, sizes: Collection[int]) -> Picture | None:
        answer = _Answer()
        try:
            async with asyncio.timeout(self.limits.wall_seconds):
                await answer.read(stdout, sizes)
        except (TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            answer.failure = type(error).__name__
        if answer.failure:
            log.info("picture_not_decoded", reason=answer.failure)
        return answer.picture


class _Answer:
    """What the process has said so far, believed only as far as it makes sense: the picture may have taken it over."""

    def __init__(self) -> None:
        self.picture: Picture | None = None
        self.failure = ""

    async def read(self, stdout: asyncio.StreamReader, sizes: Collection[int]) -> None:
        """Reads to the last line. Raises ValueError or IncompleteReadError if there is none."""
        thumbnails = {}
        while True:
            match (await stdout.readline()).split():
                case [b"picture", width, height] if 0 < int(width) <= MAX_INT32 and 0 < int(height) <= MAX_INT32:
                    self.picture = Picture(int(width), int(height), {})
                case [b"thumbnail", size, length] if int(size) in sizes and int(length) <= MAX_THUMBNAIL_BYTES:
                    thumbnails[int(size)] = await stdout.readexactly(int(length))
                case [b"end"] if self.picture:
                    self.picture = dataclasses.replace(self.picture, thumbnails=thumbnails)
                    return
                case [b"failed", name] if len(name) <= 64:
                    self.failure = name.decode("ascii")
                    return
                case _:
                    raise ValueError
