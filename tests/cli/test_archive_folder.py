"""The folder of an archive: written, read, refused."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import Value
from roomline.v1.archive_pb2 import (
    ArchiveRecord,
    AttachmentRecord,
    AvatarRecord,
    RoomMembersRecord,
    RoomRecord,
    UserRecord,
)
from roomline.v1.room_pb2 import Room
from roomline.v1.user_pb2 import User

from services.supervisor.archive.folder import bytes_path
from services.supervisor.archive.kinds import ATTACHMENT, AVATAR, KINDS, ROOM, USER
from services.supervisor.archive.lines import from_line, to_line
from services.supervisor.archive.reader import ArchiveReader
from services.supervisor.archive.writer import ArchiveWriter
from services.supervisor.command_error import CommandError
from services.supervisor.unfinished import MANIFEST, UNFINISHED

UUID = "0190b0f0-0000-7000-8000-000000000001"
BYTES = b"some bytes"
DIGEST = hashlib.sha256(BYTES).digest()


def user(user_id: str) -> ArchiveRecord:
    return ArchiveRecord(user=UserRecord(user=User(id=user_id, name="Ann é\u2028")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def written(folder: Path) -> Path:
    """A whole archive with two users and a file."""
    with ArchiveWriter(folder) as writer:
        for user_id in ("ann", "bob"):
            writer.add(USER, user(user_id))
        writer.add(ATTACHMENT, ArchiveRecord(attachment=AttachmentRecord(id=UUID, digest=DIGEST)))
        with writer.bytes_of(ATTACHMENT, UUID) as file:
            file.write(BYTES)
        writer.finish()
    return folder


def test_what_is_written_is_read(written: Path) -> None:
    reader = ArchiveReader(written)
    assert [record for _, record in reader.records(USER)] == [user("ann"), user("bob")]
    assert [line for line, _ in reader.records(USER)] == [1, 2]
    assert [reader.count(kind) for kind in KINDS] == [2, 0, 0, 0, 0, 1, 0]
    file = reader.open_bytes(ATTACHMENT, UUID, DIGEST)
    assert file is not None
    with file:
        file.seek(0)
        assert file.read() == BYTES


def test_only_the_owner_may_look(written: Path) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (written, *written.rglob("*"))}
    assert {path for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == set()


def test_the_manifest(written: Path) -> None:
    manifest = json.loads((written / MANIFEST).read_bytes())
    assert (manifest["format"], manifest["version"]) == ("roomline-archive", 1)
    assert set(manifest["files"]) == {kind.file for kind in KINDS}
    content = (written / "users.jsonl").read_bytes()
    assert manifest["files"]["users.jsonl"] == {"records": 2, "sha256": hashlib.sha256(content).hexdigest()}
    assert content.splitlines()[0].decode() == '{"user":{"user":{"id":"ann","name":"Ann é\u2028"}}}'


@pytest.mark.parametrize("number", [1, 1.5, 2**53, -0.0, 1e300])
def test_lines_repeat(number: float) -> None:
    record = ArchiveRecord(attachment=AttachmentRecord(id="a", custom_data=Value(number_value=number), digest=DIGEST))
    line = to_line(record)
    assert from_line(line) == record
    assert to_line(from_line(line)) == line


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"user": 1}', b'{"nobody": {}}', b'{"user":{"user":{"age":1}}}'])
def test_what_is_no_record(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_line(line)


@pytest.mark.parametrize("owner", ["../../etc/passwd", "..", ".", "", "a/b", "é" * 160, "Bob", "bob", "nul\0"])
def test_ids_are_no_paths(folder: Path, owner: str) -> None:
    path = bytes_path(folder, AVATAR, owner)
    assert path.parent == folder / "files" / "avatars"
    assert path.name == hashlib.sha256(owner.encode()).hexdigest()


def write_half(folder: Path) -> None:
    """An export that fails in the middle of a file."""
    with ArchiveWriter(folder) as writer:
        writer.add(USER, user("ann"))
        with writer.bytes_of(AVATAR, "bob") as file:
            file.write(BYTES)
        with writer.bytes_of(AVATAR, "ann") as file:
            file.write(BYTES)
            raise ZeroDivisionError


def test_an_unfinished_export_is_no_archive_and_is_begun_anew(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half(folder)
    assert bytes_path(folder, AVATAR, "bob").read_bytes() == BYTES
    assert not bytes_path(folder, AVATAR, "ann").exists()
    assert (folder / UNFINISHED).exists()
    with pytest.raises(CommandError, match="has not come to its end"):
        ArchiveReader(folder)
    with ArchiveWriter(folder) as writer:
        writer.finish()
    assert ArchiveReader(folder).count(USER) == 0
    assert [path.name for path in folder.rglob("*") if path.is_file() and path.parent != folder] == []
    assert not (folder / UNFINISHED).exists()


def test_a_folder_that_is_not_empty_is_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(CommandError, match="is not empty"), ArchiveWriter(folder):
        pass
    (folder / UNFINISHED).write_text("")
    with pytest.raises(CommandError, match="is not empty"), ArchiveWriter(folder):
        pass
    assert (folder / "letter.txt").read_text() == "dear"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_an_archive_is_not_written_over(written: Path) -> None:
    before = (written / MANIFEST).read_bytes()
    with pytest.raises(CommandError, match="has an archive already"), ArchiveWriter(written):
        pass
    assert (written / MANIFEST).read_bytes() == before


def test_two_exports_do_not_share_a_folder(folder: Path) -> None:
    with ArchiveWriter(folder), pytest.raises(CommandError, match="another export"), ArchiveWriter(folder):
        pass


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot write"), ArchiveWriter(tmp_path / "file" / "archive"):
        pass


def test_a_link_is_not_followed(tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / UNFINISHED).touch()
    (tmp_path / "other").write_text("dear")
    (folder / "users.jsonl").symlink_to(tmp_path / "other")
    with ArchiveWriter(folder) as writer:
        writer.finish()
    assert (tmp_path / "other").read_text() == "dear"
    assert ArchiveReader(folder).count(USER) == 0


def test_damage_is_noticed(written: Path) -> None:
    with (written / "users.jsonl").open("ab") as file:
        file.write(to_line(user("eve")))
    with pytest.raises(CommandError, match="is damaged"):
        ArchiveReader(written)


@pytest.mark.parametrize("records", [0, 1, 3])
def test_a_wrong_number_of_records_is_noticed(written: Path, records: int) -> None:
    manifest = json.loads((written / MANIFEST).read_bytes())
    assert manifest["files"]["users.jsonl"]["records"] == 2
    manifest["files"]["users.jsonl"]["records"] = records
    (written / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(CommandError, match="is damaged"):
        ArchiveReader(written)


def test_a_missing_file_is_noticed(written: Path) -> None:
    (written / "users.jsonl").unlink()
    with pytest.raises(CommandError, match="cannot read"):
        ArchiveReader(written)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "zip"}', '{"format": "roomline-archive", "version": 1}']
)
def test_what_is_no_manifest(written: Path, content: str) -> None:
    (written / MANIFEST).write_text(content)
    with pytest.raises(CommandError, match="is no manifest"):
        ArchiveReader(written)


@pytest.mark.parametrize(("key", "value"), [("version", 2), ("files", {"../x": {"records": 0, "sha256": ""}})])
def test_a_newer_archive(written: Path, key: str, value: object) -> None:
    manifest = json.loads((written / MANIFEST).read_bytes())
    (written / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(CommandError, match="newer version"):
        ArchiveReader(written)


def test_no_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is no archive"):
        ArchiveReader(tmp_path)


def test_other_bytes_are_none(written: Path) -> None:
    reader = ArchiveReader(written)
    path = bytes_path(written, ATTACHMENT, UUID)
    path.write_bytes(b"others")
    assert reader.open_bytes(ATTACHMENT, UUID, DIGEST) is None
    path.unlink()
    assert reader.open_bytes(ATTACHMENT, UUID, DIGEST) is None
    os.mkfifo(path)
    assert reader.open_bytes(ATTACHMENT, UUID, DIGEST) is None


def test_records_of_another_kind_are_refused(folder: Path) -> None:
    with ArchiveWriter(folder) as writer:
        writer.add(ROOM, ArchiveRecord(room=RoomRecord(room=Room(id="lobby"))))
        writer.add(ROOM, ArchiveRecord(room_members=RoomMembersRecord(room_id="lobby")))
        writer.add(ROOM, ArchiveRecord(avatar=AvatarRecord(user_id="ann")))
        writer.finish()
    records = ArchiveReader(folder).records(ROOM)
    assert [next(records)[0], next(records)[0]] == [1, 2]
    with pytest.raises(CommandError, match="line 3 is none of the rooms"):
        next(records)
