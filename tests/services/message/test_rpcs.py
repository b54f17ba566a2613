"""Every RPC of the message service through generated stubs, over plain gRPC and over the pipe."""

import asyncio

from google.protobuf.field_mask_pb2 import FieldMask
from roomline.v1 import cursor_service_pb2, message_service_pb2, room_service_pb2
from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    CheckRequest,
    ListUserRolesRequest,
    UnassignRoleRequest,
)
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.instance_service_pb2 import ResetInstanceRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.room_pb2 import Room
from roomline.v1.user_service_pb2 import DeleteUserRequest

from tests.support.cluster import Cluster
from tests.support.refusals import refuses

TEXT = Part(type="text/plain", content="see attached figure")
LINK = Part(type="image/png", url="https://example.com/figure01.png")


async def new_room(cluster: Cluster, *members: str, room_id: str = "lobby", private: bool = False) -> Room:
    request = room_service_pb2.CreateRoomRequest(id=room_id, name="Lobby", user_ids=members[1:], private=private)
    response = await cluster.rooms.CreateRoom(request, metadata=cluster.as_server(members[0]))
    return response.room


async def send(cluster: Cluster, sender: str = "bob", request_id: str = "") -> message_service_pb2.SendMessageResponse:
    request = message_service_pb2.SendMessageRequest(room_id="lobby", parts=[TEXT, LINK], request_id=request_id)
    return await cluster.messages.SendMessage(request, metadata=cluster.as_user(sender))


async def test_rooms(cluster: Cluster) -> None:
    server = cluster.as_server()
    room = await new_room(cluster, "bob", "ann", "bob")
    assert list(room.member_user_ids) == ["bob", "ann"]
    got = await cluster.rooms.GetRoom(room_service_pb2.GetRoomRequest(room_id="lobby"), metadata=server)
    assert got.room == room
    update = room_service_pb2.UpdateRoomRequest(
        room=Room(id="lobby", name="Hall", private=True), update_mask=FieldMask(paths=["name", "private"])
    )
    assert (await cluster.rooms.UpdateRoom(update, metadata=server)).room.name == "Hall"
    listed = await cluster.rooms.ListRooms(room_service_pb2.ListRoomsRequest(), metadata=server)
    assert not listed.rooms
    listed = await cluster.rooms.ListRooms(room_service_pb2.ListRoomsRequest(include_private=True), metadata=server)
    assert [found.name for found in listed.rooms] == ["Hall"]
    await cluster.rooms.DeleteRoom(room_service_pb2.DeleteRoomRequest(room_id="lobby"), metadata=server)
    with refuses("ROOM_NOT_FOUND"):
        await cluster.rooms.GetRoom(room_service_pb2.GetRoomRequest(room_id="lobby"), metadata=server)


async def test_pages_of_rooms(cluster: Cluster) -> None:
    for name in "abcde":
        await new_room(cluster, "bob", room_id=name)
    seen, request = [], room_service_pb2.ListRoomsRequest(page_size=2, after_room_id="a")
    while True:
        page = await cluster.rooms.ListRooms(request, metadata=cluster.as_server())
        seen.append("".join(room.id for room in page.rooms))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ["bc", "de"]
    with refuses("PAGE_TOKEN_INVALID"):
        await cluster.rooms.ListRooms(
            room_service_pb2.ListRoomsRequest(page_token="garbage"), metadata=cluster.as_server()
        )


async def test_members(cluster: Cluster) -> None:
    server = cluster.as_server()
    await new_room(cluster, "bob")
    joined = await cluster.rooms.JoinRoom(
        room_service_pb2.JoinRoomRequest(room_id="lobby", user_id="ann"), metadata=cluster.as_user("ann")
    )
    assert list(joined.room.member_user_ids) == ["bob", "ann"]
    await cluster.rooms.AddMembers(
        room_service_pb2.AddMembersRequest(room_id="lobby", user_ids=["eve"]), metadata=cluster.as_user("bob")
    )
    await cluster.rooms.RemoveMembers(
        room_service_pb2.RemoveMembersRequest(room_id="lobby", user_ids=["bob"]), metadata=server
    )
    await cluster.rooms.LeaveRoom(
        room_service_pb2.LeaveRoomRequest(room_id="lobby", user_id="ann"), metadata=cluster.as_user("ann")
    )
    members = await cluster.rooms.ListMembers(room_service_pb2.ListMembersRequest(room_id="lobby"), metadata=server)
    assert list(members.user_ids) == ["eve"]
    rooms = await cluster.rooms.ListUserRooms(
        room_service_pb2.ListUserRoomsRequest(user_id="eve"), metadata=cluster.as_user("eve")
    )
    assert [room.room.id for room in rooms.rooms] == ["lobby"]
    joinable = await cluster.rooms.ListJoinableRooms(
        room_service_pb2.ListJoinableRoomsRequest(user_id="bob"), metadata=cluster.as_user("bob")
    )
    assert [room.id for room in joinable.rooms] == ["lobby"]


async def test_unknown_users_are_refused_and_nothing_changes(cluster: Cluster) -> None:
    server = cluster.as_server()
    with refuses("USERS_NOT_FOUND", missing="2", total="3"):
        await new_room(cluster, "nobody", "bob", "noone")
    await new_room(cluster, "bob")
    with refuses("USERS_NOT_FOUND", missing="1", total="2"):
        await cluster.rooms.AddMembers(
            room_service_pb2.AddMembersRequest(room_id="lobby", user_ids=["ann", "nobody"]), metadata=server
        )
    with refuses("ROOM_NOT_FOUND"):
        await cluster.rooms.AddMembers(
            room_service_pb2.AddMembersRequest(room_id="nowhere", user_ids=["nobody"]), metadata=server
        )
    with refuses("USER_NOT_FOUND"):
        await cluster.rooms.JoinRoom(
            room_service_pb2.JoinRoomRequest(room_id="lobby", user_id="nobody"), metadata=server
        )
    with refuses("USER_NOT_FOUND"):
        await cluster.cursors.SetCursor(
            cursor_service_pb2.SetCursorRequest(room_id="lobby", user_id="nobody", position=1), metadata=server
        )
    for call in (
        cluster.rooms.ListUserRooms(room_service_pb2.ListUserRoomsRequest(user_id="nobody"), metadata=server),
        cluster.rooms.ListJoinableRooms(room_service_pb2.ListJoinableRoomsRequest(user_id="nobody"), metadata=server),
    ):
        with refuses("USER_NOT_FOUND"):
            await call
    members = await cluster.rooms.ListMembers(room_service_pb2.ListMembersRequest(room_id="lobby"), metadata=server)
    assert list(members.user_ids) == ["bob"]


async def test_messages(cluster: Cluster) -> None:
    server = cluster.as_server()
    await new_room(cluster, "bob", "ann")
    sent = (await send(cluster)).message
    assert list(sent.parts) == [TEXT, LINK]
    get = message_service_pb2.GetMessageRequest(room_id="lobby", id=sent.id)
    assert (await cluster.messages.GetMessage(get, metadata=cluster.as_user("ann"))).message == sent
    edit = message_service_pb2.EditMessageRequest(room_id="lobby", id=sent.id, parts=[LINK], user_id="bob")
    edited = (await cluster.messages.EditMessage(edit, metadata=server)).message
    assert (list(edited.parts), edited.user_id) == ([LINK], "bob")
    page = await cluster.messages.ListMessages(
        message_service_pb2.ListMessagesRequest(room_id="lobby"), metadata=server
    )
    assert list(page.messages) == [edited]
    await cluster.messages.DeleteMessage(
        message_service_pb2.DeleteMessageRequest(room_id="lobby", id=sent.id), metadata=server
    )
    with refuses("MESSAGE_NOT_FOUND"):
        await cluster.messages.GetMessage(get, metadata=server)


async def test_pages_of_messages(cluster: Cluster) -> None:
    await new_room(cluster, "bob")
    ids = [(await send(cluster)).message.id for _ in range(5)]
    request = message_service_pb2.ListMessagesRequest(room_id="lobby", page_size=2)
    seen = []
    while True:
        page = await cluster.messages.ListMessages(request, metadata=cluster.as_server())
        seen += [message.id for message in page.messages]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ids[::-1]


async def test_a_repeated_send_gives_the_first_message(cluster: Cluster) -> None:
    await new_room(cluster, "bob", "ann")
    assert (await send(cluster, request_id="r")) == (await send(cluster, request_id="r"))
    with refuses("REQUEST_ID_REUSED"):
        await cluster.messages.SendMessage(
            message_service_pb2.SendMessageRequest(room_id="lobby", parts=[TEXT], request_id="r"),
            metadata=cluster.as_user("bob"),
        )


async def test_a_sender_is_a_member_and_somebody(cluster: Cluster) -> None:
    await new_room(cluster, "bob")
    with refuses("NOT_A_MEMBER"):
        await send(cluster, "eve")
    request = message_service_pb2.SendMessageRequest(room_id="lobby", parts=[TEXT])
    with refuses("ACTOR_REQUIRED"):
        await cluster.messages.SendMessage(request, metadata=cluster.as_server())
    request.user_id = "bob"
    assert (await cluster.messages.SendMessage(request, metadata=cluster.as_server())).message.user_id == "bob"
    with refuses("NOT_A_MEMBER"):  # the token's own `sub` wins
        await cluster.messages.SendMessage(request, metadata=cluster.as_server("nobody"))


async def test_messages_keep_the_limits_of_their_instance(cluster: Cluster) -> None:
    await cluster.add_instance("small", InstanceLimits(message_bytes=10, message_parts=2))
    await cluster.add_users("bob", instance_id="small")
    server = cluster.as_server("bob", instance_id="small")
    await cluster.rooms.CreateRoom(room_service_pb2.CreateRoomRequest(id="r", name="n"), metadata=server)

    async def attempt(*parts: Part) -> None:
        await cluster.messages.SendMessage(
            message_service_pb2.SendMessageRequest(room_id="r", parts=parts), metadata=server
        )

    await attempt(Part(type="text/plain", content="äääää"))
    with refuses("MESSAGE_TOO_LARGE", size="11", limit="10"):
        await attempt(Part(type="text/plain", content="äääää"), Part(type="text/plain", content="x"))
    with refuses("FIELD_INVALID", field="parts"):
        await attempt(*[Part(type="text/plain", content="")] * 3)
    with refuses("FIELD_INVALID", field="parts[0]"):
        await attempt(Part(type="text/plain"))


async def test_cursors(cluster: Cluster) -> None:
    await new_room(cluster, "bob")
    bob = cluster.as_user("bob")
    get = cursor_service_pb2.GetCursorRequest(user_id="bob", room_id="lobby")
    assert not (await cluster.cursors.GetCursor(get, metadata=bob)).HasField("cursor")
    cursor = (
        await cluster.cursors.SetCursor(
            cursor_service_pb2.SetCursorRequest(user_id="bob", room_id="lobby", position=0), metadata=bob
        )
    ).cursor
    assert (await cluster.cursors.GetCursor(get, metadata=bob)).cursor == cursor
    of_user = cursor_service_pb2.ListUserCursorsRequest(user_id="bob")
    assert list((await cluster.cursors.ListUserCursors(of_user, metadata=bob)).cursors) == [cursor]
    of_room = cursor_service_pb2.ListRoomCursorsRequest(room_id="lobby")
    assert list((await cluster.cursors.ListRoomCursors(of_room, metadata=bob)).cursors) == [cursor]
    with refuses("SUBJECT_MISMATCH"):  # fault 8
        await cluster.cursors.SetCursor(
            cursor_service_pb2.SetCursorRequest(user_id="ann", room_id="lobby", position=9), metadata=bob
        )


async def test_a_role_counts_on_the_very_next_call(cluster: Cluster) -> None:
    server, bob = cluster.as_server(), cluster.as_user("bob")
    await new_room(cluster, "bob")
    update = room_service_pb2.UpdateRoomRequest(room=Room(id="lobby", name="Hall"))
    check = CheckRequest(user_id="bob", permission="room:update", room_id="lobby")
    with refuses("PERMISSION_MISSING", permission="room:update"):
        await cluster.rooms.UpdateRoom(update, metadata=bob)
    with refuses("PERMISSION_MISSING"):  # permission before existence
        await cluster.rooms.DeleteRoom(room_service_pb2.DeleteRoomRequest(room_id="nowhere"), metadata=bob)
    await cluster.access.AssignRole(
        AssignRoleRequest(user_id="bob", role_name="admin", room_id="lobby"), metadata=server
    )
    assert (await cluster.access.Check(check, metadata=cluster.service.metadata("one"))).allowed
    await cluster.rooms.UpdateRoom(update, metadata=bob)
    roles = await cluster.access.ListUserRoles(ListUserRolesRequest(user_id="bob"), metadata=server)
    assert [(found.role.name, found.room_id) for found in roles.assignments] == [("admin", "lobby")]
    await cluster.access.UnassignRole(UnassignRoleRequest(user_id="bob", room_id="lobby"), metadata=server)
    assert not (await cluster.access.Check(check, metadata=cluster.service.metadata("one"))).allowed
    with refuses("PERMISSION_MISSING"):
        await cluster.rooms.UpdateRoom(update, metadata=bob)


async def test_a_deleted_user_leaves_its_rooms_and_keeps_its_messages(cluster: Cluster) -> None:
    server = cluster.as_server()
    await new_room(cluster, "bob", "ann")
    sent = (await send(cluster)).message
    await cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=server)
    room = (await cluster.rooms.GetRoom(room_service_pb2.GetRoomRequest(room_id="lobby"), metadata=server)).room
    assert (room.created_by_id, list(room.member_user_ids)) == ("bob", ["ann"])
    get = message_service_pb2.GetMessageRequest(room_id="lobby", id=sent.id)
    assert (await cluster.messages.GetMessage(get, metadata=server)).message.user_id == "bob"
    with refuses("NOT_A_MEMBER"):
        await send(cluster, "bob")


async def test_instances_do_not_see_each_other(cluster: Cluster) -> None:
    await cluster.add_instance("two")
    await cluster.add_users("bob", instance_id="two")
    await new_room(cluster, "bob")
    with refuses("ROOM_NOT_FOUND"):
        await cluster.rooms.GetRoom(
            room_service_pb2.GetRoomRequest(room_id="lobby"), metadata=cluster.as_server(instance_id="two")
        )
    with refuses("TOKEN_INVALID"):  # what the gateway says of a token for another path
        await cluster.rooms.GetRoom(
            room_service_pb2.GetRoomRequest(room_id="lobby"),
            metadata=(*cluster.as_server(instance_id="two"), ("roomline-instance", "one")),
        )


async def test_a_repeated_creation_gets_its_answer_though_the_users_are_gone(cluster: Cluster) -> None:
    server = cluster.as_server("bob")
    create = room_service_pb2.CreateRoomRequest(id="lobby", name="n", user_ids=["ann"], request_id="c")
    created = await cluster.rooms.CreateRoom(create, metadata=server)
    add = room_service_pb2.AddMembersRequest(room_id="lobby", user_ids=["eve"], request_id="a")
    await cluster.rooms.AddMembers(add, metadata=server)
    for user_id in ("ann", "eve"):
        await cluster.users.DeleteUser(DeleteUserRequest(id=user_id), metadata=server)
    assert await cluster.rooms.CreateRoom(create, metadata=server) == created
    await cluster.rooms.AddMembers(add, metadata=server)
    with refuses("REQUEST_ID_REUSED"):
        await cluster.rooms.CreateRoom(
            room_service_pb2.CreateRoomRequest(name="other", request_id="c"), metadata=server
        )


async def test_a_room_is_not_created_with_more_members_than_allowed(cluster: Cluster) -> None:
    await cluster.add_instance("small", InstanceLimits(room_members=1))
    await cluster.add_users("bob", "ann", instance_id="small")
    with refuses("QUOTA_EXCEEDED"):
        await cluster.rooms.CreateRoom(
            room_service_pb2.CreateRoomRequest(name="n", user_ids=["ann"]),
            metadata=cluster.as_server("bob", instance_id="small"),
        )


async def test_a_reset_leaves_nothing_of_what_was_created_meanwhile(cluster: Cluster) -> None:
    server = cluster.as_server("bob")
    for _ in range(3):
        creations = [
            asyncio.ensure_future(
                cluster.rooms.CreateRoom(room_service_pb2.CreateRoomRequest(name="n"), metadata=server)
            )
            for _ in range(40)
        ]
        await creations[0]
        await cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=server)
        await asyncio.gather(*creations, return_exceptions=True)
        listed = room_service_pb2.ListRoomsRequest(include_private=True)
        assert not (await cluster.rooms.ListRooms(listed, metadata=server)).rooms
        await cluster.add_users("bob")
