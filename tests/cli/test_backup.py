"""A backup of a server that runs, restored elsewhere: everything is there, and clients are told to begin anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.event_service_pb2 import WatchRequest, WatchResponse, WatchTopic
from roomline.v1.event_service_pb2_grpc import EventServiceStub
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.message_service_pb2_grpc import MessageServiceStub

from tests.cli.backups import backed_up, modes, restored
from tests.cli.whole_instance import FILE, client, export, fill, same_bytes
from tests.faults.lobby import bearer
from tests.support.server import Running, running_server
from tests.wire.chat_api.client import UNAUTHORIZED, Api, Person, log_in, person, refused
from tests.wire.chat_api.stream import EventStream
from tests.wire.client import path_of
from tests.wire.files import at, attach, attachment_of

pytestmark = pytest.mark.thorough  # two servers; what each part does is shown by test_backup_folders.py and the stores


@dataclass
class Before:
    """What was when the backup was made, and a little later."""

    archive: Path
    """The development instance at that moment."""
    folder: Path
    said: str
    data_dir: Path
    dan: Person
    place: str
    """Of Dan's event stream, before the backup."""
    topic: WatchTopic
    """Where somebody stands who watches the instance."""
    request: SendMessageRequest
    """One that was answered."""
    message_id: int
    """The answer."""
    room: str
    file_message: int
    link: str
    """To a file of that message, without the server's address."""
    later: list[int]
    """Messages that came after the backup."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """A server with something of everything, backed up, and used further."""
    folder = tmp_path_factory.mktemp("before")
    with running_server(folder) as running, client(running) as server:
        fill(server)
        dan, eve = person(server, "Dan"), person(server, "Eve")
        direct = dan.open(eve.id)["id"]
        room = server.new_room("ann", "bob")
        file = attach(server, room, "ann", FILE)
        file_message = server.send(room, "ann", file.part)
        link = attachment_of(server, room, file_message)["download_url"].removeprefix(running.http)
        with EventStream(dan) as stream:
            eve.say(direct, "seen")
            stream.next()
            place = stream.last_id
        request = SendMessageRequest(
            room_id=room, user_id="ann", request_id="once", parts=[Part(type="text/plain", content="once")]
        )
        message_id = sent(running, request)
        topic = WatchTopic(id=1, instance=True)
        answer = watched(running, topic)
        topic.epoch, topic.after_position = answer.epoch, answer.position
        export(running, folder / "archive")
        said = backed_up(running.data_dir, folder / "backup")
        later = [server.send(room, "ann") for _ in range(3)]
        server.new_user("late")
        yield Before(
            *(folder / "archive", folder / "backup", said, running.data_dir, dan, place, topic, request, message_id),
            *(room, file_message, link, later),
        )


@pytest.fixture(scope="module")
def after(before: Before, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Another server, with what the backup has."""
    folder = tmp_path_factory.mktemp("after")
    restored(before.folder, folder / "data")
    with running_server(folder) as running:
        yield running


def sent(running: Running, request: SendMessageRequest) -> int:
    """Sends over gRPC; the id of the message."""
    with grpc.insecure_channel(running.grpc["message"]) as channel:
        metadata = (("authorization", bearer(running, su=True)),)
        answer = MessageServiceStub(channel).SendMessage(request, metadata=metadata, timeout=30)
    return int(answer.message.id)


def watched(running: Running, topic: WatchTopic) -> WatchResponse:
    """The first answer to somebody who begins to watch."""
    with grpc.insecure_channel(running.grpc["message"]) as channel:
        metadata = (("authorization", bearer(running, su=True)),)
        requests = iter([WatchRequest(add=[topic])])
        call = EventServiceStub(channel).Watch(requests, metadata=metadata, timeout=30)
        answer: WatchResponse = next(iter(call))
        call.cancel()
    return answer


def test_it_says_what_it_is(before: Before) -> None:
    manifest = json.loads((before.folder / "manifest.json").read_bytes())
    assert (manifest["format"], manifest["version"]) == ("roomline-backup", 1)
    assert (manifest["attachments"], manifest["missing"]) == ("included", 0)
    assert manifest["taken_at"] in before.said
    assert f"{manifest['files']} files" in before.said
    assert "Nobody had to wait for longer than" in before.said
    assert "lost" not in before.said


def test_only_its_owner_may_read_it(before: Before) -> None:
    assert modes(before.folder) == {True: {0o700}, False: {0o600}}


def test_it_can_be_checked_without_us(before: Before) -> None:
    subprocess.run(["sha256sum", "--quiet", "--strict", "--check", "SHA256SUMS"], cwd=before.folder, check=True)


def test_everything_is_there(before: Before, after: Running, tmp_path: Path) -> None:
    export(after, tmp_path / "archive")
    same_bytes(before.archive, tmp_path / "archive")
    assert modes(after.data_dir) == {True: {0o700}, False: {0o600}}


def test_links_that_were_handed_out_lead_to_their_files(before: Before, after: Running) -> None:
    with client(after) as server:
        assert at(server, after.http + before.link).body == FILE


def test_watchers_are_told_to_begin_anew(before: Before, after: Running) -> None:
    answer = watched(after, before.topic)
    (ended,) = answer.ended_topics
    assert ended.reason == ErrorReason.ERROR_REASON_CURSOR_EXPIRED
    assert answer.epoch != before.topic.epoch
    assert list(watched(after, WatchTopic(id=1, instance=True)).ended_topics) == []


def test_event_streams_are_told_to_begin_anew(before: Before, after: Running) -> None:
    with client(after) as server, EventStream(log_in(server, before.dan.email), before.place) as stream:
        assert stream.next().name == "resync"
        assert not stream.last_id.startswith(before.topic.epoch)


def test_sessions_have_ended(before: Before, after: Running) -> None:
    with client(after) as server:
        assert refused(Api(server, before.dan.access_token).get("users.list")) == UNAUTHORIZED
        again: Any = Api(server).post("auth/refresh", {"refresh_token": before.dan.refresh_token})
        assert again.status == 401
        assert log_in(server, before.dan.email).get("users.list").status == 200


def test_ids_of_messages_come_only_once(before: Before, after: Running) -> None:
    with client(after) as server:
        assert all(
            server.su().get(path_of("rooms", before.room, "messages", str(one))).status == 404 for one in before.later
        )
        assert server.send(before.room, "bob") > max(before.later)
        assert server.su().get("/users/late").status == 404


def test_a_request_from_before_the_backup_is_not_done_again(before: Before, after: Running) -> None:
    assert sent(after, before.request) == before.message_id
