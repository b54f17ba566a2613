"""From started to open for clients: readiness, the instance, and the files that tell of them."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import NoReturn

import structlog
from rich.console import Console

from services.supervisor.announcement import announce
from services.supervisor.data_folder import DataFolder
from services.supervisor.deployment import GATEWAY, SERVICES, Listeners, Run, Secrets
from services.supervisor.doors import close_doors, open_doors
from services.supervisor.identity import Identity
from services.supervisor.instances import connected
from services.supervisor.private_file import write_private_file
from services.supervisor.readiness import Probe, grpc_probe, http_probe, wait_as_long_as_it_takes, wait_until_ready
from services.supervisor.supervisor import Supervisor

log = structlog.get_logger()

HEALTH_PATH = "/healthz"


class Opening:
    """Gets everything ready, says so, and keeps the ready file true while children are restarted.

    `dev` is the instance of development mode; `taken` the instance and key that the command line names.
    """

    def __init__(
        self,
        folder: DataFolder,
        listeners: Listeners,
        secrets: Secrets,
        ca: Path | None,
        *,
        dev: Identity | None,
        taken: Identity | None,
        ready_file: Path | None,
    ) -> None:
        self._folder = folder
        self._listeners = listeners
        self._secrets = secrets
        self._dev = dev
        self._taken = taken
        self._ready_file = ready_file
        self._described = Run.of(listeners, ca)

    async def serve(self, supervisor: Supervisor) -> NoReturn:
        """Runs until cancelled. Raises CommandError if something does not get ready."""
        write_private_file(self._folder.service_secret_file, self._secrets.service)
        write_private_file(self._folder.run_file, self._described.to_json())
        ready = [self._ready(supervisor, name) for name in (*SERVICES, GATEWAY)]
        has_instances, *_ = await asyncio.gather(self._prepare_instances(supervisor), *ready)
        announce(Console(), self._described, self._folder.path, self._dev, has_instances=bool(has_instances))
        self._write_ready_file(supervisor)
        while True:
            name = await supervisor.started.get()
            if supervisor.children[name].pid == self._described.pids[name]:
                continue  # its first start
            await wait_as_long_as_it_takes(supervisor.children[name], self._probe(name))
            log.info("child_ready", child=name)
            self._write_ready_file(supervisor)

    async def _ready(self, supervisor: Supervisor, name: str) -> None:
        await wait_until_ready(supervisor.children[name], self._probe(name))

    def _probe(self, name: str) -> Probe:
        if name == GATEWAY:
            return http_probe(self._listeners.http.reached_at, self._listeners.http.port, HEALTH_PATH)
        return grpc_probe(self._listeners.services[name].address)

    async def _prepare_instances(self, supervisor: Supervisor) -> bool:
        """Brings the instance of this start about; whether there is any instance afterwards."""
        await self._ready(supervisor, "user")
        async with connected(self._listeners.services["user"].address, self._secrets.operator) as instances:
            current = self._dev or self._taken
            if current is not None:
                current = await instances.take(current, self._secrets.service, replace_key=self._taken is None)
                self._described = dataclasses.replace(
                    self._described, instance_locator=current.locator, key=current.key
                )
            if current is not None and self._dev is not None:
                await open_doors(self._folder, instances, current.instance_id)
                self._dev = current
                self._folder.remember_dev_identity(current)
            else:
                await close_doors(self._folder, instances)
            return current is not None or bool(await instances.all())

    def _write_ready_file(self, supervisor: Supervisor) -> None:
        pids = {name: child.pid for name, child in supervisor.children.items()}
        self._described = dataclasses.replace(self._described, pids={**self._described.pids, **pids})
        if self._ready_file is not None:
            write_private_file(self._ready_file, self._described.to_json())
