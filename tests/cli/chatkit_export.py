"""A small export of Chatkit's, and where it has its files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from tests.cli.commands import roomline_here
from tests.support.server import Running

Value = dict[str, Any]
Export = tuple[list[Value], list[Value], list[Value]]
"""Users, rooms and messages."""

ALLOWED = {"ROOMLINE_OUTBOUND_ALLOW_PRIVATE": "true"}
"""A `FileHost` is on this machine."""

NO_FILES = "https://files.example.invalid"
"""Where nobody answers."""


@dataclass
class FileHost:
    """Serves files by their paths, and notes what was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """Set, unless it is to keep everybody waiting."""


@contextmanager
def file_host(**files: bytes) -> Iterator[FileHost]:
    """One that runs for the time of the block, in a thread of its own."""
    host = FileHost(files={f"/{name}": data for name, data in files.items()})
    host.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            host.asked.append(path)
            host.answers.wait()
            data = host.files.get(path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # whoever asked may be gone
                self.wfile.write(data or b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield host
        finally:
            host.answers.set()
            server.shutdown()
            thread.join()


def at(seconds: int) -> str:
    """A time."""
    return f"2019-04-01T{10 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def user(user_id: str, seconds: int = 0, **fields: object) -> Value:
    """A user who was created at a time."""
    return {"id": user_id, "name": user_id.title(), "created_at": at(seconds), "updated_at": at(seconds + 1), **fields}


def room(room_id: str, members: list[str], seconds: int = 10, **fields: object) -> Value:
    """A room; its first member has created it."""
    return {
        "id": room_id,
        "created_by_id": members[0],
        "name": room_id.title(),
        "member_ids": members,
        "private": False,
        "created_at": at(seconds),
        "updated_at": at(seconds),
        **fields,
    }


def message(message_id: int, room_id: str, sender: str, seconds: int, *parts: Value) -> Value:
    """A message of these parts; a text if there are none."""
    return {
        "id": message_id,
        "sender_id": sender,
        "room_id": room_id,
        "created_at": at(seconds),
        "updated_at": at(seconds),
        "parts": list(parts) or [inline(f"message {message_id}")],
    }


def inline(content: str, mime: str = "text/plain") -> Value:
    """A part with its content."""
    return {"part_type": "inline", "payload": {"type": mime, "content": content}}


def link(url: str, mime: str = "image/png") -> Value:
    """A part that is somewhere else."""
    return {"part_type": "url", "payload": {"type": mime, "url": url}}


def attachment(url: str, size: int, name: str = "a b.txt", **fields: object) -> Value:
    """A part with a file."""
    payload = {"type": "text/plain", "name": name, "size": size, "download_url": url, **fields}
    return {"part_type": "attachment", "payload": payload}


def write(folder: Path, users: list[Value], rooms: list[Value], messages: list[Value], *, lines: bool) -> list[Path]:
    """The three files, with a value a line or as arrays."""
    paths = []
    for name, values in (("users", users), ("rooms", rooms), ("messages", messages)):
        path = folder / f"{name}.json"
        path.write_bytes(
            b"\n".join(map(orjson.dumps, values)) if lines else orjson.dumps(values, option=orjson.OPT_INDENT_2)
        )
        paths.append(path)
    return paths


def bring(
    running: Running, instance: str, folder: Path, values: Export, *, lines: bool = False, **options: str
) -> tuple[str, list[dict[str, Any]]]:
    """Imports; what the command says, and its report."""
    files = write(folder, *values, lines=lines)
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value) if word]
    words += ["--instance", instance, "--data-dir", str(running.data_dir), "--report", str(folder / "report")]
    done = roomline_here("import", "chatkit", *files, *words, env=ALLOWED)
    assert done.returncode == 0, done.stderr
    return done.stdout, [orjson.loads(line) for line in (folder / "report").read_bytes().splitlines()]
