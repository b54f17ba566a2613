"""The message service's stores on every backend, over real databases."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Struct
from roomline.v1.access_service_pb2 import AssignRoleRequest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.event_pb2 import Event
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_pb2 import Room
from roomline.v1.room_service_pb2 import CreateRoomRequest, OpenRoomRequest, OpenRoomResponse

from services.common.call import Caller, Level
from services.common.ids import Uuid7
from services.common.jobs import JobStore
from services.common.sqlite import Database
from services.common.sqlite_jobs import SqliteJobs
from services.message.access_store import AccessStore, RoleStore
from services.message.conversation_store import ConversationStore, NameStore, RemovalStore
from services.message.event_store import EventStore
from services.message.server import MIGRATIONS
from services.message.sqlite_access import SqliteAccess
from services.message.sqlite_attachments import SqliteAttachments
from services.message.sqlite_conversations import SqliteConversations
from services.message.sqlite_cursors import SqliteCursors
from services.message.sqlite_events import SqliteEvents
from services.message.sqlite_members import SqliteMembers
from services.message.sqlite_messages import SqliteMessages
from services.message.sqlite_names import SqliteNames
from services.message.sqlite_purges import SqlitePurges
from services.message.sqlite_releases import SqliteReleases
from services.message.sqlite_removals import SqliteRemovals
from services.message.sqlite_roles import SqliteRoles
from services.message.sqlite_rooms import JOB_IS_LEFT, SqliteRooms
from services.message.store import (
    AttachmentStore,
    CursorStore,
    MemberStore,
    MessageStore,
    PurgeStore,
    ReleaseStore,
    RoomStore,
)
from tests.support.clock import ManualClock
from tests.support.databases import migrate

SERVER = Caller(Level.SERVER, "one")
STRANGER = Caller(Level.SERVER, "two")


def user(user_id: str) -> Caller:
    """A user of the first instance."""
    return Caller(Level.USER, "one", user_id)


def text(content: str) -> Part:
    """An inline text part."""
    return Part(type="text/plain", content=content)


def file(attachment_id: str) -> Part:
    """A part with an attachment."""
    return Part(type="image/png", attachment=Attachment(id=attachment_id))


@dataclass
class Stores:
    """All stores over one database, with a clock that tests move."""

    database: Database
    clock: ManualClock
    rooms: RoomStore
    members: MemberStore
    messages: MessageStore
    cursors: CursorStore
    access: AccessStore
    roles: RoleStore
    jobs: JobStore
    purges: PurgeStore
    attachments: AttachmentStore
    releases: ReleaseStore
    conversations: ConversationStore
    removals: RemovalStore
    names: NameStore
    log: EventStore

    async def room(self, *members: str, room_id: str = "", private: bool = False, caller: Caller = SERVER) -> Room:
        """A room with these members; the first is the creator."""
        request = CreateRoomRequest(id=room_id, name="a room", private=private)
        response = await self.rooms.create(caller, members[0], request, list(members), self.clock())
        return response.room

    async def open(self, *members: str, request_id: str = "", asked_at: int | None = None) -> OpenRoomResponse:
        """What the first one gets who opens a room with the others."""
        request = OpenRoomRequest(user_ids=members[1:], request_id=request_id)
        asked_at = self.clock() if asked_at is None else asked_at
        return await self.conversations.open(user(members[0]), members[0], request, list(members), asked_at)

    async def send(
        self, room_id: str, sender: str, content: str = "hello", *, request_id: str = "", caller: Caller = SERVER
    ) -> Message:
        """A text message."""
        request = SendMessageRequest(room_id=room_id, parts=[text(content)], request_id=request_id)
        return await self.messages.append(caller, sender, request)

    async def assign(self, user_id: str, role_name: str, room_id: str = "", *, asked_at: int | None = None) -> None:
        """Gives a role."""
        request = AssignRoleRequest(user_id=user_id, role_name=role_name, room_id=room_id)
        await self.access.assign(SERVER, request, self.clock() if asked_at is None else asked_at)

    async def events(self, instance_id: str = "one") -> list[Event]:
        """The log of an instance."""
        rows = await self.database.read(
            lambda connection: connection.execute(
                "SELECT event FROM events WHERE instance_id = ? ORDER BY position", (instance_id,)
            ).fetchall()
        )
        return [Event.FromString(event) for (event,) in rows]

    async def kinds(self, instance_id: str = "one") -> list[str | None]:
        """What changed, in the order of the log."""
        return [event.WhichOneof("change") for event in await self.events(instance_id)]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    """Stores on SQLite."""
    path = tmp_path / "message.db"
    migrate(path, MIGRATIONS)
    database = Database(path)
    await database.open()
    clock = ManualClock()
    new_id = Uuid7(clock)
    yield Stores(
        database,
        clock,
        SqliteRooms(database, clock, new_id),
        SqliteMembers(database, clock),
        SqliteMessages(database, clock, new_id),
        SqliteCursors(database, clock),
        SqliteAccess(database, clock),
        SqliteRoles(database, clock),
        SqliteJobs(database, clock, JOB_IS_LEFT),
        SqlitePurges(database, clock),
        SqliteAttachments(database, clock),
        SqliteReleases(database),
        SqliteConversations(database, clock, new_id),
        SqliteRemovals(database, clock),
        SqliteNames(database),
        SqliteEvents(database, clock),
    )
    await database.close()


def struct(**values: float | str) -> Struct:
    """A `custom_data`."""
    result = Struct()
    result.update(values)
    return result
