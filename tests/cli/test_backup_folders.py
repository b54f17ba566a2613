"""Backups and restores without a server: what is refused, what is put aside, and what is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from services.supervisor.data_folder import DataFolder
from tests.cli.backups import backed_up, modes, refusal, restored
from tests.cli.commands import roomline_here
from tests.cli.whole_instance import client
from tests.support.server import running_server
from tests.wire.files import attach

IN_A_BUCKET = {"ROOMLINE_MEDIA_URL": "s3://bucket/folder"}


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was in use, with three files; a backup `live` beside it, of when it was."""
    with running_server(tmp_path_factory.mktemp("used")) as running, client(running) as server:
        server.new_user("ann")
        room = server.new_room("ann")
        for number in range(3):
            server.send(room, "ann", attach(server, room, "ann", bytes([number]) * 5000).part)
        backed_up(running.data_dir, running.data_dir.parent / "live")
    return running.data_dir


@pytest.fixture
def data_dir(used: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(used, tmp_path / "data"))


@pytest.fixture
def backup(data_dir: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    backed_up(data_dir, tmp_path / "backup")
    return tmp_path / "backup"


def content(folder: Path) -> dict[str, bytes]:
    """All files but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def history(data_dir: Path) -> tuple[str, int]:
    """The epoch of the event log, and the last id of a message."""
    with closing(sqlite3.connect(data_dir / "message.db")) as connection:
        epoch, message_id = connection.execute("SELECT e.id, l.message_id FROM epochs e, logs l").fetchone()
    return str(epoch), int(message_id)


def instances(data_dir: Path) -> list[str]:
    """The ids of its instances, as the command says them."""
    listed = roomline_here("instance", "list", "--json", "--data-dir", data_dir)
    assert listed.returncode == 0, listed.stderr
    return [one["id"] for one in json.loads(listed.stdout)]


def media(folder: Path) -> list[Path]:
    """The files of attachments in it."""
    return sorted(path for path in folder.glob("media/??/*") if path.is_file())


def test_it_comes_back_as_it_was(data_dir: Path, backup: Path, tmp_path: Path) -> None:
    assert "another epoch" in restored(backup, tmp_path / "new")
    assert [path.read_bytes() for path in media(tmp_path / "new")] == [path.read_bytes() for path in media(data_dir)]
    assert instances(tmp_path / "new") == ["dev"]
    for name in ("operator.key", "dev.json", "doors.json", "tls/ca.key"):
        assert (tmp_path / "new" / name).read_bytes() == (data_dir / name).read_bytes()
    assert modes(tmp_path / "new") == {True: {0o700}, False: {0o600}}
    assert history(tmp_path / "new")[0] != history(data_dir)[0]


def test_a_server_may_be_at_work(used: Path, tmp_path: Path) -> None:
    restored(used.parent / "live", tmp_path / "new")
    assert [path.read_bytes() for path in media(tmp_path / "new")] == [path.read_bytes() for path in media(used)]
    assert instances(tmp_path / "new") == ["dev"]


def test_each_restore_is_a_history_of_its_own(backup: Path, tmp_path: Path) -> None:
    """Also if it is restored again later, after the first one was in use. Some signs mean something in URIs."""
    folders = [tmp_path / "one", tmp_path / "other #1?%20"]
    for folder in folders:
        restored(backup, folder)
        _say(backup, "taken_at", "2020-01-01T00:00:00.000Z")
    epochs, message_ids = zip(*map(history, (backup / "data", *folders)), strict=True)
    assert len({*epochs}) == 3
    assert message_ids[2] - 1_000_000 > message_ids[1] > message_ids[0] + 9_999_999
    assert {path.name for path in tmp_path.iterdir()} == {"data", "backup", *(folder.name for folder in folders)}


def test_what_is_there_is_in_the_way_or_put_aside(data_dir: Path, backup: Path) -> None:
    (data_dir / "notes.txt").write_text("not Roomline's")
    before = content(data_dir)
    assert "is not empty: with --replace" in refusal("restore", backup, "--data-dir", data_dir)
    assert content(data_dir) == before
    said = restored(backup, data_dir, "--replace")
    asides = sorted([*data_dir.glob("before-restore-*"), *data_dir.glob("media/before-restore-*")])
    assert [str(aside) in said for aside in asides] == [True, True]
    kept = {name: data for aside in asides for name, data in content(aside).items()}
    moved = {name.removeprefix("media/"): data for name, data in before.items()}
    assert kept == {name: data for name, data in moved.items() if name != "notes.txt"}
    assert (data_dir / "notes.txt").read_text() == "not Roomline's"
    assert instances(data_dir) == ["dev"]
    assert len(media(data_dir)) == 3


def test_a_folder_with_files_of_others_is_empty(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    assert "before" not in restored(backup, tmp_path / "volume")


def test_files_may_be_elsewhere(data_dir: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "files"
    (data_dir / "media").rename(elsewhere)
    at_home = {"ROOMLINE_MEDIA_URL": elsewhere.as_uri()}
    for _ in range(2):
        refused = refusal("backup", tmp_path / "b", "--data-dir", data_dir)
        assert "media has none of the files that should be in it, which are 3: set ROOMLINE_MEDIA_URL" in refused
        (data_dir / "media").mkdir(exist_ok=True)  # where its volume belongs, which nobody has mounted
    assert roomline_here("backup", tmp_path / "b", "--data-dir", data_dir, env=at_home).returncode == 0
    elsewhere.rename(tmp_path / "gone")
    assert roomline_here("restore", tmp_path / "b", "--data-dir", tmp_path / "new", env=at_home).returncode == 0
    assert content(elsewhere) == content(tmp_path / "gone")
    assert not (tmp_path / "new" / "media").exists()
    assert "files is not empty" in refusal("restore", tmp_path / "b", "--data-dir", tmp_path / "newer", env=at_home)


def test_without_files(data_dir: Path, tmp_path: Path) -> None:
    backed_up(data_dir, tmp_path / "bare", "--no-files")
    assert not (tmp_path / "bare" / "media").exists()
    before = [path.read_bytes() for path in media(data_dir)]
    restored(tmp_path / "bare", data_dir, "--replace")
    assert [path.read_bytes() for path in media(data_dir)] == before
    backed_up(data_dir, tmp_path / "whole")
    restored(tmp_path / "whole", tmp_path / "new", "--no-files")
    assert media(tmp_path / "new") == []


def test_files_in_an_object_store_are_left_to_the_operator(data_dir: Path, backup: Path, tmp_path: Path) -> None:
    done = roomline_here("backup", tmp_path / "bare", "--data-dir", data_dir, env=IN_A_BUCKET)
    assert done.returncode == 0
    assert "their object store needs a backup, or versions, of its own" in done.stderr
    assert not (tmp_path / "bare" / "media").exists()
    options = ("--data-dir", tmp_path / "new")
    assert "restore the rest with --no-files" in refusal("restore", backup, *options, env=IN_A_BUCKET)
    assert roomline_here("restore", backup, "--no-files", *options, env=IN_A_BUCKET).returncode == 0


def test_lost_files_are_told_and_deleted_ones_are_not(data_dir: Path, tmp_path: Path) -> None:
    lost, deleted, _ = media(data_dir)
    lost.unlink()
    deleted.unlink()
    with closing(sqlite3.connect(data_dir / "media.db")) as connection:
        connection.execute("UPDATE blobs SET state = 'garbage' WHERE key LIKE ?", (f"%{deleted.name}",))
        connection.commit()
    assert f"attachments that are lost: 1, such as {lost}" in backed_up(data_dir, tmp_path / "backup")
    restored(tmp_path / "backup", tmp_path / "new")


def test_a_file_that_cannot_be_read(data_dir: Path, tmp_path: Path) -> None:
    file, *_ = media(data_dir)
    file.unlink()
    file.mkdir()
    assert f"cannot read {file}" in refusal("backup", tmp_path / "backup", "--data-dir", data_dir)
    assert not (tmp_path / "backup" / "manifest.json").exists()
    assert "a backup that has not come to its end" in refusal(
        "restore", tmp_path / "backup", "--data-dir", tmp_path / "new"
    )
    file.rmdir()
    assert "lost" in backed_up(data_dir, tmp_path / "backup")  # begun anew in the same folder


def test_a_damaged_database_is_not_backed_up(data_dir: Path, tmp_path: Path) -> None:
    damage(data_dir / "message.db")
    said = refusal("backup", tmp_path / "backup", "--data-dir", data_dir)
    assert f"{data_dir / 'message.db'} is damaged: " in said


def damage(database: Path) -> None:
    """Overwrites a page of the middle."""
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)


def with_new_sums(backup: Path) -> None:
    """Has manifest and sums fit the files again."""
    names = [line.split()[1] for line in (backup / "SHA256SUMS").read_text().splitlines()]
    sums = "".join(f"{sha256((backup / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    rewrite_sums(backup, sums)


def rewrite_sums(backup: Path, sums: str) -> None:
    """Replaces SHA256SUMS, and has the manifest fit."""
    (backup / "SHA256SUMS").write_text(sums)
    manifest = json.loads((backup / "manifest.json").read_bytes())
    manifest["sha256sums"] = sha256(sums.encode()).hexdigest()
    (backup / "manifest.json").write_text(json.dumps(manifest))


def _bit(backup: Path) -> None:
    file = media(backup)[0]
    file.write_bytes(b"\xff" + file.read_bytes()[1:])


def _page(backup: Path) -> None:
    damage(backup / "data" / "message.db")
    with_new_sums(backup)


def _newer(backup: Path) -> None:
    with closing(sqlite3.connect(backup / "data" / "media.db")) as connection:
        connection.execute(
            "INSERT INTO _yoyo_migration SELECT 'x' || migration_hash, 'x' || migration_id, applied_at_utc"
            " FROM _yoyo_migration LIMIT 1"
        )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with_new_sums(backup)


def _say(backup: Path, name: str, value: object) -> None:
    manifest = json.loads((backup / "manifest.json").read_bytes())
    (backup / "manifest.json").write_text(json.dumps({**manifest, name: value}))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (_bit, "is damaged: its SHA-256 is another one"),
        (lambda backup: media(backup)[0].unlink(), "is missing"),
        (_page, "message.db is damaged: "),
        (_newer, "was written by a newer version of Roomline"),
        (lambda backup: _say(backup, "version", 2), "was written by a newer version of Roomline"),
        (lambda backup: (backup / "manifest.json").unlink(), "is no backup: there is no manifest.json"),
        (lambda backup: (backup / "manifest.json").write_text("[]"), "is no manifest of a backup"),
        (lambda backup: _say(backup, "taken_at", "\x1b[2Jthen"), "is no manifest of a backup"),
        (lambda backup: (backup / "manifest.json").write_text('{"format": "roomline-archive"}'), "is no manifest"),
        (lambda backup: (backup / "SHA256SUMS").write_text(""), "SHA256SUMS is damaged"),
        (lambda backup: (backup / "SHA256SUMS").unlink(), "cannot read"),
        (lambda backup: rewrite_sums(backup, f"{'0' * 64}  data/../../evil\n"), "names a file that no backup has"),
        (lambda backup: rewrite_sums(backup, "nonsense\n"), "has a line that is none of a backup"),
        (shutil.rmtree, "is no backup"),
    ],
)
def test_a_damaged_backup_changes_nothing(
    data_dir: Path, backup: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    spoil(backup)
    before = content(data_dir)
    assert problem in refusal("restore", backup, "--replace", "--data-dir", data_dir)
    assert content(data_dir) == before
    assert not [*data_dir.glob("**/.restoring"), *data_dir.glob("before-restore-*")]


def test_folders_in_use_are_refused(data_dir: Path, backup: Path, tmp_path: Path) -> None:
    assert "has a backup already: name a new folder" in refusal("backup", backup, "--data-dir", data_dir)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is not empty: name a new folder" in refusal("backup", tmp_path / "full", "--data-dir", data_dir)
    assert "has no databases" in refusal("backup", tmp_path / "b", "--data-dir", tmp_path / "full")
    with DataFolder(data_dir).lock():
        assert "is in use by process" in refusal("restore", backup, "--replace", "--data-dir", data_dir)
    with DataFolder(data_dir).copying():
        backed_up(data_dir, tmp_path / "another")
        assert "a backup of" in refusal("restore", backup, "--replace", "--data-dir", data_dir)
    with DataFolder(data_dir).exchanging():
        assert "is at work" in refusal("backup", tmp_path / "b", "--data-dir", data_dir)
    assert not (tmp_path / "b").exists()


def test_a_volume_that_is_away_is_not_taken_for_done(data_dir: Path, backup: Path, tmp_path: Path) -> None:
    """The note of an interrupted restore names a folder of files, which somebody has not mounted again."""
    aside, media_dir = "before-restore-x", tmp_path / "volume"
    media_dir.mkdir()
    staged = data_dir / ".restoring"
    staged.mkdir()
    sums = json.loads((backup / "manifest.json").read_bytes())["sha256sums"]
    note = {"backup": sums, "taken_at": "then", "aside": aside, "media": str(media_dir), "is_aside": True}
    (data_dir / "restoring.json").write_text(json.dumps(note))
    assert "start the same `roomline restore` again to finish it" in refusal("restore", backup, "--data-dir", data_dir)
    (media_dir / ".restoring" / "00").mkdir(parents=True)
    assert "An interrupted restore is finished" in restored(backup, data_dir)
    assert [path.name for path in media_dir.iterdir()] == ["00"]
    assert [path.name for path in data_dir.iterdir() if path.name.startswith(("restoring", ".restoring"))] == []
