"""Webhooks as their owner sees them: made, changed, removed, refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roomline.v1.instance_service_pb2 import DeleteInstanceRequest, ResetInstanceRequest
from roomline.v1.webhook_pb2 import Webhook
from roomline.v1.webhook_service_pb2 import (
    CreateWebhookRequest,
    DeleteWebhookRequest,
    GetWebhookRequest,
    ListWebhooksRequest,
    RotateWebhookSecretRequest,
    UpdateWebhookRequest,
)
from standardwebhooks.webhooks import WebhookVerificationError
from structlog.typing import EventDict

from services.message.webhook_store import MAX_WEBHOOKS
from tests.services.message.hooked import Hooked, hooked, texts_of, verified
from tests.support.receiver import Posted
from tests.support.refusals import refuses


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooked]:
    async with hooked(tmp_path) as running:
        yield running


async def listed(hooks: Hooked, instance_id: str = "one") -> list[Webhook]:
    metadata = hooks.cluster.as_server(instance_id=instance_id)
    return [*(await hooks.stub.ListWebhooks(ListWebhooksRequest(), metadata=metadata)).webhooks]


async def test_a_webhook_is_made_shown_changed_and_removed(hooks: Hooked) -> None:
    made = await hooks.create(description="to our CRM", event_kinds=["message_sent", "room_created", "message_sent"])
    assert [*made.event_kinds] == ["message_sent", "room_created"]
    assert (made.url, made.description, made.disabled) == (hooks.target.url, "to our CRM", False)
    assert (made.status.position, made.status.behind, made.status.lost_events) == (1, 0, 0)
    second = await hooks.create(disabled=True)
    assert await listed(hooks) == [await hooks.get(made), await hooks.get(second)]
    changed = await hooks.update(made, "description", "event_kinds")
    assert (changed.url, changed.description, [*changed.event_kinds]) == (made.url, "", [])
    assert (await hooks.update(second, url=hooks.target.url + "/path")).url == hooks.target.url + "/path"
    for _ in range(2):
        await hooks.stub.DeleteWebhook(DeleteWebhookRequest(id=made.id), metadata=hooks.cluster.as_server())
    assert [webhook.id for webhook in await listed(hooks)] == [second.id]
    with refuses("WEBHOOK_NOT_FOUND"):
        await hooks.get(made)
    await hooks.send("unheard")
    await hooks.create()
    await hooks.send("heard")
    await hooks.until_told("heard")


async def test_its_secret_is_shown_once_however_often_the_call_is_repeated(hooks: Hooked) -> None:
    stub, metadata = hooks.stub, hooks.cluster.as_server()
    create = CreateWebhookRequest(webhook=Webhook(url=hooks.target.url), request_id="a")
    first, second = [await stub.CreateWebhook(create, metadata=metadata) for _ in range(2)]
    assert first == second
    assert first.secret.startswith("whsec_")
    rotate = RotateWebhookSecretRequest(id=first.webhook.id, request_id="b")
    third, fourth = [await stub.RotateWebhookSecret(rotate, metadata=metadata) for _ in range(2)]
    assert third == fourth
    assert third.secret != first.secret
    assert third.webhook.HasField("former_secret_until")
    assert len(await listed(hooks)) == 1
    assert "whsec" not in str(await listed(hooks))
    change = UpdateWebhookRequest(webhook=Webhook(id=first.webhook.id, description="b"), request_id="c")
    assert await stub.UpdateWebhook(change, metadata=metadata) == await stub.UpdateWebhook(change, metadata=metadata)


async def test_what_is_wrong_is_refused(hooks: Hooked) -> None:
    webhook = await hooks.create()
    with refuses("FIELD_REQUIRED", field="webhook.url"):
        await hooks.stub.CreateWebhook(
            CreateWebhookRequest(webhook=Webhook(description="b")), metadata=hooks.cluster.as_server()
        )
    with refuses("FIELD_REQUIRED", field="webhook.url"):
        await hooks.update(webhook, "url")
    with refuses("FIELD_REQUIRED", field="webhook.id"):
        await hooks.update(Webhook(), description="b")
    for url in ("ftp://example.org/", "https://user:password@example.org/", "http://169.254.169.254/", "nothing"):
        with refuses("FIELD_INVALID", field="webhook.url"):
            await hooks.create(url)
    for kind in ("user_typed", "no_such_kind"):
        with refuses("FIELD_INVALID", field="webhook.event_kinds[1]"):
            await hooks.create(event_kinds=["message_sent", kind])
        with refuses("FIELD_INVALID", field="webhook.event_kinds[0]"):
            await hooks.update(webhook, event_kinds=[kind])
    with refuses("FIELD_INVALID", field="update_mask"):
        await hooks.update(webhook, "status")
    with refuses("CALLER_NOT_ALLOWED"):
        await hooks.stub.ListWebhooks(ListWebhooksRequest(), metadata=hooks.cluster.as_user("bob"))
    for call in (
        hooks.update(Webhook(id="x"), description="b"),
        hooks.stub.RotateWebhookSecret(RotateWebhookSecretRequest(id="x"), metadata=hooks.cluster.as_server()),
    ):
        with refuses("WEBHOOK_NOT_FOUND"):
            await call


async def test_a_private_address_is_refused(tmp_path: Path) -> None:
    async with hooked(tmp_path, outbound_allow_private=False) as hooks:
        port = hooks.target.url.rpartition(":")[2]
        webhook = await hooks.create(f"https://1.1.1.1:{port}/", disabled=True)
        for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
            for scheme in ("http", "https"):
                with refuses("FIELD_INVALID", field="webhook.url"):
                    await hooks.create(f"{scheme}://{host}:{port}/")
                with refuses("FIELD_INVALID", field="webhook.url"):
                    await hooks.update(webhook, url=f"{scheme}://{host}:{port}/")


async def test_a_tenant_cannot_find_out_which_names_there_are_inside(tmp_path: Path, logged: list[EventDict]) -> None:
    """Fault 20. The log says what the tenant is not told."""
    async with hooked(tmp_path, outbound_allow_private=False) as hooks:
        for host in ("localhost", "no-such-name.invalid"):
            rule = "its host has no address that requests may go to"
            with refuses("FIELD_INVALID", field="webhook.url", rule=rule):
                await hooks.create(f"https://{host}/hook")
    inside, nothing = (entry["problem"] for entry in logged if entry["event"] == "webhook_url_refused")
    assert "not public" in inside
    assert "cannot be resolved" in nothing


async def test_an_instance_has_so_many(hooks: Hooked) -> None:
    await hooks.cluster.add_instance("two")
    made = [await hooks.create(disabled=True) for _ in range(MAX_WEBHOOKS)]
    with refuses("QUOTA_EXCEEDED", quota="webhooks"):
        await hooks.create()
    await hooks.create(instance_id="two")
    await hooks.stub.DeleteWebhook(DeleteWebhookRequest(id=made[0].id), metadata=hooks.cluster.as_server())
    await hooks.create()


async def test_nobody_sees_or_gets_what_is_of_another_instance(hooks: Hooked) -> None:
    await hooks.cluster.add_instance("two")
    await hooks.open("two")
    webhook = await hooks.create()
    stranger = hooks.cluster.as_server(instance_id="two")
    assert await listed(hooks, "two") == []
    with refuses("WEBHOOK_NOT_FOUND"):
        await hooks.stub.GetWebhook(GetWebhookRequest(id=webhook.id), metadata=stranger)
    with refuses("WEBHOOK_NOT_FOUND"):
        await hooks.stub.RotateWebhookSecret(RotateWebhookSecretRequest(id=webhook.id), metadata=stranger)
    await hooks.stub.DeleteWebhook(DeleteWebhookRequest(id=webhook.id), metadata=stranger)
    await hooks.send("theirs", instance_id="two")
    await hooks.send("ours")
    await hooks.until_told("ours")
    assert {delivery.instance_id for delivery in hooks.deliveries()} == {"one"}


async def test_a_secret_that_was_replaced_counts_for_a_day(hooks: Hooked) -> None:
    async def next_one(text: str) -> Posted:
        count = len(hooks.target.posted)
        await hooks.send(text)
        return (await hooks.target.until(lambda posted: len(posted) > count))[count]

    def signers(posted: Posted) -> list[str]:
        good = []
        for secret in secrets:
            try:
                verified(posted, secret)
            except WebhookVerificationError:
                continue
            good.append(secret)
        return good

    webhook = await hooks.create()
    secrets = [hooks.secrets[webhook.id]]
    assert signers(await next_one("one")) == secrets
    for _ in range(2):
        answer = await hooks.stub.RotateWebhookSecret(
            RotateWebhookSecretRequest(id=webhook.id), metadata=hooks.cluster.as_server()
        )
        secrets.append(answer.secret)
        assert signers(await next_one("two")) == secrets[-2:]
    assert len((await next_one("three")).headers["webhook-signature"].split()) == 2
    hooks.clock.advance(24 * 3600 + 1)
    assert len((await next_one("four")).headers["webhook-signature"].split()) == 1
    assert not (await hooks.get(webhook)).HasField("former_secret_until")


async def test_after_a_reset_it_goes_on_with_the_instance(hooks: Hooked) -> None:
    webhook = await hooks.create()
    await hooks.cluster.instances.ResetInstance(ResetInstanceRequest(), metadata=hooks.cluster.as_server())
    await hooks.open()
    await hooks.send("anew")
    await hooks.until_told("anew")
    found = await hooks.until(webhook, lambda found: not found.status.behind)
    assert found.status.lost_events == 1
    assert hooks.deliveries()[-1].lost_events == 1


async def test_it_goes_with_the_instance(hooks: Hooked) -> None:
    await hooks.cluster.add_instance("two")
    await hooks.open("two")
    await hooks.create(instance_id="two")
    await hooks.create()
    request = DeleteInstanceRequest(instance_id="two")
    await hooks.cluster.instances.DeleteInstance(request, metadata=hooks.cluster.operator.metadata())
    await hooks.cluster.add_instance("two")
    await hooks.open("two")
    assert await listed(hooks, "two") == []
    await hooks.send("theirs", instance_id="two")
    await hooks.send("ours")
    await hooks.until_told("ours")
    assert texts_of(hooks.events()) == ["ours"]
