"""Export and import of a whole instance: everything comes back as it was, bytes and all."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.commands import roomline_here
from tests.cli.whole_instance import client, export, fill, import_archive, new_instance, same_bytes
from tests.support.server import Running, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose development instance has something of everything."""
    with running_server(tmp_path_factory.mktemp("export")) as running:
        with client(running) as connection:
            fill(connection)
        yield running


@pytest.fixture(scope="module")
def exported(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The development instance as an archive."""
    folder = tmp_path_factory.mktemp("archives") / "dev"
    export(server, folder)
    return folder


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The records of a kind."""
    return [orjson.loads(line) for line in (folder / f"{kind}.jsonl").read_bytes().splitlines()]


def test_there_is_something_of_everything(exported: Path) -> None:
    counts = {kind: len(lines(exported, kind)) for kind in ("users", "roles", "rooms", "assignments", "avatars")}
    assert counts == {"users": 6, "roles": 3, "rooms": 5, "assignments": 3, "avatars": 2}
    text = b"".join((exported / f"{kind}.jsonl").read_bytes() for kind in ("users", "rooms", "messages"))
    for word in ("password_hash", "archived_until", "hidden_by", "cursors", "unsent_at", "edited_at", "expires_at"):
        assert f'"{word}"'.encode() in text
    for kind in ("ROOM_KIND_DIRECT", "ROOM_KIND_GROUP"):
        assert kind.encode() in text


def test_export_import_export_gives_the_same_bytes(server: Running, exported: Path, tmp_path: Path) -> None:
    with new_instance(server, "copy"):
        first = import_archive(server, exported, "copy", "--report", str(tmp_path / "report"))
        assert (tmp_path / "report").read_bytes() == b""
        assert not any(word in first for word in ("unchanged", "reduced", "conflict", "refused", "lost"))
        export(server, tmp_path / "copy", "--instance", "copy")
        same_bytes(exported, tmp_path / "copy")
        again = import_archive(server, exported, "copy", "--report", str(tmp_path / "again"))
        assert (tmp_path / "again").read_bytes() == b""
        assert not any(word in again for word in ("imported", "reduced", "conflict", "refused", "lost"))
        export(server, tmp_path / "third", "--instance", "copy")
        same_bytes(exported, tmp_path / "third")


def test_another_export_has_the_same_bytes(server: Running, exported: Path, tmp_path: Path) -> None:
    export(server, tmp_path / "again")
    same_bytes(exported, tmp_path / "again")


def test_one_user(server: Running, exported: Path, tmp_path: Path) -> None:
    export(server, tmp_path / "bob", "--user", "bob")
    (user,) = lines(tmp_path / "bob", "users")
    assert user["user"]["user"]["id"] == "bob"
    messages = lines(tmp_path / "bob", "messages")
    assert {message["message"]["message"]["user_id"] for message in messages} == {"bob"}
    rooms = lines(tmp_path / "bob", "rooms")
    assert {member["user_id"] for room in rooms for member in room["room"].get("members", [])} == {"bob"}
    assert {file["attachment"]["user_id"] for file in lines(tmp_path / "bob", "attachments")} == {"bob"}
    with new_instance(server, "bob"):
        import_archive(server, tmp_path / "bob", "bob", "--report", str(tmp_path / "report"))
        assert (tmp_path / "report").read_bytes() == b""
        export(server, tmp_path / "again", "--instance", "bob", "--user", "bob")
        same_bytes(tmp_path / "bob", tmp_path / "again")


def test_no_hash_leaves_with_one_user(exported: Path, server: Running, tmp_path: Path) -> None:
    someone = next(user for user in lines(exported, "users") if "account" in user["user"])
    user_id = someone["user"]["user"]["id"]
    export(server, tmp_path / "one", "--user", user_id)
    (user,) = lines(tmp_path / "one", "users")
    assert "password_hash" not in user["user"]["account"]
    assert len(lines(tmp_path / "one", "avatars")) <= 1


def test_a_user_who_is_not_there(server: Running, tmp_path: Path) -> None:
    refused = roomline_here(
        "export", tmp_path / "x", "--user", "nobody", "--data-dir", server.data_dir, "--instance", "dev"
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "The requested user does not exist" in refused.stderr


def test_a_user_without_an_id_is_not_everybody(server: Running, tmp_path: Path) -> None:
    words = ("export", tmp_path / "x", "--user", "", "--data-dir", server.data_dir, "--instance", "dev")
    refused = roomline_here(*words)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--user has no id" in refused.stderr
    assert not (tmp_path / "x").exists()


def test_without_files(server: Running, exported: Path, tmp_path: Path) -> None:
    export(server, tmp_path / "bare", "--no-files")
    assert [path for path in (tmp_path / "bare" / "files").rglob("*") if path.is_file()] == []
    for path in exported.glob("*.jsonl"):
        assert (tmp_path / "bare" / path.name).read_bytes() == path.read_bytes()
    with new_instance(server, "bare"):
        said = import_archive(server, tmp_path / "bare", "bare", "--report", str(tmp_path / "report"))
        assert "files" in said
        lost = [orjson.loads(line) for line in (tmp_path / "report").read_bytes().splitlines()]
        assert {entry["outcome"] for entry in lost} == {"bytes lost"}
        assert len(lost) == len(lines(exported, "attachments")) + len(lines(exported, "avatars"))
        import_archive(server, exported, "bare")
        export(server, tmp_path / "whole", "--instance", "bare")
        same_bytes(exported, tmp_path / "whole")


def test_lost_bytes_are_told(server: Running, exported: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    first, second, *_ = sorted((damaged / "files" / "attachments").iterdir())
    first.unlink()
    second.write_bytes(b"others")
    with new_instance(server, "damaged"):
        import_archive(server, damaged, "damaged", "--report", str(tmp_path / "report"))
    entries = [orjson.loads(line) for line in (tmp_path / "report").read_bytes().splitlines()]
    assert {entry["id"] for entry in entries} == {first.name, second.name}
    assert {(entry["what"], entry["outcome"], entry["file"]) for entry in entries} == {
        ("files", "bytes lost", "attachments.jsonl")
    }


def test_what_is_there_already_stays(server: Running, exported: Path, tmp_path: Path) -> None:
    with new_instance(server, "partly") as connection:
        connection.new_user("bob", name="another Bob")
        said = import_archive(server, exported, "partly", "--report", str(tmp_path / "report"))
        assert connection.su().get("/users/bob").read()["name"] == "another Bob"
    entries = [orjson.loads(line) for line in (tmp_path / "report").read_bytes().splitlines()]
    assert [(entry["what"], entry["id"], entry["file"]) for entry in entries if entry["outcome"] == "conflict"] == [
        ("users", "bob", "users.jsonl")
    ]
    assert "1 conflict" in said


def test_the_report_is_private_and_the_first_entries_are_shown(server: Running, exported: Path, tmp_path: Path) -> None:
    with new_instance(server, "shown") as connection:
        connection.new_user("bob")
        done = roomline_here("import", "archive", exported, "--data-dir", server.data_dir, "--instance", "shown")
        assert done.returncode == 0
        assert "users: id bob file users.jsonl line" in done.stderr
        import_archive(server, exported, "shown", "--report", str(tmp_path / "report"))
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("export", "{tmp}/x", "--instance", "none"), "there is no instance none"),
        (("export", "{archive}"), "has an archive already"),
        (("export", "{tmp}/x", "--data-dir", "{tmp}/none"), "no server runs on"),
        (("import", "archive", "{tmp}"), "is no archive"),
        (("import", "archive", "{archive}", "--report", "/no/such/folder/report"), "cannot write the report"),
        (("import", "chatkit", "{tmp}/u", "{tmp}/r", "{tmp}/m"), "cannot read"),
        (("import", "chatkit", "{tmp}/u", "{tmp}/r", "{tmp}/m", "--data-dir", "{tmp}/none"), "no server runs on"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    server: Running, exported: Path, tmp_path: Path, words: tuple[str, ...], problem: str
) -> None:
    arguments = [word.format(tmp=tmp_path, archive=exported) for word in words]
    data_dir = () if "--data-dir" in arguments else ("--data-dir", server.data_dir)
    refused = roomline_here(*arguments, *data_dir)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert problem in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.thorough
def test_an_instance_must_be_named_if_there_are_several(tmp_path: Path) -> None:
    with running_server(tmp_path, dev=False) as running:
        options = ("--data-dir", running.data_dir)
        assert "no instance yet" in roomline_here("export", tmp_path / "x", *options).stderr
        for name in ("one", "two"):
            assert roomline_here("instance", "create", "--id", name, *options).returncode == 0
            if name == "one":
                assert roomline_here("export", tmp_path / "one", *options).returncode == 0
        assert "there are 2 instances" in roomline_here("export", tmp_path / "x", *options).stderr
        assert roomline_here("export", tmp_path / "two", "--instance", "v1:local:two", *options).returncode == 0
    assert not (running.data_dir / "service.secret").exists()
    assert "no server runs on" in roomline_here("export", tmp_path / "x", *options).stderr
