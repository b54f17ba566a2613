"""What the tests of attachments in messages do: as `House`, and with messages."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field

from roomline.v1.attachment_pb2 import Attachment, AttachmentUse
from roomline.v1.media_service_pb2 import (
    ClaimAttachmentsRequest,
    ClaimAttachmentsResponse,
    ReleaseAttachmentsRequest,
)
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import (
    EditMessageRequest,
    EditMessageResponse,
    GetMessageRequest,
    ListMessagesRequest,
    ListMessagesResponse,
    SendMessageRequest,
)

from services.common.backoff import Backoff
from services.media.maintenance import Pace
from services.media.server import build_server as build_media_server
from services.message.server import build_server as build_message_server
from tests.services.media.house import House
from tests.support.clock import ShiftedClock
from tests.support.cluster import Metadata
from tests.support.refusals import refuses

TEXT = Part(type="text/plain", content="see attached figure")


def file(attachment_id: str) -> Part:
    """A part with an attachment."""
    return Part(type="image/png", attachment=Attachment(id=attachment_id))


def ids_of(message: Message) -> list[str]:
    """The attachments in a message."""
    return [part.attachment.id for part in message.parts if part.HasField("attachment")]


def urls_of(message: Message) -> list[bool]:
    """Whether the attachments in a message can be downloaded."""
    return [bool(part.attachment.download_url) for part in message.parts if part.HasField("attachment")]


def linkless(message: Message) -> Message:
    """The message without links, which are signed at each reading and so differ from one second to the next."""
    copy = Message()
    copy.CopyFrom(message)
    for part in filter(lambda part: part.HasField("attachment"), copy.parts):
        part.attachment.ClearField("download_url")
        part.attachment.ClearField("expiration")
    return copy


@dataclass
class Desk(House):
    """Bob writes, unless told otherwise."""

    clock: ShiftedClock = field(kw_only=True)

    async def reserved(self, *, room: str = "den", by: Metadata | None = None, name: str = "figure.png") -> str:
        """The id of a reservation; an empty room for one that belongs to Bob."""
        return (await self.reserve(5, room=room, by=by, name=name, content_type="image/png")).attachment.id

    async def message(self, message: Message, by: Metadata | None = None) -> Message:
        """The message as it is now."""
        request = GetMessageRequest(room_id=message.room_id, id=message.id)
        return (await self.cluster.messages.GetMessage(request, metadata=by or self.user("bob"))).message

    async def page(self, room: str = "den", **fields: object) -> ListMessagesResponse:
        """Messages of a room."""
        request = ListMessagesRequest(room_id=room, **fields)  # type: ignore[arg-type]
        return await self.cluster.messages.ListMessages(request, metadata=self.server())

    async def edit(self, message: Message, *parts: Part, request_id: str = "") -> Message:
        """The message after the edit, as a server does it."""
        request = EditMessageRequest(room_id=message.room_id, id=message.id, parts=parts, request_id=request_id)
        answer: EditMessageResponse = await self.cluster.messages.EditMessage(request, metadata=self.server("bob"))
        return answer.message

    async def claim(self, attachment_id: str, message_uid: str, room_uid: str) -> ClaimAttachmentsResponse:
        """As a message service does it that ends right after that."""
        request = ClaimAttachmentsRequest(
            ids=[attachment_id], room_uid=room_uid, user_id="bob", message_uid=message_uid
        )
        return await self.cluster.media.ClaimAttachments(request, metadata=self.cluster.service.metadata("one"))

    async def room_uid(self, room: str = "den") -> str:
        """The uid of a room."""
        return (await self.send_text(room)).room_uid

    async def send_text(self, room: str = "den") -> Message:
        """A message without attachments."""
        request = SendMessageRequest(room_id=room, parts=[TEXT])
        return (await self.cluster.messages.SendMessage(request, metadata=self.user("bob"))).message

    def uses(self, message: Message) -> set[object]:
        """What the media service thinks that a message uses."""
        return self.uses_of(message.uid)

    def uses_of(self, message_uid: str) -> set[object]:
        """The same, of a message that need not exist."""
        rows = self._query("media", "SELECT attachment_id FROM uses WHERE message_uid = ?", message_uid)
        return {attachment_id for (attachment_id,) in rows}

    def pending(self) -> int:
        """How many releases the media service has not answered."""
        ((count,),) = self._query("message", "SELECT count(*) FROM releases")
        return int(count)  # type: ignore[call-overload,no-any-return]

    def stored(self, message: Message) -> bytes:
        """The content of a message, as it lies in the file."""
        ((content,),) = self._query("message", "SELECT content FROM messages WHERE uid = ?", message.uid)
        return bytes(content)  # type: ignore[call-overload,no-any-return]

    def _query(self, service: str, statement: str, *values: str) -> list[tuple[object, ...]]:
        with closing(
            sqlite3.connect(self.cluster.settings.data_dir / f"{service}.db", isolation_level=None)
        ) as connection:
            return connection.execute(statement, values).fetchall()

    async def stop_media(self) -> None:
        """The media service is away."""
        await self.cluster.media_server.stop()

    async def start_media(self) -> None:
        """It is back, on the same data."""
        self.cluster.media_server = build_media_server(self.cluster.settings, self.clock, pace=Pace(sweep=0.05))
        await self.cluster.media_server.start(self.cluster.settings.media_address)
        await self.cluster.media_channel.channel_ready()

    async def restart_message(self) -> None:
        """Another message service on the same data, with less patience in the background."""
        await self.cluster.message_server.stop()
        self.cluster.message_server = build_message_server(
            self.cluster.settings, self.clock, backoff=Backoff(first=0.01, longest=0.05)
        )
        await self.cluster.message_server.start(self.cluster.settings.message_address)
        await self.cluster.message_channel.channel_ready()

    async def forget(self, attachment_id: str) -> None:
        """The media service loses an attachment, by a release that nobody should have sent."""
        ((uid,),) = self._query("media", "SELECT message_uid FROM uses WHERE attachment_id = ?", attachment_id)
        request = ReleaseAttachmentsRequest(uses=[AttachmentUse(message_uid=str(uid), attachment_id=attachment_id)])
        await self.cluster.media.ReleaseAttachments(request, metadata=self.cluster.service.metadata("one"))

    def forget_requests(self) -> None:
        """As if a day had passed."""
        self._query("message", "DELETE FROM requests")

    async def a_day_later(self) -> None:
        """Returns when the media service has done what is due then: ended old claims, and what nothing has used."""
        marker = await self.reserved(room="")
        self.clock.advance(24 * 3600 + 1)

        async def ended() -> bool:
            return not self._query("media", "SELECT 1 FROM attachments WHERE id = ?", marker)

        await until(ended)

    async def gone(self, attachment_id: str) -> None:
        """The attachment must be gone."""
        with refuses("ATTACHMENT_NOT_FOUND"):
            await self.look(attachment_id, self.server())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when background work of a service, which nobody here can await, has made it true."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - there is no event: the state is another service's
            await asyncio.sleep(0.02)
