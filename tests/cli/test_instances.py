"""Taking over an instance, against a user service in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from roomline.v1.instance_pb2 import Instance, InstanceFlags

from services.common.settings import Settings
from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder
from services.supervisor.doors import close_doors, leave_to_operator, open_doors
from services.supervisor.identity import Identity
from services.supervisor.instances import Instances, connected
from services.user.server import build_server

SERVICE_SECRET = "s" * 64
OPERATOR_SECRET = "o" * 64
IDENTITY = Identity("v1:us1:mine", "key:secret")


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


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


async def take(instances: Instances, identity: Identity) -> Identity:
    return await instances.take(identity, SERVICE_SECRET)


async def flags(instances: Instances, instance_id: str = "mine") -> InstanceFlags:
    return (await instances.get(instance_id)).flags


async def test_a_new_instance_is_made_with_its_cluster(instances: Instances) -> None:
    assert await take(instances, IDENTITY) == IDENTITY
    (made,) = await instances.all()
    assert (made.locator, made.flags) == (IDENTITY.locator, InstanceFlags())


async def test_taking_leaves_the_flags_alone(instances: Instances) -> None:
    await take(instances, IDENTITY)
    await instances.set_flags("mine", {"allow_reset": True})
    assert await take(instances, IDENTITY) == IDENTITY
    assert await flags(instances) == InstanceFlags(allow_reset=True)


async def test_a_key_is_added_to_a_known_instance(instances: Instances) -> None:
    created = await instances.create(Instance(id="mine"), None)
    assert await take(instances, IDENTITY) == IDENTITY
    assert await take(instances, created) == created


async def test_a_key_with_another_secret_is_refused(instances: Instances) -> None:
    await take(instances, IDENTITY)
    with pytest.raises(CommandError, match="key key of v1:us1:mine has another secret") as refused:
        await take(instances, Identity(IDENTITY.locator, "key:guess"))
    assert "guess" not in str(refused.value)


async def test_a_key_that_was_ended_is_refused_or_replaced(instances: Instances) -> None:
    await take(instances, IDENTITY)
    await instances.rotate_key("mine", 0)
    with pytest.raises(CommandError, match="already exists"):
        await take(instances, IDENTITY)
    replaced = await instances.take(IDENTITY, SERVICE_SECRET, replace_key=True)
    assert replaced.locator == IDENTITY.locator
    assert replaced.key != IDENTITY.key
    assert await take(instances, replaced) == replaced


async def test_only_the_doors_that_were_opened_are_closed(instances: Instances, folder: DataFolder) -> None:
    await take(instances, IDENTITY)
    await instances.set_flags("mine", {"allow_reset": True})
    for _ in range(2):
        await open_doors(folder, instances, "mine")
        assert await flags(instances) == InstanceFlags(allow_reset=True, test_token_provider=True)
    for _ in range(2):
        await close_doors(folder, instances)
        assert await flags(instances) == InstanceFlags(allow_reset=True)


async def test_doors_are_of_one_instance_at_a_time(instances: Instances, folder: DataFolder) -> None:
    for name in ("mine", "other"):
        await instances.create(Instance(id=name), None)
        await open_doors(folder, instances, name)
    assert await flags(instances) == InstanceFlags()
    assert await flags(instances, "other") == InstanceFlags(allow_reset=True, test_token_provider=True)
    await close_doors(folder, instances)
    assert await flags(instances, "other") == InstanceFlags()


async def test_what_the_operator_sets_meanwhile_stays(instances: Instances, folder: DataFolder) -> None:
    await take(instances, IDENTITY)
    await open_doors(folder, instances, "mine")
    leave_to_operator(folder, "mine", {"allow_reset"})
    leave_to_operator(folder, "other", {"test_token_provider"})
    await close_doors(folder, instances)
    assert await flags(instances) == InstanceFlags(allow_reset=True)
    await instances.set_flags("mine", {"test_token_provider": True})
    await close_doors(folder, instances)
    assert await flags(instances) == InstanceFlags(allow_reset=True, test_token_provider=True)


@pytest.mark.parametrize("remembered", [None, "damaged", "{}"])
async def test_doors_that_nobody_remembers_are_closed(
    instances: Instances, folder: DataFolder, remembered: str | None
) -> None:
    await take(instances, IDENTITY)
    await open_doors(folder, instances, "mine")
    folder.remember_dev_identity(IDENTITY)
    folder.doors_file.unlink()
    if remembered is not None:
        folder.doors_file.write_text(remembered)
    await close_doors(folder, instances)
    assert await flags(instances) == InstanceFlags()


async def test_an_instance_that_is_gone_has_no_doors(instances: Instances, folder: DataFolder) -> None:
    folder.remember_dev_identity(IDENTITY)
    await close_doors(folder, instances)


async def test_a_service_that_is_away_is_told() -> None:
    async with connected("127.0.0.1:1", OPERATOR_SECRET) as away:
        with pytest.raises(CommandError, match="the user service does not answer: unavailable"):
            await away.all()
