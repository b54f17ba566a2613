"""Taking over an instance, against a user service in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from roomline.v1.instance_pb2 import Instance, InstanceFlags

from services.common.settings import Settings
from services.supervisor.command_error import CommandError
from services.supervisor.identity import Identity
from services.supervisor.instances import DEV_FLAGS, NO_FLAGS, Instances, connected
from services.user.server import build_server

SERVICE_SECRET = "s" * 64
OPERATOR_SECRET = "o" * 64
IDENTITY = Identity("v1:local:mine", "key:secret")


@pytest.fixture
async def instances(tmp_path: Path) -> AsyncIterator[Instances]:
    settings = Settings(
        data_dir=tmp_path,
        service_secret=SecretStr(SERVICE_SECRET),
        operator_secret=SecretStr(OPERATOR_SECRET),
        shutdown_grace_seconds=0,
    )
    server = build_server(settings)
    await server.start("127.0.0.1:0")
    async with connected(f"127.0.0.1:{server.port}", OPERATOR_SECRET) as connection:
        yield connection
    await server.stop()


async def take(instances: Instances, identity: Identity, flags: InstanceFlags = NO_FLAGS) -> Identity:
    return await instances.take(identity, flags, SERVICE_SECRET)


async def test_a_new_instance_is_made(instances: Instances) -> None:
    assert await take(instances, IDENTITY, DEV_FLAGS) == IDENTITY
    (made,) = await instances.all()
    assert (made.id, made.flags) == ("mine", DEV_FLAGS)


async def test_taking_twice_changes_the_flags_only(instances: Instances) -> None:
    await take(instances, IDENTITY, DEV_FLAGS)
    assert await take(instances, IDENTITY) == IDENTITY
    (made,) = await instances.all()
    assert made.flags == NO_FLAGS


async def test_a_key_is_added_to_a_known_instance(instances: Instances) -> None:
    created = await instances.create(Instance(id="mine"), None)
    assert await take(instances, IDENTITY) == IDENTITY
    assert await take(instances, created) == created


async def test_a_key_with_another_secret_is_refused(instances: Instances) -> None:
    await take(instances, IDENTITY)
    with pytest.raises(CommandError, match="key key of v1:local:mine has another secret") as refused:
        await take(instances, Identity(IDENTITY.locator, "key:guess"))
    assert "guess" not in str(refused.value)


async def test_a_key_that_was_ended_is_refused_or_replaced(instances: Instances) -> None:
    await take(instances, IDENTITY)
    await instances.rotate_key("mine", 0)
    with pytest.raises(CommandError, match="already exists"):
        await take(instances, IDENTITY)
    replaced = await instances.take(IDENTITY, NO_FLAGS, SERVICE_SECRET, replace_key=True)
    assert replaced.locator == IDENTITY.locator
    assert replaced.key != IDENTITY.key
    assert await take(instances, replaced) == replaced


async def test_flags_are_dropped_if_the_instance_is_still_there(instances: Instances) -> None:
    await take(instances, IDENTITY, DEV_FLAGS)
    await instances.drop_flags("mine")
    await instances.drop_flags("gone")
    (made,) = await instances.all()
    assert made.flags == NO_FLAGS


async def test_a_service_that_is_away_is_told() -> None:
    async with connected("127.0.0.1:1", OPERATOR_SECRET) as away:
        with pytest.raises(CommandError, match="the user service does not answer: unavailable"):
            await away.all()
