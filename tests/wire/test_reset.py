"""The test hook that empties the instance (spec §12.3).

Each test leaves the instance empty, so nothing here may lean on what was there before.
"""

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V6, Server, fresh
from tests.wire.files import DATA, at, attach, attachment_of, post_file, reserve


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4", "v5", "v6", "v7"])
def test_every_version_has_it(server: Server, alice: str, version: str) -> None:
    server.su().delete("/resources", api=f"chatkit/{version}").done()
    server.su().get(f"/users/{alice}").fails(404, codes.USER_NOT_FOUND)


def test_any_superuser_may_call_it_and_may_keep_its_token(server: Server, alice: str) -> None:
    for sub in (None, "admin", alice):
        caller = server.su(sub)
        caller.delete("/resources").done()
        assert caller.get("/users").read() == []


def test_everything_is_gone_at_once(server: Server, alice: str, bob: str) -> None:
    room, private = server.new_room(alice, bob), server.new_room(alice, private=True)
    message = server.send(room, alice)
    server.set_cursor(room, alice, message)

    server.su().delete("/resources").done()

    assert server.su().get("/users").read() == []
    assert server.su().get("/rooms?include_private=true").read() == []
    assert server.su().get(f"/users_by_ids?id={alice}&id={bob}").read() == []
    for gone in (room, private):
        server.su().get(f"/rooms/{gone}").fails(404, codes.ROOM_NOT_FOUND)
        server.su().get(f"/rooms/{gone}/messages").fails(404, codes.ROOM_NOT_FOUND)


def test_attachments_and_reservations_are_gone_at_once(server: Server, alice: str, room: str) -> None:
    sent, unsent = attach(server, room, alice), reserve(server.su(alice), room)
    url = attachment_of(server, room, server.send(room, alice, sent.part))["download_url"]
    link = post_file(server, room, alice, "x.gif")
    server.su().delete("/resources").done()
    for gone in (url, link["resource_link"]):
        at(server, gone).fails(404, codes.ATTACHMENT_NOT_FOUND)
    for reserved in (sent, unsent):
        at(server, reserved.upload_url, "PUT", DATA).fails(404, codes.ATTACHMENT_NOT_FOUND)


def test_the_same_ids_can_be_used_again_and_start_afresh(server: Server) -> None:
    user, room = fresh(), fresh()
    for _ in range(3):
        server.su().delete("/resources").done()
        server.new_user(user)
        server.new_room(user, id=room)
        assert server.su().get(f"/rooms/{room}/messages").read() == []
        assert server.su().get(f"/cursors/0/users/{user}", api=CURSORS).read() == []
        assert server.rooms_of(user)[room]["unread_count"] == 0
        server.set_cursor(room, user, server.send(room, user))


def test_message_ids_are_not_used_again(server: Server, alice: str, room: str) -> None:
    before = server.send(room, alice)
    server.su().delete("/resources").done()
    user = server.new_user()
    assert server.send(server.new_room(user), user) > before


def test_the_room_list_has_exactly_what_came_after(server: Server, room: str) -> None:
    server.su().delete("/resources").done()
    user = server.new_user()
    first, second = server.new_room(user), server.new_room(user)
    hidden = [server.new_room(user, private=True) for _ in range(10)]

    def listed(query: str) -> list[str]:
        return [found["id"] for found in server.su().get(f"/rooms{query}").read()]

    assert listed("") == [first, second]
    assert listed(f"?from_id={first}") == [second]
    assert listed(f"?from_id={second}") == []
    assert listed("?include_private=true") == [first, second, *hidden]


def test_the_user_list_has_exactly_what_came_after(server: Server, alice: str) -> None:
    server.su().delete("/resources").done()
    users = [server.new_user(fresh(start)) for start in "cab"]
    assert [user["id"] for user in server.su().get("/users").read()] == users


def test_a_user_may_not_call_it(server: Server, alice: str) -> None:
    server.user(alice).delete("/resources", api=V6).fails(401, codes.MISSING_PERMISSION)
    assert server.su().get(f"/users/{alice}").status == 200
