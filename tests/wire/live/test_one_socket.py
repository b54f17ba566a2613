"""Several subscriptions on one socket, as browsers have them (spec §10.1, §13.1, A.1, A.4, A.8, A.9)."""

from tests.wire import codes
from tests.wire.client import CURSORS, V2, V6, V7, Server, fresh, path_of
from tests.wire.live.client import End, Event, SharedSocket

PRESENCE = "chatkit_presence/v2"


def event_of(socket: SharedSocket, name: str) -> tuple[int, Event]:
    """The next frame, which must be an event of this name, with the number of its subscription."""
    number, event = socket.receive()
    assert isinstance(event, Event), event
    assert event.name == name
    return number, event


def opened(socket: SharedSocket, *numbers: int) -> None:
    """Wait until these have opened, which must be all that happens."""
    assert {socket.receive() for _ in numbers} == {(number, None) for number in numbers}


def test_who_connects_from_an_opaque_origin_is_online_at_once(server: Server, alice: str) -> None:
    """When all that connecting waits for has come, the client knows itself as online."""
    with SharedSocket(server, origin="null") as socket:
        socket.subscribe(0, "/users", alice)
        socket.subscribe(1, path_of("users", alice), alice, api=PRESENCE)
        socket.subscribe(2, path_of("users", alice, "register"), alice, api=PRESENCE)
        own: list[dict[str, str]] = []
        states: list[Event] = []
        is_open: set[int] = set()
        while not (own and states and 2 in is_open):
            match socket.receive():
                case number, None:
                    is_open.add(number)
                    assert number != 2 or own[-1] == {"state": "online"}
                case 0, Event(name="initial_state") as event:
                    states.append(event)
                case 1, Event(name="presence_state", data=data):
                    own.append(data)
                case frame:
                    raise AssertionError(frame)
        assert is_open == {0, 1, 2}
        assert own[-1] == {"state": "online"}
        assert states[0].data["current_user"]["id"] == alice


def test_whoever_does_not_exist_is_told_so_whatever_is_answered_first(server: Server) -> None:
    nobody = fresh("nobody-")
    presence = path_of("users", nobody)
    with SharedSocket(server, origin="null") as socket:
        socket.subscribe(0, "/users", nobody)
        socket.subscribe(1, presence, nobody, api=PRESENCE)
        socket.subscribe(2, f"{presence}/register", nobody, api=PRESENCE)
        assert server.user(nobody).get(f"/users_by_ids?id={nobody}").read() == []
        refused: set[int] = set()
        while refused != {0, 2}:
            match socket.receive():
                case number, End() as end:
                    assert (end.status, end.code) == (404, codes.USER_NOT_FOUND)
                    assert "user does not exist" in end.description
                    refused.add(number)
                case 1, None:
                    pass
                case 1, Event(data=data):
                    assert data == {"state": "offline"}
                case frame:
                    raise AssertionError(frame)


def test_two_at_once_to_one_room_hear_every_message_once_each(server: Server, alice: str, room: str) -> None:
    with SharedSocket(server) as socket:
        for number in (0, 1):
            socket.subscribe(number, path_of("rooms", room), alice)
        opened(socket, 0, 1)
        sent = [server.send(room, alice) for _ in range(3)]
        heard = [event_of(socket, "new_message") for _ in range(6)]
        for number in (0, 1):
            assert [event.data["id"] for heard_by, event in heard if heard_by == number] == sent
        last = server.send(room, alice)
        assert {
            (number, event.data["id"]) for number, event in (event_of(socket, "new_message") for _ in range(2))
        } == {
            (0, last),
            (1, last),
        }


def test_whoever_is_added_to_a_room_is_told_before_the_others(server: Server, alice: str, bob: str, room: str) -> None:
    with SharedSocket(server) as socket:
        subscriptions = (("/users", alice, V7), (path_of("rooms", room, "memberships"), alice, V6))
        for number, (path, user, api) in enumerate((*subscriptions, ("/users", bob, V6), ("/users", bob, V7))):
            socket.subscribe(number, path, user, api=api)
            opened(socket, number)
            event_of(socket, "initial_state")
        server.su().put(path_of("rooms", room, "users", "add"), {"user_ids": [bob]}).done()
        told = [event_of(socket, name) for name in ("added_to_room", "added_to_room")]
        assert {number for number, _ in told} == {2, 3}
        heard = dict([socket.receive(), socket.receive()])
        assert {number: event[1] for number, event in heard.items() if event} == {
            0: "user_joined_room",
            1: "user_joined",
        }


def test_nothing_follows_an_unsubscription(server: Server, alice: str, room: str) -> None:
    with SharedSocket(server) as socket:
        for number, api in enumerate((V6, V6, V2)):
            socket.subscribe(number, path_of("rooms", room), alice, api=api)
        opened(socket, 0, 1, 2)
        first = server.send(room, alice)
        assert {event_of(socket, "new_message")[0] for _ in range(3)} == {0, 1, 2}
        socket.unsubscribe(0)
        sent = [server.send(room, alice) for _ in range(3)]
        heard = [event_of(socket, "new_message") for _ in range(6)]
        assert {number for number, _ in heard} == {1, 2}
        assert [event.data["id"] for number, event in heard if number == 1] == sent
        socket.subscribe(0, path_of("rooms", room), alice)
        opened(socket, 0)
        assert [event_of(socket, "new_message")[1].data["id"] for _ in range(4)] == [first, *sent]


def test_messages_sent_while_other_streams_open_come_in_order(server: Server, alice: str, room: str) -> None:
    others = (("memberships", V6), ("cursors", CURSORS))
    paths = {"memberships": path_of("rooms", room, "memberships"), "cursors": path_of("cursors", "0", "rooms", room)}
    with SharedSocket(server) as socket:
        socket.subscribe(0, path_of("rooms", room), alice)
        sent = [server.send(room, alice) for _ in range(2)]
        for number, (name, api) in enumerate(others, start=1):
            socket.subscribe(number, paths[name], alice, api=api)
            sent += [server.send(room, alice) for _ in range(2)]
        heard: list[int] = []
        states: set[int] = set()
        while len(heard) < len(sent) or len(states) < len(others):
            number, what = socket.receive()
            if what is None:
                continue
            assert isinstance(what, Event), what
            if number == 0:
                heard.append(what.data["id"])
            else:
                assert what.name == "initial_state"
                states.add(number)
        assert heard == sent
