"""A cluster with a media service on some store, and what the tests do with its files."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message as ProtoMessage
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import (
    DownloadAttachmentRequest,
    DownloadHead,
    GetAttachmentRequest,
    RefreshAttachmentRequest,
    ReserveAttachmentRequest,
    ReserveAttachmentResponse,
    UploadAttachmentRequest,
)
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import DeleteMessageRequest, SendMessageRequest
from roomline.v1.room_service_pb2 import CreateRoomRequest, DeleteRoomRequest

from services.common.streams import answer_of
from services.media.server import build_server
from tests.support.cluster import Cluster, Metadata
from tests.support.object_store import Bucket

CHUNK = 256 * 1024


def chunks_of(data: bytes, size: int = CHUNK) -> Iterator[UploadAttachmentRequest]:
    """The messages that carry the bytes."""
    for start in range(0, len(data), size):
        yield UploadAttachmentRequest(chunk=data[start : start + size])


def signature_of(url: str) -> str:
    """The signature in a reference of ours."""
    path, _, signature = url.partition("?signature=")
    assert path.startswith("/attachments/")
    assert signature
    return signature


@dataclass
class House:
    """Bob and Ann are members of the private room `den`; Eve is not, but of the public `hall`."""

    cluster: Cluster
    bucket: Bucket | None = None
    disk: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the files of a local store are."""
        return self.disk or self.cluster.settings.data_dir / "media"

    async def open(self) -> None:
        """Makes users and rooms."""
        await self.cluster.add_users("bob", "ann", "eve")
        await self.make_room("den", "bob", "ann", private=True)
        await self.make_room("hall", "bob", "eve")

    async def make_room(self, room_id: str, *members: str, private: bool = False) -> str:
        """A room; its uid."""
        request = CreateRoomRequest(id=room_id, name=room_id, private=private, user_ids=members)
        response = await self.cluster.rooms.CreateRoom(request, metadata=self.cluster.as_server(members[0]))
        return response.room.uid

    def user(self, user_id: str) -> Metadata:
        """The metadata of a user's call."""
        return self.cluster.as_user(user_id)

    def server(self, user_id: str = "") -> Metadata:
        """The metadata of a server's call."""
        return self.cluster.as_server(user_id)

    async def reserve(
        self,
        size: int | None = None,
        *,
        by: Metadata | None = None,
        room: str = "den",
        name: str = "",
        content_type: str = "application/octet-stream",
        request_id: str = "",
    ) -> ReserveAttachmentResponse:
        """A reservation of Bob's, unless told otherwise."""
        request = ReserveAttachmentRequest(
            room_id=room, content_type=content_type, content_length=size, name=name, request_id=request_id
        )
        return await self.cluster.media.ReserveAttachment(request, metadata=by or self.user("bob"))

    async def put(self, url: str, data: bytes) -> Attachment:
        """Uploads by an upload URL."""
        return await self._upload(UploadAttachmentRequest(signature=signature_of(url)), data, ())

    async def upload(self, attachment_id: str, data: bytes, by: Metadata | None = None) -> Attachment:
        """Uploads by id, as Bob unless told otherwise."""
        return await self._upload(
            UploadAttachmentRequest(id=attachment_id), data, self.user("bob") if by is None else by
        )

    async def file(self, data: bytes, *, room: str = "den", by: Metadata | None = None, name: str = "") -> Attachment:
        """Reserves and uploads."""
        reserved = await self.reserve(len(data), room=room, by=by, name=name)
        return await self.put(reserved.upload_url, data)

    async def get(self, url: str) -> bytes:
        """What is behind a download URL, ours or the store's own. Raises as gRPC, or OSError, if there is nothing."""
        if url.startswith("/"):
            return (await self.download(DownloadAttachmentRequest(signature=signature_of(url)), ()))[1]

        def fetch() -> bytes:
            with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - the store's own
                return bytes(response.read())

        return await asyncio.to_thread(fetch)

    async def download(
        self, request: DownloadAttachmentRequest, by: Metadata | None = None
    ) -> tuple[DownloadHead, bytes]:
        """All of a download, as Bob unless told otherwise."""
        metadata = self.user("bob") if by is None else by
        stream = self.cluster.media.DownloadAttachment(request, metadata=metadata)
        head, data = DownloadHead(), bytearray()
        async for response in stream:
            if response.WhichOneof("step") == "head":
                head = response.head
            else:
                assert 0 < len(response.chunk) <= CHUNK
                data += response.chunk
        return head, bytes(data)

    async def read(self, attachment_id: str, by: Metadata | None = None) -> bytes:
        """The bytes, by id."""
        return (await self.download(DownloadAttachmentRequest(id=attachment_id), by))[1]

    async def look(self, attachment_id: str, by: Metadata | None = None) -> Attachment:
        """The metadata, by id."""
        request = GetAttachmentRequest(id=attachment_id)
        return (await self.cluster.media.GetAttachment(request, metadata=by or self.user("bob"))).attachment

    async def refresh(self, attachment_id: str, by: Metadata | None = None, room: str = "den") -> Attachment:
        """The metadata, by id and room."""
        request = RefreshAttachmentRequest(room_id=room, id=attachment_id)
        return (await self.cluster.media.RefreshAttachment(request, metadata=by or self.user("bob"))).attachment

    async def send(self, *ids: str, room: str = "den", by: Metadata | None = None, request_id: str = "") -> Message:
        """A message with these attachments."""
        parts = [Part(type="a/b", attachment=Attachment(id=id_)) for id_ in ids]
        request = SendMessageRequest(room_id=room, parts=parts, request_id=request_id)
        return (await self.cluster.messages.SendMessage(request, metadata=by or self.user("bob"))).message

    async def unsend(self, message: Message) -> None:
        """Deletes a message."""
        request = DeleteMessageRequest(room_id=message.room_id, id=message.id)
        await self.cluster.messages.DeleteMessage(request, metadata=self.server())

    async def delete_room(self, room_id: str) -> None:
        """Deletes a room."""
        await self.cluster.rooms.DeleteRoom(DeleteRoomRequest(room_id=room_id), metadata=self.server())

    async def objects(self) -> list[str]:
        """What lies in the store, unfinished things included."""
        if self.bucket is None:
            return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]
        return await asyncio.to_thread(self.bucket.objects) + await asyncio.to_thread(self.bucket.unfinished)

    async def emptied(self, *, down_to: int = 0) -> None:
        """Returns when no more than so many objects are left; they go soon, but by themselves."""
        async with asyncio.timeout(10):
            while len(await self.objects()) > down_to:  # noqa: ASYNC110 - files: there is nothing to await
                await asyncio.sleep(0.02)

    async def restart(self) -> None:
        """Stops the media service and starts another one on the same data."""
        await self.cluster.media_server.stop()
        self.cluster.media_server = build_server(self.cluster.settings, self.cluster.clock)
        await self.cluster.media_server.start(self.cluster.settings.media_address)

    async def _upload(self, first: UploadAttachmentRequest, data: bytes, metadata: Metadata) -> Attachment:
        async def requests() -> AsyncIterator[UploadAttachmentRequest]:
            yield first
            for chunk in chunks_of(data):
                yield chunk

        return (await answer_of(self.cluster.media.UploadAttachment(requests(), metadata=metadata))).attachment


def without_url(message: ProtoMessage) -> ProtoMessage:
    """A copy of an attachment without what changes at each reading."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("download_url")
    copy.ClearField("expiration")
    return copy
