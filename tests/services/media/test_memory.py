"""A large file passes through the media service without ever being in its memory."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, UploadAttachmentRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from tests.services.media.house import CHUNK, House, signature_of
from tests.support.cluster import OPERATOR_SECRET, SERVICE_SECRET, running_cluster
from tests.support.object_store import Bucket
from tests.support.ports import free_port

MEGABYTE = 1024 * 1024
SIZE = 300 * MEGABYTE
MOST = 64 * MEGABYTE
"""What the process may grow by, whatever the size of the file."""


class Memory:
    """What a process has in memory, in bytes."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def now(self) -> int:
        """At this moment; from here on `peak` counts."""
        (self._folder / "clear_refs").write_text("5")
        return self._read("VmRSS")

    def peak(self) -> int:
        """At most."""
        return self._read("VmHWM")

    def _read(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


async def pieces(size: int) -> AsyncIterator[bytes]:
    """Bytes that repeat, but not from piece to piece."""
    piece = os.urandom(CHUNK)
    for number in range(size // CHUNK):
        yield number.to_bytes(8) + piece[8:]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["folder", "s3"])
async def test_it_stays_small_whatever_passes(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    """Slow: 300 MiB go up and down."""
    bucket = Bucket(request.getfixturevalue("object_store")) if store == "s3" else None
    port = free_port()
    async with running_cluster(tmp_path) as cluster:
        house = House(cluster, bucket)
        await house.open()
        await cluster.media_server.stop()
        environment = {
            **os.environ,
            **(bucket.environment if bucket else {}),
            "ROOMLINE_MEDIA_URL": bucket.url if bucket else "",
            "ROOMLINE_DATA_DIR": str(tmp_path),
            "ROOMLINE_USER_ADDRESS": cluster.settings.user_address,
            "ROOMLINE_MESSAGE_ADDRESS": cluster.settings.message_address,
            "ROOMLINE_MEDIA_ADDRESS": f"127.0.0.1:{port}",
            "ROOMLINE_SERVICE_SECRET": SERVICE_SECRET,
            "ROOMLINE_OPERATOR_SECRET": OPERATOR_SECRET,
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.media", env=environment)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                async with asyncio.timeout(30):
                    await channel.channel_ready()
                cluster.media = MediaServiceStub(channel)
                await measure(house, Memory(process.pid))
        finally:
            process.terminate()
            await process.wait()
    if bucket is not None:
        bucket.close()


async def measure(house: House, memory: Memory) -> None:
    await house.file(bytes(8 * MEGABYTE))  # what it loads once is loaded
    for size in (SIZE, None):
        reserved = await house.reserve(size)
        sent = hashlib.sha256()

        async def requests() -> AsyncIterator[UploadAttachmentRequest]:
            yield UploadAttachmentRequest(signature=signature_of(reserved.upload_url))  # noqa: B023
            async for piece in pieces(SIZE):
                sent.update(piece)  # noqa: B023
                yield UploadAttachmentRequest(chunk=piece)

        before = memory.now()
        await house.cluster.media.UploadAttachment(requests())
        assert memory.peak() - before < MOST
        before = memory.now()
        read = hashlib.sha256()
        download = DownloadAttachmentRequest(signature=signature_of(reserved.permanent_url))
        async for response in house.cluster.media.DownloadAttachment(download):
            read.update(response.chunk)
        assert memory.peak() - before < MOST
        assert read.digest() == sent.digest()
