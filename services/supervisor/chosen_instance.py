"""The instance that a command works on, in the server that runs on the data folder."""

from __future__ import annotations

from collections.abc import Collection

from services.common.settings import Settings
from services.supervisor.command_error import CommandError
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import Run, Secrets
from services.supervisor.identity import instance_id_of
from services.supervisor.instances import connected
from services.supervisor.running import running


def require_server(settings: Settings) -> tuple[DataFolder, Run]:
    """The data folder, and where the server listens that runs on it. Raises CommandError if none does."""
    folder = DataFolder(settings.data_dir)
    run = running(folder)
    if run is None:
        raise CommandError(f"no server runs on {folder.path}: start it with `roomline up`, or name its --data-dir")
    return folder, run


async def chosen_instance(settings: Settings, name: str | None) -> str:
    """The id of the instance that is named by id or locator; without a name the only one, or that of development mode.

    Raises CommandError if there is none, or no server.
    """
    folder, run = require_server(settings)
    async with connected(run.grpc["user"], Secrets.of(settings, folder).operator) as instances:
        known = {one.id for one in await instances.all()}
    dev = folder.dev_identity()
    return _chosen(known, name, dev.instance_id if dev else "")


def _chosen(known: Collection[str], name: str | None, dev: str) -> str:
    if name is not None:
        instance_id = instance_id_of(name)
        if instance_id not in known:
            raise CommandError(f"there is no instance {name}")
        return instance_id
    if len(known) == 1:
        return next(iter(known))
    if dev in known:
        return dev
    if not known:
        raise CommandError("there is no instance yet: make one with `roomline instance create`")
    raise CommandError(f"there are {len(known)} instances: name one with --instance")
