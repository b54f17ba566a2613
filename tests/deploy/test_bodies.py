"""Files by way of nginx: straight through, in both directions, whatever their size."""

import os
import time
from pathlib import Path

from tests.deploy.clients import Front
from tests.deploy.nginx import Nginx
from tests.support import memory
from tests.support.server import Running
from tests.wire import codes
from tests.wire.client import Server, path_of
from tests.wire.files import DATA, at, attachment_of, post_file, reserve, upload

MIB = 1024 * 1024
LARGE = os.urandom(MIB) * 50
PASSED_ON = 4 * MIB
"""How much of an upload the gateway must have got while the client still has to send the rest."""
SECONDS = 60.0


def test_large_files_are_kept_nowhere(server: Server, nginx: Nginx) -> None:
    user = server.new_user()
    room = server.new_room(user)
    before = memory.resident(nginx.workers)
    memory.forget_peak(nginx.workers)
    reserved = reserve(server.su(user), room, len(LARGE))
    upload(server, reserved.upload_url, LARGE)
    message = server.send(room, user, reserved.part)
    found = at(server, attachment_of(server, room, message)["download_url"])
    assert found.status == 200
    assert found.body == LARGE
    assert nginx.kept_files() == []
    for worker, most in memory.peak(nginx.workers).items():
        assert most - before[worker] < 16 * MIB


def test_an_upload_passes_while_it_is_sent(front: Front, behind: Running, alice: str, room: str) -> None:
    data = LARGE[: 2 * PASSED_ON]
    reserved = reserve(front.su(alice), room, len(data))
    before = _stored_bytes(behind.data_dir)
    path = reserved.upload_url.removeprefix(f"https://{front.netloc}")
    stream = front.connection.open("PUT", path, {"Content-Length": str(len(data))}, more=True)
    stream.send(data[: PASSED_ON + MIB])
    deadline = time.monotonic() + SECONDS
    while _stored_bytes(behind.data_dir) - before < PASSED_ON:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # another process's file: there is nothing to await
    stream.send(data[PASSED_ON + MIB :], last=True)
    assert stream.reply().status == 200


def _stored_bytes(data_dir: Path) -> int:
    total = 0
    for path in (data_dir / "media").rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # it has just got its last name
            continue
    return total


def test_the_gateway_says_what_is_too_large(server: Server) -> None:
    """While the client is still sending; nginx alone would refuse at 1 MiB."""
    user = server.new_user()
    room = server.new_room(user)
    reserved = reserve(server.su(user), room)
    reply = at(server, reserved.upload_url, "PUT", LARGE[: 4 * MIB])
    reply.fails(400, codes.SIZE_MISMATCH)
    too_large = server.su(user).call("POST", path_of("rooms", room, "messages"), b"x" * (2 * MIB))
    too_large.fails(413, "request_too_large")


def test_a_form_of_an_old_client_passes(server: Server) -> None:
    user = server.new_user()
    room = server.new_room(user)
    answer = post_file(server, room, user, "a picture/of us.gif", DATA * 3000, "image/gif")
    assert answer["type"] == "image"
    assert at(server, answer["resource_link"]).body == DATA * 3000


def test_parts_of_a_file_come_as_asked_for(server: Server) -> None:
    user = server.new_user()
    room = server.new_room(user)
    reserved = reserve(server.su(user), room, name="a b.png")
    upload(server, reserved.upload_url)
    url = attachment_of(server, room, server.send(room, user, reserved.part))["download_url"]
    whole = at(server, url)
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = at(server, url, headers={"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, DATA[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(DATA)}"
    assert at(server, url, headers={"Range": f"bytes={len(DATA)}-"}).status == 416
    assert at(server, url, headers={"If-None-Match": whole.headers["ETag"]}).status == 304
    assert at(server, url, "HEAD").headers["Content-Length"] == str(len(DATA))
