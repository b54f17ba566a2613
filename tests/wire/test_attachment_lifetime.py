"""From when to when an attachment can be had (spec §6.3, §6.5; fault #23)."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.wire import codes
from tests.wire.client import V2, Server, inline, path_of
from tests.wire.conftest import Target
from tests.wire.files import DATA, at, attach, attachment_of, post_file, reserve, upload

GONE_SECONDS = 5.0


def test_a_download_waits_for_the_upload(target: Target, server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room)
    url = attachment_of(server, room, server.send(room, alice, reserved.part))["download_url"]
    replies = []

    def download() -> None:
        with target.connect(target.url) as reader:
            replies.append(at(reader, url))

    reader = threading.Thread(target=download)
    reader.start()
    time.sleep(0.5)
    assert replies == []
    upload(server, reserved.upload_url)
    reader.join(60)
    assert [(reply.status, reply.body) for reply in replies] == [(200, DATA)]


@pytest.mark.slow  # the server holds the request for ten seconds
def test_a_download_does_not_wait_for_ever(server: Server, alice: str, room: str) -> None:
    reserved = reserve(server.user(alice), room)
    url = attachment_of(server, room, server.send(room, alice, reserved.part))["download_url"]
    started = time.monotonic()
    at(server, url).fails(404, codes.ATTACHMENT_NOT_FOUND)
    assert 8 < time.monotonic() - started < 60  # and not at once, nor when the connection ends


Remove = Callable[[Server, str, str, int], None]


def delete_message(server: Server, _alice: str, room: str, message: int) -> None:
    server.su().delete(f"/rooms/{room}/messages/{message}").done()


def delete_room(server: Server, _alice: str, room: str, _message: int) -> None:
    server.su().delete(path_of("rooms", room)).done()


def edit_away(server: Server, alice: str, room: str, message: int) -> None:
    body = {"parts": [inline("without")]}
    server.su(alice).put(f"/rooms/{room}/messages/{message}", body).done()


def gone(server: Server, url: str) -> None:
    """Check that the URL ends within the time that there is."""
    deadline = time.monotonic() + GONE_SECONDS
    while (reply := at(server, url)).status != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    reply.fails(404, codes.ATTACHMENT_NOT_FOUND)


@pytest.mark.parametrize("remove", [delete_message, delete_room, edit_away])
def test_an_attachment_is_gone_with_its_message(server: Server, alice: str, room: str, remove: Remove) -> None:
    reserved = attach(server, room, alice)
    message = server.send(room, alice, reserved.part)
    attachment = attachment_of(server, room, message)
    assert at(server, attachment["download_url"]).body == DATA
    remove(server, alice, room, message)
    gone(server, attachment["download_url"])
    server.su().get(f"/rooms/{room}/attachments/{reserved.id}").fails(404)
    at(server, reserved.upload_url, "PUT", DATA).fails(404, codes.ATTACHMENT_NOT_FOUND)


@pytest.mark.parametrize("remove", [delete_message, delete_room, edit_away])
def test_a_v2_file_is_gone_with_its_message(server: Server, alice: str, room: str, remove: Remove) -> None:
    link = post_file(server, room, alice, "x.gif")
    assert at(server, link["resource_link"]).body == DATA  # before it is in a message, too
    message = server.send_text(room, alice, "look", **link)
    assert at(server, link["resource_link"]).body == DATA
    fresh_url = server.message(room, message, V2)["attachment"]["resource_link"]
    remove(server, alice, room, message)
    gone(server, link["resource_link"])
    gone(server, fresh_url)


def test_an_edit_that_keeps_an_attachment(server: Server, alice: str, room: str) -> None:
    kept, dropped = (attach(server, room, alice) for _ in range(2))
    message = server.send(room, alice, kept.part, dropped.part)
    body = {"parts": [inline("new"), kept.part]}
    server.su(alice).put(f"/rooms/{room}/messages/{message}", body).done()
    assert at(server, attachment_of(server, room, message, 1)["download_url"]).body == DATA
    server.su().get(f"/rooms/{room}/attachments/{dropped.id}").fails(404, codes.ATTACHMENT_NOT_FOUND)
