"""A file larger than the memory that any process may take for it, on its way through all of them; and many that stop.

`ROOMLINE_LARGE_FILE_MIB=2048` makes it as large as one likes.
"""

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.server import Running, running_server
from tests.wire.client import Server
from tests.wire.files import FILES, attach, attachment_of, post_file, reserve
from tests.wire.files import form as form_of

MIB = 1024 * 1024
SIZE = int(os.environ.get("ROOMLINE_LARGE_FILE_MIB", "300")) * MIB
MAX_GROWTH = 64 * MIB
SECONDS = 60 + SIZE / (5 * MIB)

pytestmark = [
    pytest.mark.slow,  # moves several hundred megabytes
    pytest.mark.timeout(4 * SECONDS),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("large")) as running:
        yield running


@pytest.fixture
def server(running: Running) -> Iterator[Server]:
    with Server(running.http, running.instance_locator, running.key) as server:
        yield server


class Data:
    """Bytes that are made while they are sent, with their digest."""

    def __init__(self, before: bytes = b"", after: bytes = b"") -> None:
        self.digest = hashlib.sha256()
        self._before = before
        self._after = after

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        block = bytearray(os.urandom(MIB))
        for number in range(SIZE // MIB):
            block[:8] = number.to_bytes(8)
            self.digest.update(block)
            yield bytes(block)
        yield self._after

    @property
    def length(self) -> int:
        return SIZE + len(self._before) + len(self._after)


def memory(pid: int, name: str) -> int:
    """`VmRSS` of a process, or `VmHWM`, the most it ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def grown(running: Running, before: dict[str, int]) -> dict[str, int]:
    """By how many MiB each process was larger than before, at most."""
    return {name: (memory(pid, "VmHWM") - before[name]) // MIB for name, pid in running.pids.items()}


def exchange(url: str, method: str, data: Data | None, headers: dict[str, str]) -> tuple[int, bytes, str]:
    """Status, body (of an answer that is no file) and digest."""
    address = urlsplit(url)
    connection = HTTPConnection(str(address.hostname), address.port, timeout=SECONDS)
    if data is not None:
        headers = {**headers, "Content-Length": str(data.length)}
    connection.request(method, f"{address.path}?{address.query}", iter(data) if data else None, headers)
    response = connection.getresponse()
    digest, body = hashlib.sha256(), b""
    while chunk := response.read(MIB):
        digest.update(chunk)
        body = (body + chunk)[:10_000]
    connection.close()
    return response.status, body, digest.hexdigest()


def baseline(running: Running, server: Server, room: str, user: str) -> dict[str, int]:
    """What the processes need once everything that a file needs is loaded."""
    reserved = attach(server, room, user, b"x" * MIB)
    exchange(attachment_of(server, room, server.send(room, user, reserved.part))["download_url"], "GET", None, {})
    post_file(server, room, user, "x", b"x" * MIB)
    for pid in running.pids.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM begins anew
    return {name: memory(pid, "VmRSS") for name, pid in running.pids.items()}


def test_a_large_attachment(running: Running, server: Server) -> None:
    alice = server.new_user()
    room = server.new_room(alice)
    before = baseline(running, server, room, alice)
    reserved = reserve(server.su(alice), room, SIZE)
    data = Data()
    assert exchange(reserved.upload_url, "PUT", data, {})[0] == 200
    after_upload = grown(running, before)
    attachment = attachment_of(server, room, server.send(room, alice, reserved.part))
    status, _, digest = exchange(attachment["download_url"], "GET", None, {})
    assert (status, digest) == (200, data.digest.hexdigest())
    after_download = grown(running, before)
    print(f"{SIZE // MIB} MiB, growth in MiB: up {after_upload}, down {after_download}")  # noqa: T201 - with -s
    assert max(after_download.values()) * MIB <= MAX_GROWTH


def test_a_large_v2_file(running: Running, server: Server) -> None:
    alice = server.new_user()
    room = server.new_room(alice)
    before = baseline(running, server, room, alice)
    head, tail = form_of(b"\0", "video/mp4").split(b"\0")
    data = Data(head, tail)
    target = server.target(FILES, f"/rooms/{room}/users/{alice}/files/x.mp4")
    boundary = head.partition(b"\r\n")[0][2:].decode()
    headers = {
        "Authorization": f"Bearer {server.user_token(alice)}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    status, body, _ = exchange(f"http://{server.netloc}{target}", "POST", data, headers)
    assert status == 201, body
    after_upload = grown(running, before)
    print(f"{SIZE // MIB} MiB, growth in MiB: up {after_upload}")  # noqa: T201 - with -s
    assert max(after_upload.values()) * MIB <= MAX_GROWTH


STALLED = 40
MAX_PER_CLIENT = 3 * MIB
UPLOADS_AT_ONCE = 64
"""How many the media service reads from; it has further ones wait."""


def begin(server: Server, head: str) -> socket.socket:
    connection = server.open_socket()
    connection.settimeout(1)
    connection.sendall(f"{head} HTTP/1.1\r\nHost: {server.netloc}\r\n".encode())
    return connection


def target(url: str) -> str:
    address = urlsplit(url)
    return f"{address.path}?{address.query}"


def test_clients_that_take_nothing_more_cost_little(running: Running, server: Server) -> None:
    alice = server.new_user()
    room = server.new_room(alice)
    before = baseline(running, server, room, alice)
    reserved = reserve(server.su(alice), room, SIZE)
    assert exchange(reserved.upload_url, "PUT", Data(), {})[0] == 200
    url = attachment_of(server, room, server.send(room, alice, reserved.part))["download_url"]
    with ExitStack() as connections:
        for _ in range(STALLED):
            connection = connections.enter_context(begin(server, f"GET {target(url)}"))
            connection.sendall(b"\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        time.sleep(5)  # what is going to arrive has arrived
        grown_by = grown(running, before)
    print(f"{STALLED} downloads, growth in MiB: {grown_by}")  # noqa: T201 - with -s
    assert max(grown_by.values()) * MIB <= MAX_GROWTH + STALLED * MAX_PER_CLIENT


def test_uploads_that_wait_for_others_cost_little(running: Running, server: Server) -> None:
    alice = server.new_user()
    room = server.new_room(alice)
    reserved = reserve(server.su(alice), room, SIZE)
    assert exchange(reserved.upload_url, "PUT", Data(), {})[0] == 200  # a connection that has shown how fast it is
    before = baseline(running, server, room, alice)
    with ExitStack() as connections:
        for number in range(UPLOADS_AT_ONCE + STALLED):
            url = reserve(server.su(alice), room, 100 * MIB).upload_url
            connection = connections.enter_context(begin(server, f"PUT {target(url)}"))
            connection.sendall(f"Content-Length: {100 * MIB}\r\n\r\n".encode())
            connection.settimeout(0.2)
            with suppress(TimeoutError):
                for _ in range(2 if number < UPLOADS_AT_ONCE else 60):
                    connection.sendall(bytes(MIB))
        grown_by = grown(running, before)
    print(f"{STALLED} uploads, growth in MiB: {grown_by}")  # noqa: T201 - with -s
    assert max(grown_by.values()) * MIB <= MAX_GROWTH + STALLED * MAX_PER_CLIENT
