"""Fault 27, the moment between a look and a write: the user service was asked about a user, and then it is deleted.

What was decided about a user before its deletion must not be carried out after it: not on nobody, and not on a user
who was created under the same id since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from roomline.v1.instance_service_pb2 import ResetInstanceRequest

from services.common.users import Users
from tests.faults.actors import Actor, outcome
from tests.support.cluster import Cluster

DECISIONS: dict[str, Callable[[Actor], Awaitable[object]]] = {
    "create_room": lambda server: server.create_room("hall", "eve", "ann"),
    "add": lambda server: server.add("lobby", "eve", "ann"),
    "join": lambda server: server.join("lobby", "ann"),
    "cursor": lambda server: server.set_cursor("lobby", "ann"),
    "role": lambda server: server.assign_role("ann", "admin"),
    "room_role": lambda server: server.assign_role("ann", "admin", "lobby"),
}


class Gap:
    """Holds the message service's calls back right after it was told who exists."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def around(self, server: Actor, decision: str, change: Awaitable[object]) -> str:
        """The outcome of a decision during which something changes."""
        deciding = asyncio.create_task(outcome(DECISIONS[decision](server)))
        async with asyncio.timeout(10):
            await self.asked.wait()
            await change
        self.go_on.set()
        return await deciding


@pytest.fixture
async def gap(server: Actor, monkeypatch: pytest.MonkeyPatch) -> Gap:
    await server.create_room("lobby")
    made = Gap()
    existing = Users.existing

    async def held(self: Users, instance_id: str, user_ids: list[str]) -> set[str]:
        found = await existing(self, instance_id, user_ids)
        made.asked.set()
        await made.go_on.wait()
        return found

    monkeypatch.setattr(Users, "existing", held)
    return made


@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_user_deleted_in_the_gap(server: Actor, gap: Gap, decision: str) -> None:
    assert await gap.around(server, decision, server.delete_user("ann")) in {"USERS_NOT_FOUND", "USER_NOT_FOUND"}


@pytest.mark.parametrize("decision", DECISIONS)
async def test_a_user_deleted_and_created_again_in_the_gap(server: Actor, gap: Gap, decision: str) -> None:
    async def renew() -> None:
        await server.delete_user("ann")
        await server.create_user("ann")

    assert await gap.around(server, decision, renew()) in {"USERS_NOT_FOUND", "USER_NOT_FOUND"}


@pytest.mark.parametrize("decision", DECISIONS)
async def test_an_instance_wiped_in_the_gap(cluster: Cluster, server: Actor, gap: Gap, decision: str) -> None:
    async def wipe() -> None:
        await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=cluster.as_server())

    assert await gap.around(server, decision, wipe()) != "OK"
