"""Users who are created, join, read and are deleted, over and over, whatever happens to the server."""

from __future__ import annotations

import asyncio

from roomline.v1.access_service_pb2 import AssignRoleRequest, ListUserRolesRequest
from roomline.v1.cursor_service_pb2 import ListUserCursorsRequest, SetCursorRequest
from roomline.v1.room_service_pb2 import AddMembersRequest, CreateRoomRequest, DeleteRoomRequest, ListUserRoomsRequest
from roomline.v1.user_service_pb2 import CreateUserRequest, DeleteUserRequest, NewUser

from services.common.ids import Uuid7
from tests.faults.reach import Reach, Where


class Life:
    """One user id, used again and again. Nobody who is born finds anything of who had the id before."""

    def __init__(self, room: str, name: str, where: Where) -> None:
        self._room = room
        self._name = name
        self._where = where
        self._new_id = Uuid7()

    async def run(self, stop: asyncio.Event) -> None:
        """Lives until the event is set, and to the end of that life."""
        async with Reach(self._where) as reach:
            while not stop.is_set():
                await self._live(reach)

    async def _live(self, reach: Reach) -> None:
        name, own_room = self._name, f"{self._name}'s"
        born = CreateUserRequest(user=NewUser(id=name, name=name), request_id=self._new_id())
        await reach(lambda stubs, options: stubs.users.CreateUser(born, **options))
        await self._check_nothing_left(reach)
        add = AddMembersRequest(room_id=self._room, user_ids=[name], request_id=self._new_id())
        await reach(lambda stubs, options: stubs.rooms.AddMembers(add, **options))
        make = CreateRoomRequest(id=own_room, name="x", user_ids=[name], request_id=self._new_id())
        async with Reach(self._where, name) as own:
            await own(lambda stubs, options: stubs.rooms.CreateRoom(make, **options))
            read = SetCursorRequest(room_id=self._room, user_id=name, position=1)
            await own(lambda stubs, options: stubs.cursors.SetCursor(read, **options))
        role = AssignRoleRequest(user_id=name, role_name="admin")
        await reach(lambda stubs, options: stubs.access.AssignRole(role, **options))
        unmake = DeleteRoomRequest(room_id=own_room, request_id=self._new_id())
        await reach(lambda stubs, options: stubs.rooms.DeleteRoom(unmake, **options))
        die = DeleteUserRequest(id=name, request_id=self._new_id())
        await reach(lambda stubs, options: stubs.users.DeleteUser(die, **options))

    async def _check_nothing_left(self, reach: Reach) -> None:
        name = self._name
        rooms = await reach(
            lambda stubs, options: stubs.rooms.ListUserRooms(ListUserRoomsRequest(user_id=name), **options)
        )
        cursors = await reach(
            lambda stubs, options: stubs.cursors.ListUserCursors(ListUserCursorsRequest(user_id=name), **options)
        )
        roles = await reach(
            lambda stubs, options: stubs.access.ListUserRoles(ListUserRolesRequest(user_id=name), **options)
        )
        assert (list(rooms.rooms), list(cursors.cursors), list(roles.assignments)) == ([], [], [])
