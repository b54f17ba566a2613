"""What all tests have in common."""

import asyncio
import functools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from yoyo import migrations

from tests.support import databases
from tests.support.server import Running, running_server

# The tests start hundreds of processes. Where the environment keeps Python from storing byte code, as images for
# containers do, every one of them would compile all that it imports, and pytest would rewrite every test in each run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

THOROUGH = {Path(__file__).parent / "faults", Path(__file__).parent / "deploy"}

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out of the everyday run what takes long; with REQUIRE_ALL=1 nothing is left out.

    That is slow tests, which say so, and, unless nothing else is asked for, thorough ones and whole folders (THOROUGH).
    """
    if os.environ.get("REQUIRE_ALL") == "1":
        return
    left = [item for item in items if item.get_closest_marker("thorough") or THOROUGH & {*item.path.parents}]
    if 0 < len(left) < len(items):
        config.hook.pytest_deselected(items=left)
        gone = set(left)
        items[:] = [item for item in items if item not in gone]
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with REQUIRE_ALL=1"))


@pytest.fixture(scope="session")
def dev_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A `roomline up --dev` for all tests that only use one: five processes take seconds to start.

    Its development instance may be wiped by any of them; nobody stops it or kills its processes.
    """
    with running_server(tmp_path_factory.mktemp("dev")) as running:
        yield running


class _Asyncio:
    """The module, for a server that polls, and so takes 0.2 s to stop: with shorter polls."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@pytest.fixture(scope="session", autouse=True)
def _haste() -> Iterator[None]:
    """Makes cheap what hundreds of tests do: to make a database, and to stop a gateway inside of this process."""
    split = functools.cache(migrations.sqlparse.split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations.sqlparse, "split", lambda sql: [*split(sql)])  # its caller changes the list
        patch.setattr("uvicorn.server.asyncio", _Asyncio())
        patch.setattr("services.common.service.migrate", databases.migrate)
        yield
