"""The user service's stores over a real database, and what the tests do with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.user_service_pb2 import NewUser

from services.common.idempotency import RequestKey
from services.common.ids import Uuid7
from services.common.jobs import JobStore
from services.common.sqlite import Database, migrate
from services.common.sqlite_jobs import SqliteJobs
from services.user.account_store import AccountKeyStore, AccountStore, SessionStore
from services.user.server import MIGRATIONS
from services.user.sqlite_account_keys import SqliteAccountKeys
from services.user.sqlite_accounts import SqliteAccounts
from services.user.sqlite_deletions import JOB_IS_LEFT, SqliteDeletions
from services.user.sqlite_instances import SqliteInstances
from services.user.sqlite_sessions import SqliteSessions
from services.user.sqlite_users import SqliteUsers
from services.user.store import Age, DeletionStore, InstanceStore, UserStore
from tests.support.clock import ManualClock

FIRST = Age(0, 0)
"""Before the oldest user."""


@dataclass
class UserStores:
    """All stores over one database, with a clock that tests move."""

    database: Database
    clock: ManualClock
    users: UserStore
    instances: InstanceStore
    deletions: DeletionStore
    jobs: JobStore
    accounts: AccountStore
    sessions: SessionStore
    keys: AccountKeyStore

    async def ids(self, instance_id: str = "one", after: Age = FIRST) -> list[str]:
        """The ids of the users, in the order of the list."""
        return [user.id for user in (await self.users.page(instance_id, after, 100))[0]]


@asynccontextmanager
async def user_stores(folder: Path) -> AsyncIterator[UserStores]:
    """Stores on SQLite, with the instances `one` and `two`."""
    path = folder / "user.db"
    await asyncio.to_thread(migrate, path, MIGRATIONS)
    database = Database(path)
    await database.open()
    clock = ManualClock()
    stores = UserStores(
        database,
        clock,
        SqliteUsers(database, clock, Uuid7(clock)),
        SqliteInstances(database, clock),
        SqliteDeletions(database),
        SqliteJobs(database, clock, JOB_IS_LEFT),
        SqliteAccounts(database, clock, Uuid7(clock)),
        SqliteSessions(database, clock),
        SqliteAccountKeys(database, clock),
    )
    for instance_id in ("one", "two"):
        await stores.instances.create(
            Instance(id=instance_id, cluster="local"), InstanceKey(id="key", secret="hush"), None
        )
    yield stores
    await database.close()


def new(user_id: str, **fields: object) -> NewUser:
    """A user to create."""
    return NewUser(id=user_id, name=f"{user_id}'s name", **fields)  # type: ignore[arg-type]


def struct(**values: Any) -> Struct:
    """A `custom_data`."""
    result = Struct()
    result.update(values)
    return result


def repeatable(request_id: str, *content: object) -> RequestKey:
    """The key of a request with this id and content."""
    return RequestKey("one", "", request_id, repr(content).encode())
