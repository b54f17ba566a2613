"""When signed URLs end, through a gateway in front of real services (spec §6.2, §6.3, §6.6)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.health import Health
from gateway.server import Gateway, build_app
from tests.gateway.client import Client
from tests.support.clock import ShiftedClock
from tests.support.cluster import Cluster, running_cluster

CHATKIT = "/services/chatkit/v6/one"
TEXT = "/services/chatkit/v2/one"
FILES = "/services/chatkit_files/v1/one"
DATA = b"some bytes"
STALE = (403, "services/chatkit/forbidden/signature_invalid")
FORM = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + DATA + b"\r\n--b--\r\n"


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
async def cluster(tmp_path: Path, clock: ShiftedClock) -> AsyncIterator[Cluster]:
    async with running_cluster(tmp_path, clock=clock) as cluster:
        await cluster.add_users("bob")
        yield cluster


@pytest.fixture
async def bob(cluster: Cluster) -> AsyncIterator[Client]:
    """Bob's own connection to the gateway. His token ends like everybody's: see `renewed`."""
    settings = cluster.settings.model_copy(update={"port": 0})
    channels = {"user": cluster.user_channel, "message": cluster.message_channel, "media": cluster.media_channel}
    gateway = Gateway(settings, build_app(settings, **channels, health=Health(channels), live=None))
    await gateway.start()
    bob = renewed(Client(gateway.port), cluster)
    await bob.post(f"{CHATKIT}/rooms", {"id": "den", "name": "den"})
    yield bob
    await gateway.stop()


def renewed(client: Client, cluster: Cluster) -> Client:
    client.authorization = "Bearer " + cluster.token("bob")
    return client


def target(url: str) -> str:
    return url.removeprefix("http://localhost")


async def reserved(bob: Client) -> dict[str, Any]:
    body = {"content_type": "image/png", "content_length": len(DATA)}
    answer: dict[str, Any] = (await bob.post(f"{CHATKIT}/rooms/den/attachments", body)).json
    return answer


async def test_an_upload_url_is_good_for_a_quarter_of_an_hour(bob: Client, clock: ShiftedClock) -> None:
    url = target((await reserved(bob))["upload_url"])
    clock.advance(14 * 60)
    assert (await bob.put(url, DATA)).status == 200
    clock.advance(61)
    assert (await bob.put(url, DATA)).error == STALE


async def test_a_download_url_is_good_for_a_day_and_can_be_had_anew(
    bob: Client, cluster: Cluster, clock: ShiftedClock
) -> None:
    reservation = await reserved(bob)
    await bob.put(target(reservation["upload_url"]), DATA)
    part = {"type": "image/png", "attachment": {"id": reservation["attachment_id"]}}
    await bob.post(f"{CHATKIT}/rooms/den/messages", {"parts": [part]})
    (message,) = (await bob.get(f"{CHATKIT}/rooms/den/messages")).json
    attachment = message["parts"][0]["attachment"]
    clock.advance(24 * 3600 - 60)
    assert (await bob.get(target(attachment["download_url"]))).body == DATA
    clock.advance(61)
    assert (await bob.get(target(attachment["download_url"]))).error == STALE
    renewed(bob, cluster)
    refreshed = (await bob.get(target(attachment["refresh_url"]))).json
    assert (await bob.get(target(refreshed["download_url"]))).body == DATA


async def test_a_resource_link_is_good_for_ever(bob: Client, cluster: Cluster, clock: ShiftedClock) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    link = (await bob.request("POST", f"{FILES}/rooms/den/users/bob/files/x.gif", FORM, headers)).json
    await bob.post(f"{TEXT}/rooms/den/messages", {"text": "look", "attachment": link})
    clock.advance(1000 * 24 * 3600)
    assert (await bob.get(target(link["resource_link"]))).body == DATA
    renewed(bob, cluster)
    (message,) = (await bob.get(f"{TEXT}/rooms/den/messages")).json
    assert (await bob.get(target(message["attachment"]["resource_link"]))).body == DATA


async def test_a_cache_keeps_nothing_beyond_the_signature(bob: Client, cluster: Cluster, clock: ShiftedClock) -> None:
    """The gateway's clock stays where it is: for it the signature is about to end from the start."""
    clock.advance(-24 * 3600 + 60)
    renewed(bob, cluster)
    reservation = await reserved(bob)
    await bob.put(target(reservation["upload_url"]), DATA)
    path = f"{CHATKIT}/rooms/den/attachments/{reservation['attachment_id']}"
    url = target((await bob.get(path)).json["download_url"])
    cache_control, _, seconds = (await bob.get(url)).headers["cache-control"].partition("=")
    assert cache_control == "private, max-age"
    assert 0 <= int(seconds) <= 60
