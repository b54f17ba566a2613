"""`roomline import chatkit`: what clients see afterwards, and what is said of the rest."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.chatkit_export import (
    ALLOWED,
    NO_FILES,
    Export,
    FileHost,
    at,
    attachment,
    bring,
    file_host,
    inline,
    link,
    message,
    room,
    user,
    write,
)
from tests.cli.commands import clean_environment, command, wait_until
from tests.cli.whole_instance import export, new_instance, same_bytes
from tests.support.server import Running
from tests.wire.client import CURSORS, Server, path_of
from tests.wire.files import at as fetch

BYTES = b"the bytes of a file"


def sample(host: str) -> Export:
    """Three people, three rooms, and messages of all kinds, not in their order."""
    users = [
        user("ann", 1, avatar_url="https://pictures.example/ann.png", custom_data={"n": 1, "list": [True, None, 2.5]}),
        user("bob/é", 0),
        user("carl", 2),
    ]
    rooms = [
        room(
            "lobby",
            ["bob/é", "ann"],
            11,
            custom_data={},
            push_notification_title_override="Ping",
            last_message_at=at(99),
        ),
        room("attic", ["ann", "carl"], 10, private=True),
        room("empty", ["carl"], 12),
    ]
    messages = [
        message(
            43,
            "lobby",
            "ann",
            102,
            inline("third"),
            link("https://pictures.example/dog.png"),
            inline('{"a":1}', "application/json"),
        ),
        message(
            43, "attic", "carl", 101, inline("only"), attachment(f"{host}/good?s=1", len(BYTES), custom_data={"k": [1]})
        ),
        message(42, "lobby", "bob/é", 101),
        message(41, "lobby", "who has left", 101),
    ]
    return users, rooms, messages


@pytest.fixture(scope="module")
def host() -> Iterator[FileHost]:
    with file_host(good=BYTES) as running:
        yield running


@pytest.fixture(scope="module", params=["arrays", "lines"])
def imported(
    dev_server: Running, host: FileHost, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """An instance with the sample."""
    name = f"chatkit-{request.param}"
    with new_instance(dev_server, name) as server:
        said, report = bring(
            dev_server, name, tmp_path_factory.mktemp(name), sample(host.url), lines=request.param == "lines"
        )
        assert report == []
        assert [line.split() for line in said.splitlines()] == [
            ["users", "3", "imported"],
            ["rooms", "3", "imported"],
            ["messages", "4", "imported"],
            ["read", "rooms", "2", "imported"],
            ["attachments", "1", "imported"],
            ["files", "1", "imported"],
        ]
        yield server


def test_users(imported: Server) -> None:
    assert imported.su().get("/users/ann").read() == {
        "id": "ann",
        "name": "Ann",
        "avatar_url": "https://pictures.example/ann.png",
        "custom_data": {"n": 1, "list": [True, None, 2.5]},
        "created_at": at(1),
        "updated_at": at(2),
    }
    assert [one["id"] for one in imported.su().get("/users").read()] == ["bob/é", "ann", "carl"]


def test_rooms(imported: Server) -> None:
    lobby = imported.room("lobby")
    assert lobby["member_user_ids"] == ["bob/é", "ann"]
    assert (lobby["name"], lobby["created_by_id"], lobby["private"]) == ("Lobby", "bob/é", False)
    assert (lobby["custom_data"], lobby["push_notification_title_override"]) == ({}, "Ping")
    assert (lobby["created_at"], lobby["updated_at"]) == (at(11), at(11))
    attic = imported.room("attic")
    assert attic["private"]
    assert "custom_data" not in attic
    newest = {name: one.get("last_message_at") for name, one in imported.rooms_of("carl").items()}
    assert newest == {"attic": at(101), "empty": None}


def test_messages_are_in_the_order_of_their_times(imported: Server) -> None:
    messages = imported.su().get(path_of("rooms", "lobby", "messages") + "?direction=newer&limit=100").read()
    assert [(one["user_id"], one["created_at"]) for one in messages] == [
        ("who has left", at(101)),
        ("bob/é", at(101)),
        ("ann", at(102)),
    ]
    assert [part["type"] for part in messages[2]["parts"]] == ["text/plain", "image/png", "application/json"]
    assert messages[2]["parts"][1]["url"] == "https://pictures.example/dog.png"
    assert messages[2]["parts"][2]["content"] == '{"a":1}'


def test_an_attachment_has_its_bytes(imported: Server) -> None:
    (one,) = imported.su().get(path_of("rooms", "attic", "messages")).read()
    held = one["parts"][1]["attachment"]
    assert (held["name"], held["size"], held["custom_data"]) == ("a b.txt", len(BYTES), {"k": [1]})
    assert fetch(imported, held["download_url"]).body == BYTES


def test_everything_is_read(imported: Server) -> None:
    for name in ("ann", "bob/é", "carl"):
        assert {one["unread_count"] for one in imported.rooms_of(name).values()} == {0}
    assert len(imported.su().get(path_of("cursors", "0", "users", "ann"), api=CURSORS).read()) == 2


def test_life_goes_on(imported: Server) -> None:
    sent = imported.send("lobby", "ann", {"type": "text/plain", "content": "news"})
    messages = imported.su().get(path_of("rooms", "lobby", "messages")).read()
    assert messages[0]["id"] == sent
    assert imported.rooms_of("bob/é")["lobby"]["unread_count"] == 1


def test_again_changes_nothing(dev_server: Running, host: FileHost, tmp_path: Path) -> None:
    with new_instance(dev_server, "again") as server:
        bring(dev_server, "again", tmp_path, sample(host.url))
        server.set_cursor("attic", "ann", 7)
        export(dev_server, tmp_path / "before", "--instance", "again")
        host.asked.clear()
        said, report = bring(dev_server, "again", tmp_path, sample(host.url), lines=True)
        assert report == []
        assert host.asked == []
        assert "imported" not in said
        export(dev_server, tmp_path / "after", "--instance", "again")
        same_bytes(tmp_path / "before", tmp_path / "after")


def test_two_imports_are_alike(dev_server: Running, host: FileHost, tmp_path: Path) -> None:
    for name in ("alike-1", "alike-2"):
        with new_instance(dev_server, name):
            bring(dev_server, name, tmp_path, sample(host.url))
            export(dev_server, tmp_path / name, "--instance", name)
    same_bytes(tmp_path / "alike-1", tmp_path / "alike-2")


def test_bytes_that_are_gone(dev_server: Running, host: FileHost, tmp_path: Path) -> None:
    people = [user("ann")], [room("lobby", ["ann"])]
    parts = [
        attachment(f"{host.url}/late", len(BYTES)),
        attachment(f"{host.url}/good", len(BYTES) - 1),
        attachment(f"{host.url}/good", len(BYTES) + 1),
        attachment(f"{NO_FILES}/x", 5),
        attachment("https://169.254.169.254/latest/meta-data/", 5),
        attachment("no url", 5),
    ]
    values = (*people, [message(1, "lobby", "ann", 100, *parts)])
    with new_instance(dev_server, "gone") as server:
        said, report = bring(dev_server, "gone", tmp_path, values)
        assert len(report) == len(parts)
        assert {(one["what"], one["outcome"], one["index"]) for one in report} == {("files", "bytes lost", 0)}
        assert "the answer has the status 404" in " ".join(one["detail"] for one in report)
        assert "6 bytes lost" in said
        (held,) = server.su().get(path_of("rooms", "lobby", "messages")).read()
        assert [part["attachment"]["name"] for part in held["parts"]] == ["a b.txt"] * len(parts)
        host.files["/late"] = BYTES
        said, report = bring(dev_server, "gone", tmp_path, values)
        assert len(report) == len(parts) - 1
        (held,) = server.su().get(path_of("rooms", "lobby", "messages")).read()
        assert fetch(server, held["parts"][0]["attachment"]["download_url"]).body == BYTES


def test_without_files(dev_server: Running, host: FileHost, tmp_path: Path) -> None:
    host.asked.clear()
    with new_instance(dev_server, "no-files"):
        _, report = bring(dev_server, "no-files", tmp_path, sample(host.url), no_files="")
    assert host.asked == []
    assert [one["outcome"] for one in report] == ["bytes lost"]


def test_ctrl_c_while_reading(dev_server: Running, tmp_path: Path) -> None:
    users, rooms, messages = write(tmp_path, [user("ann")], [room("lobby", ["ann"])], [], lines=True)
    messages.unlink()
    os.mkfifo(messages)  # to which nobody writes
    words = ("import", "chatkit", users, rooms, messages, "--instance", "dev", "--data-dir", dev_server.data_dir)
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, env=clean_environment()) as process:
        assert process.stderr is not None
        assert [process.stderr.readline() for _ in range(2)] == [b"reading users: 1\n", b"reading rooms: 1\n"]
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert (process.wait(), told) == (130, b"roomline: stopped; start the same command again to go on\n")


def test_ctrl_c_while_importing(dev_server: Running, tmp_path: Path) -> None:
    with file_host(good=BYTES) as host, new_instance(dev_server, "stopped"):
        host.answers.clear()
        files = write(tmp_path, *sample(host.url), lines=True)
        words = ("import", "chatkit", *files, "--instance", "stopped", "--data-dir", dev_server.data_dir)
        environment = {**clean_environment(), **ALLOWED}
        with subprocess.Popen(command(*words), stderr=subprocess.PIPE, env=environment) as process:
            wait_until(lambda: host.asked != [])
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            told = process.stderr.read()
            assert process.wait() == 130
        assert told.endswith(b"roomline: stopped; start the same command again to go on\n")
        assert b"Traceback" not in told
        host.answers.set()
        said, report = bring(dev_server, "stopped", tmp_path, sample(host.url))
        assert report == []
        assert said.split()[-3:] == ["files", "1", "imported"]
