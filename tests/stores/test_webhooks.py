"""Webhooks as they are stored: what only their deliveries see of them."""

from __future__ import annotations

import pytest
from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2 import CreateWebhookRequest, RotateWebhookSecretRequest, UpdateWebhookRequest

from services.common.ids import Uuid7
from services.message.sqlite_webhooks import SqliteWebhooks
from services.message.webhook_store import WEBHOOKS, Active, Target, WebhookStore
from tests.stores.conftest import SERVER, STRANGER, Stores
from tests.support.refusals import refuses

URL = "https://example.org/hook"


@pytest.fixture
def webhooks(stores: Stores) -> WebhookStore:
    return SqliteWebhooks(stores.database, stores.clock, Uuid7(stores.clock))


async def made(webhooks: WebhookStore, *, disabled: bool = False) -> str:
    request = CreateWebhookRequest(webhook=Webhook(url=URL, event_kinds=["message_sent"], disabled=disabled))
    return (await webhooks.create(SERVER, request, b"first", asked_at=0)).webhook.id


async def test_deliveries_are_signed_with_the_former_secret_for_a_while(stores: Stores, webhooks: WebhookStore) -> None:
    webhook_id = await made(webhooks)

    async def secrets() -> tuple[bytes, ...]:
        target = await webhooks.target("one", webhook_id)
        assert target is not None
        return target.secrets

    assert await webhooks.target("one", webhook_id) == Target(URL, frozenset({"message_sent"}), (b"first",))
    for secret in (b"second", b"third"):
        await webhooks.rotate(SERVER, RotateWebhookSecretRequest(id=webhook_id), secret, overlap_seconds=60)
    assert await secrets() == (b"third", b"second")
    stores.clock.advance(59)
    assert await secrets() == (b"third", b"second")
    stores.clock.advance(1)
    assert await secrets() == (b"third",)


async def test_what_wants_deliveries(stores: Stores, webhooks: WebhookStore) -> None:
    webhook_id, off = await made(webhooks), await made(webhooks, disabled=True)
    news: list[str] = []
    stores.database.listen(news.extend)
    assert await webhooks.active() == [Active("one", webhook_id, stores.clock())]
    assert await webhooks.target("one", off) is None
    assert await webhooks.target("two", webhook_id) is None
    change = UpdateWebhookRequest(webhook=Webhook(id=webhook_id, url=f"{URL}/other"))
    stores.clock.advance(1)
    await webhooks.update(SERVER, change, {"url"})
    assert await webhooks.active() == [Active("one", webhook_id, stores.clock())]
    await webhooks.disable("one", webhook_id, URL)  # a late answer from where it led before
    assert len(await webhooks.active()) == 1
    await webhooks.disable("one", webhook_id, f"{URL}/other")
    assert await webhooks.active() == []
    assert await webhooks.target("one", webhook_id) is None
    assert {*news} == {WEBHOOKS + "one"}


async def test_a_reset_leaves_them_and_a_deletion_does_not(stores: Stores, webhooks: WebhookStore) -> None:
    await made(webhooks)
    request = CreateWebhookRequest(webhook=Webhook(url=URL))
    theirs = (await webhooks.create(STRANGER, request, b"x", asked_at=0)).webhook.id
    await stores.purges.instance("one")
    assert len(await webhooks.all("one")) == 1
    assert (await webhooks.all("one"))[0].HasField("status")
    await stores.purges.instance("one", for_good=True)
    assert await webhooks.all("one") == []
    assert [webhook.id for webhook in await webhooks.all("two")] == [theirs]
    rows = await stores.database.read(
        lambda connection: connection.execute("SELECT DISTINCT instance_id FROM log_readers").fetchall()
    )
    assert rows == [("two",)]


async def test_none_is_made_for_an_instance_that_was_deleted_meanwhile(stores: Stores, webhooks: WebhookStore) -> None:
    """Its id may be that of somebody else's instance next."""
    request, asked_at = CreateWebhookRequest(webhook=Webhook(url=URL)), stores.clock()
    await stores.purges.instance("one", for_good=True)
    with refuses("INSTANCE_RESET"):
        await webhooks.create(SERVER, request, b"x", asked_at)
    stores.clock.advance(1)
    assert (await webhooks.create(SERVER, request, b"x", stores.clock())).webhook.url == URL
