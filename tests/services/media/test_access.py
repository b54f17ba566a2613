"""Who may do what with a file, by every route (faults 3, 4, 5 and 7)."""

import grpc
import pytest
from roomline.v1.access_service_pb2 import AssignRoleRequest, CreateRoleRequest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import (
    BatchGetAttachmentsRequest,
    DeleteAttachmentRequest,
    DownloadAttachmentRequest,
    ListAttachmentsRequest,
    PurgeMediaRequest,
    ReserveAttachmentRequest,
)
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import EditMessageRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, ROLE_SCOPE_ROOM, Role
from roomline.v1.room_service_pb2 import RemoveMembersRequest

from services.common.errors import failure_of
from tests.services.media.house import House, signature_of, without_url
from tests.support.cluster import Metadata
from tests.support.refusals import refuses


async def reasons(house: House, attachment_id: str, by: Metadata) -> set[str]:
    """How each way to an attachment is refused."""
    found = set()
    for call in (
        house.look(attachment_id, by),
        house.read(attachment_id, by),
        house.upload(attachment_id, b"x", by),
        house.cluster.media.DeleteAttachment(DeleteAttachmentRequest(id=attachment_id), metadata=by),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        found.add(f"{failure_of(caught.value).code.name} {caught.value.details()}")
    return found


async def test_a_file_that_no_message_has_is_its_uploaders(house: House) -> None:
    file = await house.file(b"bobs")
    assert await house.read(file.id) == b"bobs"
    assert await house.read(file.id, house.server()) == b"bobs"
    for other in (house.user("ann"), house.user("eve")):
        there = await reasons(house, file.id, other)
        assert len(there) == 1
        assert there == await reasons(house, "made up", other)


async def test_who_reads_the_message_reads_the_file(house: House) -> None:
    file = await house.file(b"for the den")
    await house.send(file.id)
    assert await house.read(file.id, house.user("ann")) == b"for the den"
    assert without_url(await house.look(file.id, house.user("ann"))) == without_url(file)
    assert without_url(await house.refresh(file.id, house.user("ann"))) == without_url(file)
    with refuses("ATTACHMENT_NOT_FOUND"):  # reading is not changing
        await house.upload(file.id, b"for the den", house.user("ann"))
    assert len(await reasons(house, file.id, house.user("eve"))) == 1

    members = RemoveMembersRequest(room_id="den", user_ids=["ann"])
    await house.cluster.rooms.RemoveMembers(members, metadata=house.server())
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.read(file.id, house.user("ann"))
    with refuses("NOT_A_MEMBER"):
        await house.refresh(file.id, house.user("ann"))


async def test_a_file_in_a_public_room_is_everybodys(house: House) -> None:
    file = await house.file(b"public", room="hall")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.refresh(file.id, house.user("ann"), room="hall")
    await house.send(file.id, room="hall")
    assert await house.read(file.id, house.user("ann")) == b"public"
    assert (await house.refresh(file.id, house.user("ann"), room="hall")).id == file.id
    for_members = DownloadAttachmentRequest(id=file.id, members_only=True)
    assert (await house.download(for_members, house.user("eve")))[1] == b"public"
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.download(for_members, house.user("ann"))


async def test_reserving_takes_membership(house: House) -> None:
    with refuses("NOT_A_MEMBER"):
        await house.reserve(1, by=house.user("eve"))
    with refuses("NOT_A_MEMBER"):
        await house.reserve(1, by=house.user("ann"), room="hall")
    with refuses("ROOM_NOT_FOUND"):
        await house.reserve(1, room="nowhere")
    for by in (house.server(), house.server("eve")):
        assert (await house.reserve(1, by=by)).attachment.room_id == "den"
    own = (await house.reserve(1, by=house.user("eve"), room="")).attachment
    assert (own.user_id, own.HasField("room_id")) == ("eve", False)


async def test_a_server_reserves_for_somebody(house: House) -> None:
    request = ReserveAttachmentRequest(content_type="a/b", user_id="ann", room_id="den")
    reserved = await house.cluster.media.ReserveAttachment(request, metadata=house.server("bob"))
    assert reserved.attachment.user_id == "ann"
    with refuses("SUBJECT_MISMATCH"):
        await house.cluster.media.ReserveAttachment(request, metadata=house.user("bob"))
    assert (await house.cluster.media.ReserveAttachment(request, metadata=house.user("ann"))).attachment.id


async def test_files_of_others_and_of_other_rooms_cannot_be_sent(house: House) -> None:
    """Fault 4."""
    bobs, anns = await house.file(b"x"), await house.file(b"x", by=house.user("ann"))
    elsewhere = await house.file(b"x", room="hall")
    for id_ in (anns.id, elsewhere.id, "made up"):
        with refuses("ATTACHMENT_UNUSABLE"):
            await house.send(bobs.id, id_)
    message = await house.send(bobs.id)
    with refuses("ATTACHMENT_UNUSABLE"):
        await house.send(bobs.id)
    part = Part(type="a/b", attachment=Attachment(id=elsewhere.id))
    edit = EditMessageRequest(room_id="den", id=message.id, parts=[part])
    with refuses("ATTACHMENT_UNUSABLE"):
        await house.cluster.messages.EditMessage(edit, metadata=house.server("bob"))
    assert await house.read(bobs.id, house.user("ann")) == b"x"
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.read(anns.id)


async def test_another_instance_sees_nothing(house: House) -> None:
    """Fault 5: the same answer as for what is not there."""
    await house.cluster.add_instance("two")
    await house.cluster.add_users("bob", instance_id="two")
    file = await house.file(b"ours")
    for by in (house.cluster.as_user("bob", "two"), house.cluster.as_server("", "two")):
        assert await reasons(house, file.id, by) == await reasons(house, "made up", by)
    batch = BatchGetAttachmentsRequest(ids=[file.id])
    for instance_id, count in (("one", 1), ("two", 0)):
        metadata = house.cluster.service.metadata(instance_id)
        assert len((await house.cluster.media.BatchGetAttachments(batch, metadata=metadata)).attachments) == count
    metadata = house.cluster.service.metadata("two")
    await house.cluster.media.PurgeMedia(PurgeMediaRequest(), metadata=metadata)
    assert await house.read(file.id) == b"ours"


async def test_an_id_takes_a_token(house: House) -> None:
    file = await house.file(b"x")
    for by, reason in ((), "TOKEN_MISSING"), (house.cluster.operator.metadata(), "CALLER_NOT_ALLOWED"):
        with refuses(reason):
            await house.download(DownloadAttachmentRequest(id=file.id), by)
        with refuses(reason):
            await house.upload(file.id, b"x", by)
    with refuses("FIELD_REQUIRED", field="id"):
        await house.download(DownloadAttachmentRequest())


async def test_a_signature_is_for_one_thing_only(house: House) -> None:
    file, other = await house.reserve(4), await house.file(b"other")
    await house.put(file.upload_url, b"file")
    with refuses("SIGNATURE_INVALID"):
        await house.get(file.upload_url)
    for url in (file.attachment.download_url, file.permanent_url):
        assert await house.get(url) == b"file"
        with refuses("SIGNATURE_INVALID"):
            await house.put(url, b"evil")
    header, payload, mark = signature_of(other.download_url).split(".")
    ours = signature_of(file.attachment.download_url).split(".")
    for forged in (f"{header}.{ours[1]}.{mark}", f"{header}.{payload}.", "", ".", "é", f"{header}.{payload}.{mark}x"):
        with refuses("SIGNATURE_INVALID"):
            await house.download(DownloadAttachmentRequest(signature=forged), ())


async def test_ones_own_uploads_are_listed(house: House) -> None:
    files = [await house.file(b"x", room=room) for room in ("den", "hall", "")]
    await house.file(b"x", by=house.user("ann"))
    seen: list[Attachment] = []
    token = ""
    while True:
        request = ListAttachmentsRequest(page_size=2, page_token=token)
        page = await house.cluster.media.ListAttachments(request, metadata=house.user("bob"))
        seen += page.attachments
        token = page.next_page_token
        if not token:
            break
    assert [without_url(one) for one in seen] == [without_url(one) for one in reversed(files)]
    assert await house.get(seen[0].download_url) == b"x"
    with refuses("ACTOR_REQUIRED"):
        await house.cluster.media.ListAttachments(ListAttachmentsRequest(), metadata=house.server())


async def test_the_files_of_a_room_are_those_of_its_messages(house: House) -> None:
    files = [await house.file(b"x") for _ in range(4)]
    own = await house.file(b"x", room="")
    messages = [await house.send(file.id) for file in (*files[:3], own)]
    await house.unsend(messages[0])

    async def listed(by: Metadata, room_uid: str = "") -> list[str]:
        request = ListAttachmentsRequest(room_id="" if room_uid else "den", room_uid=room_uid)
        return [one.id for one in (await house.cluster.media.ListAttachments(request, metadata=by)).attachments]

    expected = [own.id, files[2].id, files[1].id]
    assert await listed(house.user("ann")) == await listed(house.server()) == expected
    with refuses("NOT_A_MEMBER"):
        await listed(house.user("eve"))
    uid = messages[1].room_uid
    assert await listed(house.user("ann"), room_uid=uid) == await listed(house.server(), room_uid=uid) == expected
    for unknown in (uid, "x"):  # there is no telling which room is private and which is none
        with refuses("ROOM_NOT_FOUND"):
            await listed(house.user("eve"), room_uid=unknown)
    assert (await house.refresh(own.id, house.user("ann"))).id == own.id
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.refresh(own.id, room="hall")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.refresh(files[1].id, house.server(), room="hall")


async def test_only_what_no_message_has_can_be_deleted(house: House) -> None:
    file = await house.file(b"x")
    request = DeleteAttachmentRequest(id=file.id, request_id="r")
    message = await house.send(file.id)
    with refuses("ATTACHMENT_IN_USE"):
        await house.cluster.media.DeleteAttachment(request, metadata=house.user("bob"))
    await house.unsend(message)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.cluster.media.DeleteAttachment(request, metadata=house.user("bob"))
    another = await house.file(b"y")
    request.id = another.id
    for _ in range(2):  # the first answer
        await house.cluster.media.DeleteAttachment(request, metadata=house.user("bob"))
    await house.emptied()


async def test_a_name_is_kept_and_never_used(house: House) -> None:
    """Fault 12: stored under our id only."""
    names = ["../../x", "/etc/passwd", "a\x00b", "\u202egpj.exe", "x" * 4096, "C:\\con", "#1", "a?signature=b", ".."]
    files = [await house.file(b"x", name=name) for name in names]
    assert [(await house.look(file.id)).name for file in files] == names
    assert sorted(await house.objects()) == sorted(f"{file.etag[-2:]}/{file.etag}" for file in files)


async def test_a_repeated_reservation_is_the_same(house: House) -> None:
    first, second = [await house.reserve(5, request_id="r") for _ in range(2)]
    assert without_url(first.attachment) == without_url(second.attachment)
    await house.put(second.upload_url, b"12345")
    third = await house.reserve(5, request_id="r")
    assert await house.get(third.attachment.download_url) == await house.get(third.permanent_url) == b"12345"
    with refuses("REQUEST_ID_REUSED"):
        await house.reserve(6, request_id="r")


async def test_a_type_is_kept_and_never_believed(house: House) -> None:
    """Fault 13: the media type of the bytes is told beside the one that was given."""
    for data, detected in (
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
        (b"<!doctype html><script>alert(1)</script>", "text/html"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
    ):
        reserved = await house.reserve(len(data), content_type="image/jpeg")
        file = await house.put(reserved.upload_url, data)
        assert (file.content_type, file.detected_type) == ("image/jpeg", detected)


async def test_a_role_in_the_room_permits_what_is_done_to_its_files(house: House) -> None:
    """By id too, though only the file says which room is meant; and permission comes before existence."""
    file = await house.file(b"for the den")
    other = await house.file(b"for the hall", room="hall")
    bob, server = house.user("bob"), house.server()
    access, media = house.cluster.access, house.cluster.media
    none = Role(name="none", scope=ROLE_SCOPE_GLOBAL)
    await access.CreateRole(CreateRoleRequest(role=none), metadata=server)
    await access.AssignRole(AssignRoleRequest(user_id="bob", role_name="none"), metadata=server)

    async def refused(attachment_id: str) -> None:
        for call in (
            house.look(attachment_id, bob),
            house.read(attachment_id, bob),
            house.upload(attachment_id, b"for the den", bob),
            media.DeleteAttachment(DeleteAttachmentRequest(id=attachment_id), metadata=bob),
        ):
            with refuses("PERMISSION_MISSING"):
                await call

    for attachment_id in (file.id, other.id, "made up"):
        await refused(attachment_id)
    files = Role(name="files", scope=ROLE_SCOPE_ROOM, permissions=["file:get", "file:create"])
    await access.CreateRole(CreateRoleRequest(role=files), metadata=server)
    await access.AssignRole(AssignRoleRequest(user_id="bob", role_name="files", room_id="den"), metadata=server)
    for attachment_id in (other.id, "made up"):
        await refused(attachment_id)
    assert without_url(await house.look(file.id, bob)) == without_url(file)
    assert await house.read(file.id, bob) == b"for the den"
    await house.upload(file.id, b"for the den", bob)
    await media.DeleteAttachment(DeleteAttachmentRequest(id=file.id), metadata=bob)
