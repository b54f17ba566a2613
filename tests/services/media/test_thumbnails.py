"""Pictures get their size and thumbnails after the upload; thumbnails are as private and as mortal as their picture."""

import asyncio
import sys
from pathlib import Path

import pytest
from PIL import Image
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import DeleteAttachmentRequest, DownloadAttachmentRequest, PurgeMediaRequest

from services.media.maintenance import Pace
from services.media.thumbnailer import LOOKS
from tests.services.media.drawings import GRADIENT, encoded, png
from tests.services.media.house import House, signature_of
from tests.support.cluster import running_cluster
from tests.support.refusals import refuses

PNG = encoded(GRADIENT, "PNG")
SLOW = encoded(Image.new("RGBA", (8000, 6000)), "PNG", compress_level=1)


async def looked_at(house: House, attachment: Attachment) -> Attachment:
    """The attachment when it has been looked at."""
    async with asyncio.timeout(20):
        while not (found := await house.look(attachment.id)).HasField("width"):  # noqa: ASYNC110 - it
            await asyncio.sleep(0.01)  # happens in the background, which tells nobody
    return found


def thumbnail(attachment: Attachment, size: int = 160) -> DownloadAttachmentRequest:
    return DownloadAttachmentRequest(id=attachment.id, thumbnail=size)


async def test_a_picture_gets_a_size_and_thumbnails(any_house: House) -> None:
    house = any_house
    attachment = await looked_at(house, await house.file(PNG, name="a.png"))
    assert (attachment.width, attachment.height, list(attachment.thumbnails)) == (640, 320, [160, 480])
    assert attachment.detected_type == "image/png"
    head, data = await house.download(thumbnail(attachment))
    assert head.content_type == "image/webp"
    assert (head.size, head.length) == (len(data), len(data))
    assert head.etag not in {"", attachment.etag}
    assert data.startswith(b"RIFF")
    part = thumbnail(attachment)
    part.offset, part.length = 4, 8
    assert (await house.download(part))[1] == data[4:12]
    for size in (161, 1024):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await house.download(thumbnail(attachment, size))
    assert await house.read(attachment.id) == PNG
    await house.send(attachment.id)
    assert list((await house.refresh(attachment.id)).thumbnails) == [160, 480]


async def test_only_who_may_see_the_picture_may_see_its_thumbnails(house: House) -> None:
    attachment = await looked_at(house, await house.file(PNG))
    for stranger in ("ann", "eve"):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await house.download(thumbnail(attachment), house.user(stranger))
    await house.send(attachment.id)
    assert (await house.download(thumbnail(attachment), house.user("ann")))[1]
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.download(thumbnail(attachment), house.user("eve"))


@pytest.mark.parametrize("end", ["message", "room", "instance"])
async def test_thumbnails_end_with_the_message(house: House, end: str) -> None:
    """Refused at once, by id and by signature; no byte of them is left (fault #23)."""
    attachment = await looked_at(house, await house.file(PNG))
    message = await house.send(attachment.id)
    signed = DownloadAttachmentRequest(signature=signature_of(attachment.download_url), thumbnail=160)
    assert (await house.download(signed, ()))[1] == (await house.download(thumbnail(attachment)))[1]
    assert len(await house.objects()) == 3
    if end == "message":
        await house.unsend(message)
    elif end == "room":
        await house.delete_room("den")
    else:
        service = house.cluster.service.metadata("one")
        await house.cluster.media.PurgeMedia(PurgeMediaRequest(), metadata=service)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.download(thumbnail(attachment), house.server())
    with refuses("ATTACHMENT_NOT_FOUND"):
        await house.download(signed, ())
    await house.emptied()


async def test_other_bytes_have_other_thumbnails(house: House) -> None:
    attachment_id = (await house.reserve()).attachment.id
    first = await looked_at(house, await house.upload(attachment_id, PNG))
    replaced = await house.upload(attachment_id, encoded(GRADIENT.rotate(90, expand=True), "PNG"))
    assert replaced.etag != first.etag
    assert not replaced.HasField("width")
    assert list(replaced.thumbnails) == []
    attachment = await looked_at(house, replaced)
    assert (attachment.width, attachment.height) == (320, 640)
    await house.emptied(down_to=3)


async def test_what_ends_while_it_is_looked_at_leaves_nothing(house: House) -> None:
    attachment = await house.file(SLOW)
    request = DeleteAttachmentRequest(id=attachment.id)
    await house.cluster.media.DeleteAttachment(request, metadata=house.user("bob"))
    await looked_at(house, await house.file(PNG))
    await house.emptied(down_to=3)


async def test_an_end_in_between_only_delays_the_thumbnails(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, begun = tmp_path / "hanging", tmp_path / "begun"
    hanging.write_text(f"#!/bin/sh\necho >>'{begun}'\nexec sleep 60\n")
    hanging.chmod(0o700)
    begun.touch()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(hanging))
        attachment = await house.file(PNG)
        for looks in range(1, LOOKS + 2):  # an orderly end is nothing that the picture is to blame for
            async with asyncio.timeout(20):
                while begun.stat().st_size < looks:  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(0.01)
            await house.restart()
            assert not (await house.look(attachment.id)).HasField("width")
    await house.restart()
    assert list((await looked_at(house, attachment)).thumbnails) == [160, 480]


async def test_a_picture_waits_until_processes_can_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_cluster(tmp_path, pace=Pace(sweep=0.05)) as cluster:
        house = House(cluster)
        await house.open()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", "/nonexistent")
            attachment = await house.file(PNG)
            await asyncio.sleep(0.3)  # longer than it takes to give a picture up
        assert list((await looked_at(house, attachment)).thumbnails) == [160, 480]


async def test_what_cannot_be_decoded_is_a_file_like_any_other(house: House) -> None:
    files = [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
        (b"<script>alert(1)</script>", "text/html"),
        (png(50_000, 50_000), "image/png"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
    ]
    uploaded = [await house.file(data, name="a.png") for data, _ in files]
    await looked_at(house, await house.file(PNG))  # comes after them
    for attachment, (data, detected_type) in zip(uploaded, files, strict=True):
        found = await house.look(attachment.id)
        assert found.detected_type == detected_type
        assert not found.HasField("width")
        assert list(found.thumbnails) == []
        assert await house.read(attachment.id) == data
    assert len(await house.objects()) == len(files) + 3
