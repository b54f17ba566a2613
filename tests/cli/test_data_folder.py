"""The data folder: one user at a time, closed to everybody else."""

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.common.service_folder import ServiceFolder
from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder, DataFolderBusyError
from services.supervisor.identity import Identity


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "deep" / "data")


def test_it_is_made_for_its_owner(folder: DataFolder) -> None:
    with folder.lock():
        assert mode(folder.path) == 0o700
        assert mode(folder.path / "lock") == 0o600


def test_an_empty_folder_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with DataFolder(tmp_path).lock():
        assert mode(tmp_path) == 0o700


def test_a_folder_of_others_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    tmp_path.chmod(0o755)
    with DataFolder(tmp_path).lock():
        assert mode(tmp_path) == 0o755


def test_the_holder_is_named_at_once(folder: DataFolder) -> None:
    with folder.lock(), pytest.raises(DataFolderBusyError, match=rf"process {os.getpid()}$"), folder.lock():
        pass


def test_it_is_free_again_afterwards(folder: DataFolder) -> None:
    for _ in range(2):
        with folder.lock(0):
            pass


def test_processes_that_inherited_the_lock_hold_it_too(folder: DataFolder) -> None:
    with folder.lock() as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(descriptor,)
        )
    # As after a supervisor that was killed: the process that took the lock is gone, its child is not.
    (folder.path / "lock").write_text("0")
    try:
        with pytest.raises(DataFolderBusyError, match="earlier run"), folder.lock(0.1):
            pass
    finally:
        child.communicate()
    with folder.lock(0):
        pass


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(CommandError, match="data"), DataFolder(tmp_path / "data").lock():
        pass


def test_the_operator_secret_is_made_once(folder: DataFolder) -> None:
    with folder.lock():
        first = folder.operator_secret()
    assert len(first) == 64
    assert mode(folder.path / "operator.key") == 0o600
    assert DataFolder(folder.path).operator_secret() == first


def test_the_dev_identity_is_remembered(folder: DataFolder) -> None:
    assert folder.dev_identity() is None
    identity = Identity.make()
    with folder.lock():
        folder.remember_dev_identity(identity)
    assert folder.dev_identity() == identity
    assert mode(folder.path / "dev.json") == 0o600
    assert identity.secret not in repr(identity)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"instance_locator": "v1:local:x", "key": 5}', '{"instance_locator": "x", "key": "a:b"}']
)
def test_a_damaged_dev_identity_is_told(folder: DataFolder, text: str) -> None:
    with folder.lock():
        (folder.path / "dev.json").write_text(text)
    with pytest.raises(CommandError, match=r"dev\.json is damaged"):
        folder.dev_identity()


def test_the_lock_is_not_passed_on_by_accident(folder: DataFolder) -> None:
    with folder.lock() as descriptor:
        assert not os.get_inheritable(descriptor)
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_what_is_half_restored_is_for_a_restore_only(folder: DataFolder) -> None:
    with folder.lock():
        folder.restoring_file.touch()
    with pytest.raises(CommandError, match="start the same `roomline restore` again"), folder.lock():
        pass
    with folder.lock(restoring=True):
        pass
    with pytest.raises(RuntimeError, match=r"a restore into .* was interrupted"):
        ServiceFolder(folder.path, "user").open()
    folder.restoring_file.unlink()
    service = ServiceFolder(folder.path, "user")
    service.open()
    with pytest.raises(RuntimeError, match="another user service"):
        ServiceFolder(folder.path, "user").lock()
    service.close()
