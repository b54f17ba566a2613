"""Who may say that he is typing (spec §5.2 M7, §9.2). Who learns of it is seen where subscriptions are tested."""

import pytest

from tests.wire import codes
from tests.wire.client import Caller, Reply, Server, fresh, path_of

VERSIONS = ["v1", "v2", "v3", "v4", "v5", "v6", "v7"]


def type_in(caller: Caller, room: str, version: str = "v6") -> Reply:
    return caller.post(path_of("rooms", room, "typing_indicators"), api=f"chatkit/{version}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_member_types_in_every_version(server: Server, alice: str, room: str, version: str) -> None:
    type_in(server.user(alice), room, version).done()


def test_a_server_types_for_a_member(server: Server, alice: str, private_room: str) -> None:
    type_in(server.su(alice), private_room).done()
    type_in(server.su(), private_room).fails(422, codes.VALIDATION_FAILED)


def test_the_body_does_not_matter(server: Server, alice: str, room: str) -> None:
    server.user(alice).post(path_of("rooms", room, "typing_indicators"), {"user_id": "x"}).done()


def test_others_do_not_type(server: Server, bob: str, room: str, private_room: str) -> None:
    for caller in (server.user(bob), server.su(bob)):
        type_in(caller, room).fails(403, codes.NOT_A_MEMBER)
    type_in(server.user(bob), private_room).fails(404, codes.ROOM_NOT_FOUND)
    type_in(server.su(bob), fresh("nowhere-")).fails(404, codes.ROOM_NOT_FOUND)
