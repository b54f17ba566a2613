"""`roomline token`: what it prints passes the check that every service makes."""

import time
from pathlib import Path

import pytest
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import InstanceCredentials

from services.common.call import Caller, Level
from services.common.errors import RoomlineError
from services.common.tokens import TokenVerifier
from services.supervisor.data_folder import DataFolder
from services.supervisor.identity import Identity
from tests.cli.commands import roomline, roomline_here


class OneInstance:
    """The credentials of one identity."""

    def __init__(self, identity: Identity) -> None:
        self._credentials = InstanceCredentials(
            instance=Instance(id=identity.instance_id),
            keys=[InstanceKey(id=identity.key_id, secret=identity.secret)],
        )

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        return self._credentials if instance_id == self._credentials.instance.id else None

    def version(self, instance_id: str) -> int:
        return 1

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path)
    folder.remember_dev_identity(Identity.make())
    return folder


async def caller_of(token: str, identity: Identity | None, now: float | None = None) -> Caller:
    assert identity is not None
    verifier = TokenVerifier(OneInstance(identity), "", "", lambda: now or time.time())
    return await verifier.verify(f"Bearer {token.strip()}")


async def test_a_user_token_of_the_development_instance(folder: DataFolder) -> None:
    printed = roomline("token", "--user", "alice", "--data-dir", folder.path)
    assert printed.stderr == ""
    assert printed.stdout.count("\n") == 1
    caller = await caller_of(printed.stdout, folder.dev_identity())
    assert (caller.level, caller.user_id) == (Level.USER, "alice")


@pytest.mark.parametrize("user", ["", "admin"])
async def test_a_server_token(folder: DataFolder, user: str) -> None:
    printed = roomline_here("token", "--su", "--user", user, "--data-dir", folder.path)
    caller = await caller_of(printed.stdout, folder.dev_identity())
    assert (caller.level, caller.user_id) == (Level.SERVER, user)


async def test_the_lifetime(folder: DataFolder) -> None:
    printed = roomline_here("token", "--user", "alice", "--lifetime", "100", "--data-dir", folder.path)
    await caller_of(printed.stdout, folder.dev_identity(), time.time() + 90)
    with pytest.raises(RoomlineError, match="expired"):
        await caller_of(printed.stdout, folder.dev_identity(), time.time() + 101)


async def test_another_instance(tmp_path: Path) -> None:
    identity = Identity("v1:eu1:other", "key:secret:with:colons")
    options = ("--instance", identity.locator, "--key", identity.key, "--data-dir", tmp_path / "none")
    caller = await caller_of(roomline_here("token", "--user", "bob", *options).stdout, identity)
    assert (caller.instance_id, caller.user_id) == ("other", "bob")
    assert not (tmp_path / "none").exists()


def test_refusals(tmp_path: Path) -> None:
    forever = roomline_here("token", "--user", "alice", "--lifetime", 10**12, "--data-dir", tmp_path)
    assert (forever.returncode, forever.stdout) == (2, "")
    assert "--lifetime" in forever.stderr
    nobody = roomline_here("token", "--data-dir", tmp_path)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "--user" in nobody.stderr
    nowhere = roomline_here("token", "--user", "alice", "--data-dir", tmp_path)
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr == f"roomline: {tmp_path} has no development instance: give --instance and --key\n"
