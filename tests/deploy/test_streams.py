"""Answers without end by way of nginx: nothing is held back, and who leaves is missed."""

import json
import socket

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.deploy.clients import Front, Http2Subscription, trusting
from tests.deploy.http2 import SECONDS, Stream
from tests.deploy.nginx import NAME, Nginx
from tests.support.server import Running
from tests.wire import codes
from tests.wire.chat_api.client import person
from tests.wire.client import CURSORS, V6, Server, path_of
from tests.wire.live.client import Subscription

PRESENCE = "chatkit_presence/v2"
MANY = 300
"""Subscriptions of one client: more than nginx takes on one connection by default."""


def subscribed(front: Front, path: str, user: str, api: str = V6) -> Http2Subscription:
    return front.subscribe(path, user, api=api).opened()


def registered(front: Front, user: str) -> Http2Subscription:
    return subscribed(front, path_of("users", user, "register"), user, api=PRESENCE)


def state(subscription: Subscription) -> str:
    return str(subscription.data("presence_state")["state"])


def test_a_stream_opens_at_once_and_tells_what_happens(front: Front, alice: str, bob: str, room: str) -> None:
    with subscribed(front, path_of("rooms", room), alice) as stream:
        for text in ("one", "two"):
            message = front.send(room, bob, {"type": "text/plain", "content": text})
            assert stream.data("new_message")["id"] == message


def test_a_stream_is_ended_by_the_gateway(front: Front, alice: str, room: str) -> None:
    with subscribed(front, path_of("rooms", room, "memberships"), alice) as stream:
        stream.event("initial_state")
        front.su().delete(path_of("rooms", room)).done()
        stream.ends(404, codes.ROOM_NOT_FOUND)


def test_a_refusal_is_an_ordinary_answer(front: Front, alice: str) -> None:
    front.subscribe("/rooms/nowhere", alice).refuses(404, codes.ROOM_NOT_FOUND)


def test_the_first_heartbeat_is_as_long_as_asked_for(front: Front, alice: str) -> None:
    with front.subscribe("/users", alice, headers={"X-Initial-Heartbeat-Size": "10240"}).opened() as stream:
        assert len(stream.heartbeat()) == 10_240
        stream.event("initial_state")


@pytest.mark.slow  # heartbeats are half a minute apart at least
def test_heartbeats_go_on(front: Front, alice: str, room: str) -> None:
    with front.subscribe(path_of("rooms", room), alice, headers={"X-Heartbeat-Interval": "30"}).opened() as stream:
        for _ in range(2):
            assert stream.heartbeat() == ""
        message = front.send(room, alice)
        assert stream.data("new_message")["id"] == message


def test_who_ends_a_stream_is_missed(front: Front, alice: str, bob: str) -> None:
    """Only that stream: its connection goes on."""
    with subscribed(front, path_of("users", bob), alice, api=PRESENCE) as watching:
        assert state(watching) == "offline"
        with registered(front, bob):
            assert state(watching) == "online"
        assert state(watching) == "offline"


def test_who_loses_the_connection_is_missed(front: Front, behind: Running, nginx: Nginx, alice: str, bob: str) -> None:
    with subscribed(front, path_of("users", bob), alice, api=PRESENCE) as watching:
        assert state(watching) == "offline"
        with Front(behind, nginx) as phone:
            registered(phone, bob)
            assert state(watching) == "online"
        assert state(watching) == "offline"


def test_who_cuts_an_old_connection_is_missed(
    front: Front, behind: Running, nginx: Nginx, alice: str, bob: str
) -> None:
    """Over HTTP/1.1, without a word."""
    with subscribed(front, path_of("users", bob), alice, api=PRESENCE) as watching:
        assert state(watching) == "offline"
        path = front.target(PRESENCE, path_of("users", bob, "register"))
        with Server(nginx.url, behind.instance_locator, behind.key, behind.ca_file) as old:
            connection = old.open_socket()
            with connection:
                head = f"SUBSCRIBE {path} HTTP/1.1\r\nHost: {old.netloc}\r\n"
                connection.sendall(f"{head}Authorization: Bearer {front.user_token(bob)}\r\n\r\n".encode())
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
                assert state(watching) == "online"
                connection.shutdown(socket.SHUT_RDWR)
        assert state(watching) == "offline"


def test_streams_leave_room_for_calls(front: Front, alice: str, room: str) -> None:
    assert front.connection.max_streams > MANY
    path = path_of("cursors", "0", "rooms", room)
    streams = [front.subscribe(path, alice, api=CURSORS) for _ in range(MANY)]
    try:
        for stream in streams:
            stream.opened().event("initial_state")
        message = front.send(room, alice)
        front.set_cursor(room, alice, message)
        for stream in streams:
            assert stream.data("new_cursor")["position"] == message
    finally:
        for stream in streams:
            stream.close()


def test_an_old_client_gets_the_same_in_chunks(front: Front, nginx: Nginx, behind: Running, alice: str) -> None:
    with Server(nginx.url, behind.instance_locator, behind.key, behind.ca_file) as old:
        head = f"SUBSCRIBE {old.target('chatkit/v6', '/users')} HTTP/1.1\r\nHost: {old.netloc}\r\nConnection: close\r\n"
        with old.open_socket() as connection, connection.makefile("rb") as answer:
            connection.sendall(f"{head}Authorization: Bearer {front.user_token(alice)}\r\n\r\n".encode())
            assert answer.readline().startswith(b"HTTP/1.1 200 ")
            fields = [line.lower() for line in iter(answer.readline, b"\r\n")]
            assert b"transfer-encoding: chunked\r\n" in fields
            chunk = b""
            while b"initial_state" not in chunk:
                chunk = answer.read(int(answer.readline(), 16) + 2)


def websocket_at(nginx: Nginx, behind: Running) -> ClientConnection:
    tls = trusting(behind, "http/1.1")
    address = ("127.0.0.1", nginx.port)
    return connect(f"wss://{NAME}:{nginx.port}/ws", ssl=tls, address=address, ping_interval=None, proxy=None)


def test_a_websocket_passes(front: Front, nginx: Nginx, behind: Running, alice: str, room: str) -> None:
    headers = {"Authorization": f"Bearer {front.user_token(alice)}"}
    with websocket_at(nginx, behind) as websocket:
        websocket.send(json.dumps([100, 0, front.target("chatkit/v6", path_of("rooms", room)), headers]))
        assert json.loads(websocket.recv(SECONDS)) == [101, 0, {}]
        message = front.send(room, alice)
        code, _, _, _, body = json.loads(websocket.recv(SECONDS))
        assert (code, body["data"]["id"]) == (102, message)
        websocket.send(json.dumps([16, 7]))
        assert json.loads(websocket.recv(SECONDS)) == [17, 7]


def test_who_loses_a_websocket_is_missed(front: Front, nginx: Nginx, behind: Running, alice: str, bob: str) -> None:
    headers = {"Authorization": f"Bearer {front.user_token(bob)}"}
    path = front.target(PRESENCE, path_of("users", bob, "register"))
    with subscribed(front, path_of("users", bob), alice, api=PRESENCE) as watching:
        assert state(watching) == "offline"
        with websocket_at(nginx, behind) as websocket:
            websocket.send(json.dumps([100, 0, path, headers]))
            assert state(watching) == "online"
            websocket.socket.shutdown(socket.SHUT_RDWR)
        assert state(watching) == "offline"


def test_server_sent_events_come_at_once(front: Front) -> None:
    anna = person(front, "Anna")
    headers = {"Authorization": f"Bearer {anna.token}"}
    stream = front.connection.open("GET", "/api/v1/events/conversations", headers).begin()
    assert stream.status == 200
    conversation = anna.open(anna.id)["id"]
    posted = anna.post("chat.postMessage", {"conversation_id": conversation, "content": {"text": "hello"}}).read()
    while (event := _sent_event(stream))["message"] is None:
        pass
    assert event["message"]["id"] == posted["id"]
    stream.cancel()


def _sent_event(stream: Stream) -> dict[str, dict[str, object] | None]:
    while True:
        name, _, data = stream.line().partition(b": ")
        if name == b"data":
            event: dict[str, dict[str, object] | None] = json.loads(data)
            return event
