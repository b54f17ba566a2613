"""What an operator does to instances: through the running server if there is one, otherwise on the data folder."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from roomline.v1.instance_pb2 import Instance, InstanceLimits

from services.common.settings import Settings
from services.common.telemetry import configure_logging
from services.supervisor.command_error import CommandError, UsageError
from services.supervisor.data_folder import POLL_SECONDS, DataFolder, DataFolderBusyError
from services.supervisor.deployment import Secrets
from services.supervisor.doors import leave_to_operator
from services.supervisor.identity import Identity, instance_id_of
from services.supervisor.instances import Instances, connected
from services.supervisor.running import running

T = TypeVar("T")

STARTING_SECONDS = 10.0
"""How long a server that is just starting, or another command, may keep the data folder before it can be asked."""


def administer(settings: Settings, work: Callable[[Instances], Awaitable[T]]) -> T:
    """Runs the work. Raises CommandError if the service refuses, or if neither server nor data folder can be had."""
    # Only what goes wrong: the command's output is its own.
    configure_logging(settings.model_copy(update={"log_level": "warning", "log_format": "console"}), "roomline")

    async def run() -> T:
        async with _instances(settings) as instances:
            return await work(instances)

    return asyncio.run(run())


def rotate_key(settings: Settings, instance: str, grace_seconds: int) -> str:
    """A new key for the instance, which is named by id or locator. Development mode uses it from now on."""
    instance_id = instance_id_of(instance)
    key = administer(settings, lambda instances: instances.rotate_key(instance_id, grace_seconds))
    folder = DataFolder(settings.data_dir)
    dev = folder.dev_identity()
    if dev is not None and dev.instance_id == instance_id:
        folder.remember_dev_identity(Identity(dev.locator, key))
    return key


def update_instance(
    settings: Settings, instance: str, flags: Mapping[str, bool | None], limits: Sequence[str]
) -> Instance:
    """Changes the flags that are not None, and limits such as `message_parts=5`. The answer is the instance.

    Raises UsageError for a limit that does not exist. From now on development mode leaves these flags alone.
    """
    changed = Instance(id=instance_id_of(instance))
    paths = []
    for name, on in flags.items():
        if on is not None:
            setattr(changed.flags, name, on)
            paths.append(f"flags.{name}")
    for text in limits:
        name, _, number = text.partition("=")
        try:
            setattr(changed.limits, name, int(number))
        except (AttributeError, ValueError) as error:
            known = ", ".join(InstanceLimits.DESCRIPTOR.fields_by_name)
            raise UsageError(f"--limit takes NAME=NUMBER, where NAME is one of {known}") from error
        paths.append(f"limits.{name}")
    if not paths:
        raise UsageError("name a switch or a limit to change")
    updated = administer(settings, lambda instances: instances.update(changed, paths))
    leave_to_operator(DataFolder(settings.data_dir), changed.id, {path.removeprefix("flags.") for path in paths})
    return updated


@contextlib.asynccontextmanager
async def _instances(settings: Settings) -> AsyncIterator[Instances]:
    folder = DataFolder(settings.data_dir)
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        async with contextlib.AsyncExitStack() as stack:
            try:
                stack.enter_context(folder.lock())
            except DataFolderBusyError:
                # SQLite has one writer: whoever holds the folder is asked to do it.
                run = running(folder)
                if run is not None:
                    secret = Secrets.of(settings, folder).operator
                    yield await stack.enter_async_context(connected(run.grpc["user"], secret))
                    return
                if time.monotonic() > deadline:
                    raise
            else:
                # Imported only here: it brings a whole user service with it.
                from services.user.offline import open_instances  # noqa: PLC0415

                try:
                    stub, tokens = await stack.enter_async_context(open_instances(settings))
                except RuntimeError as error:
                    raise CommandError(f"cannot open {folder.path}: {error}") from error
                yield Instances(stub, tokens)
                return
        await asyncio.sleep(POLL_SECONDS)
