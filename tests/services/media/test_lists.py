"""Pages of attachments fit into an answer, whatever is in them."""

import asyncio

import pytest
from google.protobuf.struct_pb2 import Value
from roomline.v1.media_service_pb2 import ListAttachmentsRequest, ReserveAttachmentRequest
from roomline.v1.message_service_pb2 import HideMessageRequest

from services.media.readers import FIRST
from services.media.store import PAGE_BYTES
from tests.services.media.house import House

FAT = Value()
for _ in range(4000):
    FAT.list_value.values.add(number_value=1)
COUNT = PAGE_BYTES // FAT.ByteSize() + 20


@pytest.mark.thorough
async def test_a_page_of_large_ones_ends_earlier(house: House) -> None:
    request = ReserveAttachmentRequest(content_type="a/b", content_length=0, custom_data=FAT)
    for _ in range(0, COUNT, 10):
        await asyncio.gather(
            *(house.cluster.media.ReserveAttachment(request, metadata=house.user("bob")) for _ in range(10))
        )
    ids: list[str] = []
    pages = 0
    token = ""
    while token or not pages:
        page = await house.cluster.media.ListAttachments(
            ListAttachmentsRequest(page_size=1000, page_token=token), metadata=house.user("bob")
        )
        assert sum(one.custom_data.ByteSize() for one in page.attachments) <= PAGE_BYTES
        ids += [one.id for one in page.attachments]
        pages, token = pages + 1, page.next_page_token
    assert pages == 2
    assert len(ids) >= COUNT
    assert ids == sorted(set(ids), reverse=True)


async def test_any_message_that_has_it_will_do(house: House) -> None:
    """Of very many, too: the newest are asked about first, and they may be ones that a reader cannot see."""
    file = await house.file(b"x", room="")
    await house.send(file.id, room="hall")
    for _ in range(FIRST):
        await house.send(file.id)
    newest = await house.send(file.id)
    assert await house.read(file.id, house.user("eve")) == b"x"
    await house.cluster.messages.HideMessage(HideMessageRequest(uid=newest.uid), metadata=house.user("ann"))
    page = await house.cluster.media.ListAttachments(ListAttachmentsRequest(room_id="den"), metadata=house.user("ann"))
    assert [one.id for one in page.attachments] == [file.id]
