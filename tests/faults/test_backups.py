"""A backup under load is of one moment: restored, the services agree, and nothing is missing from before (fault 25)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.backups import backed_up, restored
from tests.cli.commands import roomline, roomline_here, wait_until
from tests.cli.whole_instance import client
from tests.faults import lobby
from tests.faults.chance import CHANCE
from tests.faults.deployment import Deployment, deployed
from tests.faults.invariants import check_databases, is_settled, opened, rows
from tests.faults.load import load
from tests.support.receiver import Posted, receiver
from tests.support.server import Running, running_server
from tests.wire.files import at, attach, attachment_of

BACKUPS = 2
PATIENCE_SECONDS = 120

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("backup")) as running:
        yield running


class Files:
    """Messages with files, in a room of their own, one after the other."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._stop = threading.Event()
        self.sent: dict[int, bytes] = {}
        """What was acknowledged."""

    def send(self) -> None:
        """Sends until it is told to stop, and deletes every fifth one again."""
        with client(self._running) as server:
            for number in range(100_000):
                if self._stop.is_set():
                    return
                data = CHANCE.randbytes(3000)
                sent = server.send("files", "clerk", attach(server, "files", "clerk", data).part)
                if number % 5:
                    self.sent[sent] = data
                else:
                    assert server.su().delete(f"/rooms/files/messages/{sent}").status == 204

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Sends for the time of the block."""
        with client(self._running) as server:
            if server.su().get("/users/clerk").status == 404:
                server.new_user("clerk")
                server.new_room("clerk", id="files")
        thread = threading.Thread(target=self.send)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()


@pytest.mark.parametrize("number", range(BACKUPS))
async def test_a_backup_under_load(deployment: Deployment, tmp_path: Path, number: int) -> None:
    room, backup = f"load{number}", tmp_path / "backup"
    files = Files(deployment.running)
    with files.sending():
        async with asyncio.timeout(PATIENCE_SECONDS), load(lambda: deployment.running, room) as ledger:
            await ledger.progress(CHANCE.randrange(1, 10))
            acknowledged = [send for send in ledger.sends if send.message_id is not None]
            file_messages = dict(files.sent)
            # In a process of its own: in ours it would wait for the senders, and hold up writers for longer.
            done = await asyncio.to_thread(roomline, "backup", backup, "--data-dir", deployment.data_dir)
            assert done.returncode == 0, done.stderr
            begun = {send.text: send for send in ledger.sends}
            await ledger.progress(1)
    await asyncio.to_thread(restored, backup, tmp_path / "data")
    with running_server(tmp_path) as after:
        listed = await lobby.listed(after, room)
        found = dict(listed)
        assert {send.message_id: send.text for send in acknowledged}.items() <= found.items()
        assert set(found.values()) <= begun.keys()
        assert len(set(found.values())) == len(listed)
        check_files(after, file_messages, files.sent)
        await asyncio.to_thread(wait_until, lambda: is_settled(after.data_dir))
    check_databases(after.data_dir)


def check_files(after: Running, before: dict[int, bytes], ever: dict[int, bytes]) -> None:
    """Every message with a file that is there has its file, and all that were sent before the backup are there."""
    with opened(after.data_dir / "message.db") as connection:
        stored = "SELECT x.id FROM messages x JOIN rooms r ON r.key = x.room_key WHERE r.id = ? AND x.unsent_at IS NULL"
        found = set(rows(connection, stored, "files"))
    assert before.keys() <= found
    with client(after) as server:
        for message_id in found & ever.keys():
            assert at(server, attachment_of(server, "files", message_id)["download_url"]).body == ever[message_id]


async def test_webhooks_go_on_with_another_epoch(tmp_path: Path) -> None:
    allowed = {"ROOMLINE_OUTBOUND_ALLOW_PRIVATE": "true"}

    def told(posted: list[Posted], room: str) -> list[str]:
        """The epochs of deliveries that told of the room."""
        bodies = [json.loads(one.body) for one in posted]
        return [
            body["epoch"]
            for body in bodies
            if any(event.get("room_created", {}).get("room", {}).get("id") == room for event in body["events"])
        ]

    def use(running: Running, room: str) -> None:
        with client(running) as server:
            if server.su().get("/users/ann").status == 404:
                server.new_user("ann")
            server.new_room("ann", id=room)

    async with receiver() as listener:
        with running_server(tmp_path, env=allowed) as running:
            options = ("--data-dir", running.data_dir, "--instance", running.instance_id)
            made = await asyncio.to_thread(roomline_here, "webhook", "create", listener.url, *options)
            assert made.returncode == 0, made.stderr
            await asyncio.to_thread(use, running, "first")
            await listener.until(lambda posted: bool(told(posted, "first")))
            await asyncio.to_thread(backed_up, running.data_dir, tmp_path / "backup")
            await asyncio.to_thread(use, running, "lost")
            await listener.until(lambda posted: bool(told(posted, "lost")))
        await asyncio.to_thread(restored, tmp_path / "backup", running.data_dir, "--replace")
        with running_server(tmp_path, env=allowed) as running:
            await asyncio.to_thread(use, running, "new")
            posted = await listener.until(lambda posted: bool(told(posted, "new")))
    (first, *_), (lost, *_), (new, *_) = (told(posted, room) for room in ("first", "lost", "new"))
    assert first == lost != new
    ids = [one.headers["webhook-id"] for one in posted]
    assert len(ids) == len(set(ids))
