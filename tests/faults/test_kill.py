"""Fault 2: kill -9 of any process, the supervisor included, at any moment under load, then a restart.

Every acknowledged message is there exactly once, in order; one that was not acknowledged is there at most once.
"""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.cli.commands import wait_until
from tests.faults import lobby
from tests.faults.chance import CHANCE
from tests.faults.deployment import CHILDREN, Deployment, deployed, free_ports
from tests.faults.invariants import check_databases, is_settled, opened, rows
from tests.faults.load import load

PATIENCE_SECONDS = 60
MOST_ANSWERS = 300
"""How many answers come between two kills."""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One server, which survives all tests."""
    with deployed(tmp_path_factory.mktemp("kill"), *free_ports()) as running:
        yield running
    check_databases(running.data_dir)


async def survives(deployment: Deployment, room: str, *kills: Callable[[], None]) -> None:
    """Puts a load on the server, kills something at a random moment, again and again; then checks everything."""
    async with asyncio.timeout(PATIENCE_SECONDS), load(lambda: deployment.running, room) as ledger:
        for kill in kills:
            await ledger.answers(CHANCE.randrange(MOST_ANSWERS))
            await asyncio.sleep(CHANCE.uniform(0, 0.02))  # or it would always be the moment of an answer
            await asyncio.to_thread(kill)
            await ledger.progress(1)
    listed = await lobby.listed(deployment.running, room)
    ledger.check(listed)
    await asyncio.to_thread(wait_until, lambda: is_settled(deployment.data_dir))
    check_databases(deployment.data_dir)
    with opened(deployment.data_dir / "message.db") as connection:
        stored = "SELECT x.id FROM messages x JOIN rooms r ON r.key = x.room_key WHERE r.id = ? ORDER BY x.id"
        assert rows(connection, stored, room) == [message_id for message_id, _ in listed]


@pytest.mark.slow  # kills and restarts under load
@pytest.mark.parametrize("name", CHILDREN)
async def test_a_process(deployment: Deployment, name: str) -> None:
    def kill() -> None:
        deployment.kill_children(name)

    await survives(deployment, name, kill, kill)


@pytest.mark.slow  # kills and restarts under load
async def test_several_processes_at_once(deployment: Deployment) -> None:
    def kill() -> None:
        deployment.kill_children(*CHANCE.sample(CHILDREN, CHANCE.randint(2, len(CHILDREN))))

    await survives(deployment, "several", kill, kill)


@pytest.mark.slow  # kills and starts again under load
async def test_the_supervisor(deployment: Deployment) -> None:
    def kill(*ports: str) -> None:
        deployment.kill_supervisor()
        deployment.start(*ports)

    await survives(deployment, "supervisor", kill, lambda: kill(*free_ports()))


@pytest.mark.slow  # kills and starts again under load
async def test_everything_at_once(deployment: Deployment) -> None:
    def kill() -> None:
        deployment.kill_all()
        deployment.start()

    await survives(deployment, "everything", kill, kill)
