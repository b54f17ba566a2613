"""Messages with attachments, sent, read, edited and deleted, beside the real media service (issue 3, ADR 5)."""

import asyncio

import pytest
from google.protobuf.struct_pb2 import Value
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.media_service_pb2 import ReserveAttachmentRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import SendMessageRequest
from roomline.v1.room_service_pb2 import ListUserRoomsRequest

from tests.services.message.desk import TEXT, Desk, file, ids_of, urls_of
from tests.support.refusals import refuses
from tests.support.tap import Tap


async def test_a_message_comes_with_its_attachments_wherever_it_is_read(desk: Desk) -> None:
    ids = [await desk.reserved(name=name) for name in ("one.png", "two.png")]
    request = SendMessageRequest(room_id="den", parts=[TEXT, *map(file, ids)])
    request.parts[1].attachment.name = "a lie"
    sent = (await desk.cluster.messages.SendMessage(request, metadata=desk.user("bob"))).message
    assert [part.attachment.name for part in sent.parts] == ["", "one.png", "two.png"]
    assert (sent.parts[1].attachment.size, sent.parts[1].type) == (5, "image/png")
    rooms = await desk.cluster.rooms.ListUserRooms(
        ListUserRoomsRequest(user_id="ann", with_last_messages=True), metadata=desk.user("ann")
    )
    for message in (sent, await desk.message(sent), (await desk.page()).messages[0], rooms.rooms[0].last_message):
        assert ids_of(message) == ids
        assert urls_of(message) == [True, True]
    assert (await desk.look(ids[0], desk.user("ann"))).name == "one.png"
    stored = desk.stored(sent)
    assert ids[0].encode() in stored
    assert b"one.png" not in stored
    assert b"lie" not in stored


async def test_the_media_service_is_asked_only_for_attachments_and_once_for_a_page(desk: Desk) -> None:
    with_files = [await desk.send(await desk.reserved(), await desk.reserved()) for _ in range(3)]
    tap = Tap(desk.cluster.media_server)
    text = await desk.send_text("hall")
    await desk.edit(text, TEXT, Part(type="a/b", url="https://a.example/"))
    await desk.message(text)
    await desk.page("hall")
    await desk.cluster.rooms.ListUserRooms(
        ListUserRoomsRequest(user_id="eve", with_last_messages=True), metadata=desk.user("eve")
    )
    await desk.unsend(text)
    assert not tap.calls
    assert len((await desk.page()).messages) == 3
    assert tap.calls == {"BatchGetAttachments": 1}
    await desk.send(await desk.reserved())
    assert tap.calls == {"BatchGetAttachments": 1, "ReserveAttachment": 1, "ClaimAttachments": 1}
    await desk.unsend(with_files[0])
    assert tap.calls["ReleaseAttachments"] == 1


async def test_the_same_attachment_twice_in_a_message_is_one(desk: Desk) -> None:
    id_ = await desk.reserved()
    sent = await desk.send(id_, id_)
    assert ids_of(sent) == [id_, id_]
    assert urls_of(sent) == [True, True]


async def test_an_attachment_without_an_id_is_refused(desk: Desk) -> None:
    with refuses("FIELD_REQUIRED", field="parts[0].attachment.id"):
        await desk.send("")


@pytest.mark.parametrize("wrong", ["room", "user", "instance", "unknown", "used", "edited in"])
async def test_what_is_not_the_senders_in_this_room_is_refused(desk: Desk, wrong: str) -> None:
    """Faults 4 and 5."""
    good, bad = await desk.reserved(), "0190aaaa-0000-7000-8000-000000000001"
    match wrong:
        case "room":
            bad = await desk.reserved(room="hall")
        case "user":
            bad = await desk.reserved(by=desk.user("ann"))
        case "instance":
            await desk.cluster.add_instance("two")
            await desk.cluster.add_users("bob", instance_id="two")
            bad = await desk.reserved(room="", by=desk.cluster.as_user("bob", "two"))
        case "used" | "edited in":
            bad = await desk.reserved()
            await desk.send(bad)
    if wrong == "edited in":
        sent = await desk.send_text()
        with refuses("ATTACHMENT_UNUSABLE"):
            await desk.edit(sent, file(good), file(bad))
        assert list((await desk.message(sent)).parts) == [TEXT]
    else:
        before = len((await desk.page()).messages)
        with refuses("ATTACHMENT_UNUSABLE"):
            await desk.send(good, bad)
        assert len((await desk.page()).messages) == before
    assert ids_of(await desk.send(good)) == [good]


async def test_who_may_not_send_claims_nothing(desk: Desk) -> None:
    tap = Tap(desk.cluster.media_server)
    id_ = await desk.reserved()
    with refuses("NOT_A_MEMBER"):
        await desk.send(id_, by=desk.user("eve"))
    with refuses("ROOM_NOT_FOUND"):
        await desk.send(id_, room="nowhere")
    assert not tap.calls["ClaimAttachments"]


async def test_a_server_sends_what_others_put_into_the_room(desk: Desk) -> None:
    of_ann, of_bob = await desk.reserved(by=desk.user("ann")), await desk.reserved(room="")
    sent = await desk.send(of_ann, of_bob, by=desk.server("bob"))
    assert (sent.user_id, urls_of(sent)) == ("bob", [True, True])
    with refuses("ATTACHMENT_UNUSABLE"):  # what has no room is Bob's alone
        await desk.send(of_bob, by=desk.server("ann"))


async def test_a_file_without_a_room_goes_into_any_number_of_messages(desk: Desk) -> None:
    id_ = await desk.reserved(room="")
    first, second = await desk.send(id_), await desk.send(id_, room="hall")
    await desk.unsend(first)
    assert urls_of(await desk.message(second)) == [True]
    await desk.unsend(second)
    await desk.gone(id_)


async def test_of_two_messages_one_gets_the_attachment(desk: Desk) -> None:
    for _ in range(5):
        id_ = await desk.reserved()
        outcomes = await asyncio.gather(*(desk.send(id_) for _ in range(4)), return_exceptions=True)
        sent = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert len(sent) == 1
        assert urls_of(await desk.message(sent[0])) == [True]


async def test_a_repeated_send_is_one_message(desk: Desk) -> None:
    id_ = await desk.reserved()
    sends = await asyncio.gather(*(desk.send(id_, request_id="r") for _ in range(4)))
    sends.append(await desk.send(id_, request_id="r"))
    assert len({sent.uid for sent in sends}) == 1
    assert all(urls_of(sent) == [True] for sent in sends)
    assert len((await desk.page()).messages) == 1
    with refuses("REQUEST_ID_REUSED"):
        await desk.send(await desk.reserved(), request_id="r")


async def test_a_repeated_send_of_a_deleted_message_has_ids_only(desk: Desk) -> None:
    id_ = await desk.reserved()
    sent = await desk.send(id_, request_id="r")
    await desk.unsend(sent)
    again = await desk.send(id_, request_id="r")
    assert (again.uid, ids_of(again), urls_of(again)) == (sent.uid, [id_], [False])


async def test_an_edit_keeps_adds_and_drops(desk: Desk) -> None:
    kept, dropped, added = [await desk.reserved() for _ in range(3)]
    sent = await desk.send(kept, dropped)
    edited = await desk.edit(sent, file(added), TEXT, file(kept), request_id="e")
    assert (ids_of(edited), urls_of(edited)) == ([added, kept], [True, True])
    await desk.gone(dropped)
    again = await desk.edit(sent, file(added), TEXT, file(kept), request_id="e")
    assert again.updated_at == edited.updated_at
    assert (ids_of(again), urls_of(again)) == ([added, kept], [True, True])
    await desk.edit(sent, TEXT)
    for id_ in (added, kept):
        await desk.gone(id_)
    with refuses("ATTACHMENT_UNUSABLE"):
        await desk.edit(sent, file(kept))
    assert desk.pending() == 0


async def test_a_user_keeps_in_an_edit_what_a_server_put_there(desk: Desk) -> None:
    of_ann = await desk.reserved(by=desk.user("ann"))
    sent = await desk.send(of_ann, by=desk.server("bob"))
    assert urls_of(await desk.edit(sent, TEXT, file(of_ann))) == [True]


async def test_what_is_deleted_is_gone_at_once(desk: Desk) -> None:
    """Fault 23."""
    data = b"a secret figure"
    first, second = await desk.file(data), await desk.file(data)
    elsewhere = await desk.file(data, room="", by=desk.user("bob"))
    sent = await desk.send(first.id)
    await desk.send(second.id, elsewhere.id)
    unused = await desk.reserved()
    assert await desk.get(first.download_url) == data
    await desk.unsend(sent)
    with refuses("ATTACHMENT_NOT_FOUND"):
        await desk.get(first.download_url)
    assert await desk.get(second.download_url) == data
    await desk.delete_room("den")
    for file_ in (second, elsewhere):
        with refuses("ATTACHMENT_NOT_FOUND"):
            await desk.get(file_.download_url)
    await desk.gone(unused)
    await desk.emptied()


async def test_a_page_of_huge_attachments_is_cut_and_goes_on(desk: Desk) -> None:
    custom_data = Value(string_value="x" * 8000)
    request = ReserveAttachmentRequest(
        content_type="a/b", content_length=1, name="n" * 4096, caption="c" * 4096, custom_data=custom_data
    )
    bob = desk.user("bob")
    reserved = [await desk.cluster.media.ReserveAttachment(request, metadata=bob) for _ in range(10)]
    ids = [answer.attachment.id for answer in reserved]
    sent = [(await desk.send(*ids)).id for _ in range(80)]
    seen, token, pages = [], "", 0
    while pages == 0 or token:
        page = await desk.page(page_size=100, page_token=token)
        seen += [message.id for message in page.messages]
        assert all(urls_of(message) == [True] * 10 for message in page.messages)
        token, pages = page.next_page_token, pages + 1
    assert seen == sent[::-1]
    assert pages > 1


async def test_an_unknown_attachment_keeps_its_part(desk: Desk) -> None:
    kept, lost = await desk.reserved(), await desk.reserved()
    sent = await desk.send(kept, lost)
    await desk.forget(lost)
    message = await desk.message(sent)
    assert (ids_of(message), urls_of(message)) == ([kept, lost], [True, False])
    assert message.parts[1].attachment == Attachment(id=lost)
