"""An instance that has something of everything, made by its clients, and instances to compare it with."""

from __future__ import annotations

import filecmp
import os
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.commands import roomline_here
from tests.support.server import Running
from tests.wire.chat_api.client import Part, Person, form, person
from tests.wire.client import AUTHORIZER, V6, Server, inline, link, path_of
from tests.wire.files import attach

FILE = os.urandom(700_000)
"""More than one piece of a stream."""


def client(running: Running) -> Server:
    """A client of the development instance."""
    return Server(running.http, running.instance_locator, running.key)


@contextmanager
def new_instance(running: Running, name: str) -> Iterator[Server]:
    """A client of an instance without anything."""
    made = roomline_here("instance", "create", "--id", name, "--data-dir", running.data_dir)
    assert made.returncode == 0, made.stderr
    locator, key = (line.split()[-1] for line in made.stdout.splitlines())
    with Server(running.http, locator, key) as server:
        yield server


def export(running: Running, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Exports the development instance, or the one that options name."""
    instance = () if "--instance" in options else ("--instance", running.instance_id)
    done = roomline_here("export", folder, "--data-dir", running.data_dir, *instance, *options)
    assert done.returncode == 0, done.stderr
    return done


def import_archive(running: Running, folder: Path, instance: str, *options: str) -> str:
    """Imports a folder into an instance; what the command says."""
    done = roomline_here("import", "archive", folder, "--data-dir", running.data_dir, "--instance", instance, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same_bytes(one: Path, other: Path) -> None:
    """Checks that two folders have the same files with the same bytes."""
    names = [sorted(str(path.relative_to(root)) for path in root.rglob("*")) for root in (one, other)]
    assert names[0] == names[1]
    files = [name for name in names[0] if (one / name).is_file()]
    _, different, unreadable = filecmp.cmpfiles(one, other, files, shallow=False)
    assert (different, unreadable) == ([], [])


def fill(server: Server) -> None:
    """Makes something of everything."""
    users: dict[str, dict[str, object]] = {
        "ann": {"avatar_url": "https://pictures.example/ann.png", "custom_data": {"b": [1, 2.5, None], "a": {}}},
        "bob": {"custom_data": {}},
        "../é\u2028 \"'": {"name": "path"},
        "gone": {},
    }
    for user, fields in users.items():
        server.new_user(user, **fields)
    _fill_chatkit(server)
    anna, ben, carl = (person(server, name) for name in ("Anna", "Ben", "Carl"))
    _fill_chat_api(server, anna, ben, carl)
    assert server.su().delete(path_of("users", "gone")).status == 204


def _fill_chatkit(server: Server) -> None:
    su = server.su("ann")
    for role in (
        {"name": "mod", "scope": "global"},
        {"name": "mod", "scope": "room"},
        {"name": "none", "scope": "room"},
    ):
        permissions = ["room:update", "cursors:read:set"] if role["name"] == "mod" else []
        assert su.call("POST", "/roles", {**role, "permissions": permissions}, AUTHORIZER).status == 201
    public = server.new_room("ann", "bob", "gone", custom_data={"n": 1}, push_notification_title_override="Ping")
    private = server.new_room("bob", "../é\u2028 \"'", id="../pr ivate", private=True)
    server.new_room("bob")
    for body in ({"name": "mod"}, {"name": "mod", "room_id": public}, {"name": "none", "room_id": private}):
        assert su.call("PUT", path_of("users", "ann", "roles"), body, AUTHORIZER).status == 201
    first = server.send(public, "ann", inline("first"), link(), inline('{"a": 1}', "application/json"))
    server.send(public, "gone", inline("from one who is gone"))
    file = attach(server, public, "ann", FILE, name="../a b.bin", custom_data=["any", 1, None])
    other = attach(server, private, "bob", b"")
    attach(server, public, "bob", b"never sent")
    shown = server.send(public, "ann", inline("see"), file.part, file.part)
    server.send(private, "bob", other.part)
    assert su.put(path_of("rooms", public, "messages", str(first)), {"parts": [inline("edited")]}, api=V6).status == 204
    last = server.send(public, "bob", inline("last"))
    assert su.delete(path_of("rooms", public, "messages", str(last))).status == 204
    server.set_cursor(public, "bob", shown)
    server.set_cursor(public, "ann", 7)


def _fill_chat_api(server: Server, anna: Person, ben: Person, carl: Person) -> None:
    direct, group = str(anna.open(ben.id)["id"]), str(anna.open(ben.id, carl.id)["id"])
    first = anna.say(direct, "first")
    ben.post("chat.remove", mid=first["id"]).read()
    anna.say(direct, "later", expires_in=86_400)
    edited = ben.say(direct, "one")
    ben.post("chat.update", {"content": {"text": "two"}}, mid=edited["id"]).read()
    unsent = anna.show(group, anna.file(_png(5, 3)))
    anna.post("chat.unsend", mid=unsent["id"]).read()
    kept = anna.show(group, anna.file(_png(2, 2), "é.png"), anna.file(b"text", "a.txt"), content={"text": "both"})
    ben.post("conversations.mark", cid=group, mid=kept["id"]).read()
    anna.post("conversations.archive", cid=direct).read()
    carl.post("conversations.leave", cid=group).read()
    for one, picture in ((anna, _png(9, 9)), (ben, _png(600, 300))):
        kind = {"Content-Type": "multipart/form-data; boundary=----a-boundary"}
        assert one.call("POST", "media/avatars", form(Part(picture)), kind).status == 200


def _png(width: int, height: int) -> bytes:
    """A picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\x00\x00\x00"
    rows = (b"\x00" + b"\xff\x00\x00" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
