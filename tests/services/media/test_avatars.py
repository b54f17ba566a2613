"""Pictures of users over real gRPC: who may set and see them, what is kept of them, and when they go."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import grpc
import pytest
from PIL import Image
from roomline.v1.avatar_pb2 import Avatar
from roomline.v1.instance_pb2 import Instance, InstanceLimits
from roomline.v1.instance_service_pb2 import ResetInstanceRequest, UpdateInstanceRequest
from roomline.v1.media_service_pb2 import GetAvatarRequest, SetAvatarRequest
from roomline.v1.user_service_pb2 import DeleteUserRequest

from services.common.streams import answer_of
from services.media.avatars import MAX_BYTES
from tests.services.media.drawings import GRADIENT, JPEG, encoded, png
from tests.services.media.house import CHUNK, House
from tests.support.cluster import Metadata
from tests.support.refusals import refuses

RED, GREEN = (encoded(Image.new("RGB", (700, 300), colour), "PNG") for colour in ("red", "green"))


async def steps(user_id: str, data: bytes) -> AsyncIterator[SetAvatarRequest]:
    yield SetAvatarRequest(user_id=user_id)
    for start in range(0, len(data), CHUNK):
        yield SetAvatarRequest(chunk=data[start : start + CHUNK])


async def put(house: House, data: bytes, user_id: str = "bob", by: Metadata | None = None) -> Avatar:
    """Sets a picture, as its user unless told otherwise."""
    metadata = house.user(user_id) if by is None else by
    return (await answer_of(house.cluster.media.SetAvatar(steps(user_id, data), metadata=metadata))).avatar


async def get(house: House, user_id: str = "bob", *known: str, by: Metadata | None = None) -> tuple[Avatar, bytes]:
    """Reads a picture, as Ann unless told otherwise."""
    request = GetAvatarRequest(user_id=user_id, known_etags=known)
    answer = await house.cluster.media.GetAvatar(request, metadata=house.user("ann") if by is None else by)
    return answer.avatar, answer.data


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    return picture


async def test_a_picture_is_kept_small_on_every_store(any_house: House) -> None:
    stored = await put(any_house, RED)
    avatar, data = await get(any_house)
    assert avatar == stored
    assert (avatar.user_id, avatar.content_type, avatar.size) == ("bob", "image/webp", len(data))
    assert avatar.updated_at.seconds > 0
    assert opened(data).size == (512, 219)
    assert await get(any_house, "bob", "x", avatar.etag) == (avatar, b"")
    replaced = await put(any_house, GREEN)
    assert replaced.etag != avatar.etag
    avatar, data = await get(any_house, "bob", stored.etag)
    assert avatar == replaced
    assert opened(data).convert("RGB").getpixel((9, 9)) == pytest.approx((0, 128, 0), abs=4)
    await any_house.emptied(down_to=1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        JPEG[: len(JPEG) // 2],
        png(50_000, 50_000),
        encoded(Image.new("RGB", (8, 8)), "BMP"),
    ],
    ids=["nothing", "svg", "pdf", "half a picture", "bomb", "bmp"],
)
async def test_what_is_no_picture_changes_nothing(house: House, data: bytes) -> None:
    stored = await put(house, RED)
    with refuses("PICTURE_UNUSABLE"):
        await put(house, data)
    assert (await get(house))[0] == stored
    await house.emptied(down_to=1)


async def test_a_picture_has_a_size(house: House) -> None:
    with refuses("FILE_TOO_LARGE", limit=str(MAX_BYTES)):
        await put(house, JPEG + bytes(MAX_BYTES))
    stored = await put(house, JPEG + bytes(MAX_BYTES - len(JPEG)))
    assert (await get(house))[0] == stored


async def test_the_limits_of_an_instance_hold(house: House) -> None:
    async def limit(limits: InstanceLimits) -> None:
        request = UpdateInstanceRequest(instance=Instance(id="one", limits=limits))
        request.update_mask.paths.append("limits")
        await house.cluster.instances.UpdateInstance(request, metadata=house.cluster.operator.metadata())

    async def refused(reason: str) -> None:
        """The media service learns of the change a moment later."""
        async with asyncio.timeout(10):
            while True:
                try:
                    await put(house, RED)
                except grpc.aio.AioRpcError:
                    break
        with refuses(reason):
            await put(house, RED)

    await limit(InstanceLimits(file_bytes=100))
    await refused("FILE_TOO_LARGE")
    await limit(InstanceLimits(user_media_bytes=10))
    await refused("QUOTA_EXCEEDED")


async def test_who_may(house: House) -> None:
    stored = await put(house, RED)
    with refuses("SUBJECT_MISMATCH"):
        await put(house, GREEN, by=house.user("ann"))
    with refuses("SUBJECT_MISMATCH"):
        await put(house, GREEN, "", by=house.user("bob"))
    with refuses("FIELD_REQUIRED", field="user_id"):
        await put(house, GREEN, "", by=house.server("bob"))
    with refuses("TOKEN_MISSING"):
        await put(house, GREEN, by=())
    with refuses("TOKEN_MISSING"):
        await get(house, by=())
    for metadata in (house.user("bob"), house.user("eve"), house.server()):
        assert (await get(house, by=metadata))[0] == stored
    replaced = await put(house, GREEN, by=house.server())
    assert (await get(house))[0] == replaced


async def test_pictures_are_of_one_instance(house: House) -> None:
    await put(house, RED)
    await house.cluster.add_instance("two")
    await house.cluster.add_users("bob", instance_id="two")
    elsewhere = house.cluster.as_user("bob", "two")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await get(house, by=elsewhere)
    await put(house, GREEN, by=elsewhere)
    assert (await get(house))[0].etag != (await get(house, by=elsewhere))[0].etag


async def test_only_those_who_are_there_have_a_picture(house: House) -> None:
    with refuses("ATTACHMENT_NOT_FOUND"):
        await get(house)
    with refuses("USER_NOT_FOUND"):
        await put(house, RED, "nobody")
    with refuses("USER_NOT_FOUND"):
        await put(house, RED, "nobody", by=house.server())
    assert await house.objects() == []


async def test_a_picture_goes_with_its_user(house: House) -> None:
    await put(house, RED)
    kept = await put(house, GREEN, "ann")
    await house.cluster.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=house.server())
    await house.emptied(down_to=1)
    await house.cluster.add_users("bob")
    with refuses("ATTACHMENT_NOT_FOUND"):
        await get(house)
    assert (await get(house, "ann"))[0] == kept


async def test_a_reset_takes_all_pictures(house: House) -> None:
    await put(house, RED)
    await put(house, GREEN, "ann")
    await house.cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=house.server())
    assert await house.objects() == []
    with refuses("ATTACHMENT_NOT_FOUND"):
        await get(house, by=house.server())


async def test_a_picture_that_is_broken_off_is_none(house: House) -> None:
    stored = await put(house, RED)
    sent = asyncio.Event()

    async def half() -> AsyncIterator[SetAvatarRequest]:
        yield SetAvatarRequest(user_id="bob", chunk=GREEN)
        sent.set()
        await asyncio.Event().wait()

    call = house.cluster.media.SetAvatar(half(), metadata=house.user("bob"))
    await sent.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    replaced = await put(house, encoded(GRADIENT, "PNG"))  # whoever was first is done then
    assert replaced.etag != stored.etag
    assert opened((await get(house))[1]).size == (512, 256)
    await house.emptied(down_to=1)


async def test_of_several_at_once_one_stays(house: House) -> None:
    stored = await asyncio.gather(*(put(house, data) for data in (RED, GREEN) * 3))
    assert (await get(house))[0] in stored
    await house.emptied(down_to=1)
