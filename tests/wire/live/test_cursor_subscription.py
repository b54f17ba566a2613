"""The cursor subscriptions (spec §10.10)."""

from tests.wire import codes
from tests.wire.client import CURSORS, Server, fresh, path_of
from tests.wire.live.client import Subscriber


def of_user(user: str) -> str:
    return path_of("cursors", "0", "users", user)


def of_room(room: str) -> str:
    return path_of("cursors", "0", "rooms", room)


def test_a_rooms_cursors(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    server.user(bob).post(path_of("users", bob, "rooms", room, "join")).read(201)
    server.set_cursor(room, bob, 7)
    with live.user(of_room(room), alice, api=CURSORS) as subscription:
        state = subscription.data("initial_state")
        assert state == {"cursors": server.user(alice).get(of_room(room), api=CURSORS).read()}
        assert [cursor["position"] for cursor in state["cursors"]] == [7]
        for user, position in ((bob, 9), (alice, 3), (bob, 8)):
            server.set_cursor(room, user, position)
            cursor = subscription.data("new_cursor")
            known = server.user(user).get(path_of("cursors", "0", "rooms", room, "users", user), api=CURSORS).read()
            assert cursor == known
            assert set(cursor) == {"cursor_type", "room_id", "user_id", "position", "updated_at"}
            assert (cursor["user_id"], cursor["position"], cursor["cursor_type"]) == (user, position, 0)


def test_a_users_cursors(server: Server, live: Subscriber, alice: str, bob: str, room: str) -> None:
    other = server.new_room(bob)
    server.set_cursor(room, alice, 7)
    with live.user(of_user(alice), alice, api=CURSORS) as subscription:
        state = subscription.data("initial_state")
        assert state == {"cursors": server.user(alice).get(of_user(alice), api=CURSORS).read()}
        server.set_cursor(room, bob, 1)
        server.set_cursor(other, alice, 2)  # of a room that she is no member of
        server.set_cursor(room, alice, 9)
        cursors = [subscription.data("new_cursor") for _ in range(2)]
        assert [(cursor["room_id"], cursor["position"]) for cursor in cursors] == [(other, 2), (room, 9)]


def test_the_users_path_is_for_the_user_itself(server: Server, live: Subscriber, alice: str, bob: str) -> None:
    with live.subscribe(of_user(alice), server.user_token(bob), api=CURSORS) as subscription:
        subscription.refuses(401, codes.INVALID_SUBJECT)
    with live.subscribe(of_user(alice), server.server_token(), api=CURSORS) as subscription:
        assert subscription.opened().data("initial_state") == {"cursors": []}


def test_strangers_read_cursors_of_public_rooms_only(
    server: Server, live: Subscriber, bob: str, room: str, private_room: str
) -> None:
    with live.user(of_room(room), bob, api=CURSORS) as subscription:
        assert subscription.data("initial_state") == {"cursors": []}
    token = server.user_token(bob)
    with live.subscribe(of_room(private_room), token, api=CURSORS) as subscription:
        subscription.refuses(403, codes.NOT_A_MEMBER.replace("chatkit", "chatkit_cursors"))
    with live.subscribe(of_room(fresh()), token, api=CURSORS) as subscription:
        subscription.refuses(404, codes.ROOM_NOT_FOUND)
