"""Backups and restores that are killed at any of their steps, or find no room on the disk (faults 2 and 15)."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.cli.backups import backed_up, refusal, restored
from tests.cli.commands import roomline, roomline_here
from tests.cli.hampered import hampered
from tests.cli.whole_instance import client, fill
from tests.faults.chance import CHANCE
from tests.support.server import running_server

SAMPLES = 25
"""At how many steps, of some sixty to a hundred, something is killed."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with something of everything, in which an instance is missing that was made later."""
    with running_server(tmp_path_factory.mktemp("used")) as running, client(running) as server:
        fill(server)
    return running.data_dir


@pytest.fixture
def data_dir(used: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(used, tmp_path / "data"))


def steps(changes: int) -> list[int]:
    """Some steps, the last ones among them: those are where it is decided."""
    last = range(max(1, changes - 9), changes + 1)
    return sorted({*CHANCE.sample(range(1, changes + 1), min(SAMPLES, changes)), *last})


def instances(data_dir: Path) -> set[str]:
    """The ids of its instances."""
    listed = roomline_here("instance", "list", "--json", "--data-dir", data_dir)
    assert listed.returncode == 0, listed.stderr
    return {one["id"] for one in json.loads(listed.stdout)}


def files(data_dir: Path) -> dict[str, bytes]:
    """The files of attachments."""
    return {path.name: path.read_bytes() for path in data_dir.glob("media/??/*")}


def test_a_backup_that_is_killed_is_none(data_dir: Path, tmp_path: Path) -> None:
    words = ("backup", tmp_path / "backup", "--data-dir", data_dir)
    changes = hampered(tmp_path, *words).changes
    assert changes > 30
    for step in steps(changes):
        shutil.rmtree(tmp_path / "backup")
        killed = hampered(tmp_path, *words, kill_at=step)
        assert killed.returncode == -signal.SIGKILL
        assert "there is no manifest.json" in refusal("restore", tmp_path / "backup", "--data-dir", tmp_path / "new")
        backed_up(data_dir, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "new")
    assert files(tmp_path / "new") == files(data_dir)


def test_a_restore_that_is_killed_has_done_nothing_or_is_finished(data_dir: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backed_up(data_dir, backup)
    made = roomline_here("instance", "create", "--id", "later", "--data-dir", data_dir)
    assert made.returncode == 0
    (data_dir / "media" / "00").mkdir(exist_ok=True)
    (data_dir / "media" / "00" / "later").write_bytes(b"of the former state")
    former, wanted = files(data_dir), {name: data for name, data in files(data_dir).items() if name != "later"}
    outcomes = set()
    words = ("restore", backup, "--replace", "--data-dir", tmp_path / "copy")
    shutil.copytree(data_dir, tmp_path / "copy")
    changes = hampered(tmp_path, *words).changes
    for step in steps(changes):
        shutil.rmtree(tmp_path / "copy")
        shutil.copytree(data_dir, tmp_path / "copy")
        assert hampered(tmp_path, *words, kill_at=step).returncode == -signal.SIGKILL
        half_done = (tmp_path / "copy" / "restoring.json").exists()
        outcomes.add(half_done)
        if half_done:
            for refused in (("instance", "list"), ("backup", tmp_path / "other")):
                assert "was interrupted: start the same `roomline restore` again" in refusal(
                    *refused, "--data-dir", tmp_path / "copy"
                )
            assert "finished" in restored(backup, tmp_path / "copy")
        elif "later" in instances(tmp_path / "copy"):
            assert files(tmp_path / "copy") == former
            restored(backup, tmp_path / "copy", "--replace")
        assert (instances(tmp_path / "copy"), files(tmp_path / "copy")) == ({"dev"}, wanted)
        assert not (tmp_path / "copy" / "restoring.json").exists()
    assert outcomes == {False, True}


def test_no_server_starts_on_what_is_half_done(data_dir: Path, tmp_path: Path) -> None:
    backed_up(data_dir, tmp_path / "backup")
    words = ("restore", tmp_path / "backup", "--replace", "--data-dir", data_dir)
    shutil.copytree(data_dir, tmp_path / "copy")
    changes = hampered(tmp_path, *words[:-1], tmp_path / "copy").changes
    assert hampered(tmp_path, *words, kill_at=changes - 3).returncode == -signal.SIGKILL
    refused = roomline("up", "--dev", "--port", 0, "--tls-port", 0, "--grpc-port", 0, "--data-dir", data_dir)
    assert refused.returncode == 1
    assert "was interrupted: start the same `roomline restore` again to finish it" in refused.stderr
    assert roomline(*words).returncode == 0
    with running_server(tmp_path) as running, client(running) as server:
        assert server.su().get("/users/ann").status == 200


def test_a_disk_that_is_full(data_dir: Path, tmp_path: Path) -> None:
    """No file may have more than so many bytes: what the system then says is what it says of a full disk."""
    backed_up(data_dir, tmp_path / "backup")
    largest = max(path.stat().st_size for path in (tmp_path / "backup").rglob("*") if path.is_file())
    before = kept(data_dir)
    for room in (4096, largest - 1):
        for words in (
            ("backup", tmp_path / f"other{room}", "--data-dir", data_dir),
            ("restore", tmp_path / "backup", "--replace", "--data-dir", data_dir),
        ):
            refused = hampered(tmp_path, *words, most=room)
            assert "roomline: cannot " in refused.stderr
            assert "Traceback" not in refused.stderr
        assert not (tmp_path / f"other{room}" / "manifest.json").exists()
        assert kept(data_dir) == before
    restored(tmp_path / "backup", data_dir, "--replace")


def kept(data_dir: Path) -> dict[Path, bytes]:
    """All files, but for those that SQLite makes for those who read."""
    passing = ("lock", "-wal", "-shm")
    files = (path for path in data_dir.rglob("*") if path.is_file() and not path.name.endswith(passing))
    return {path: path.read_bytes() for path in files}
