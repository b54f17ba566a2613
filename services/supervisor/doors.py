"""The switches that development mode turns on: open doors, which do not outlast it.

What an operator has turned on stays on, so the data folder remembers which ones it were.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from typing import NamedTuple

from services.supervisor.data_folder import DataFolder
from services.supervisor.instances import InstanceNotFoundError, Instances
from services.supervisor.private_file import read_private_file, write_private_file

DOORS = frozenset({"test_token_provider", "allow_reset"})


class _Opened(NamedTuple):
    instance_id: str
    flags: frozenset[str]


async def open_doors(folder: DataFolder, instances: Instances, instance_id: str) -> None:
    """Turns all of them on for the instance, and those of another one off."""
    before = _opened(folder)
    if before.instance_id != instance_id:
        await close_doors(folder, instances)
        before = _Opened(instance_id, frozenset())
    flags = (await instances.get(instance_id)).flags
    closed = {name for name in DOORS if not getattr(flags, name)}
    _remember(folder, _Opened(instance_id, before.flags | closed))  # first: a start can end at any time
    await instances.set_flags(instance_id, dict.fromkeys(DOORS, True))


async def close_doors(folder: DataFolder, instances: Instances) -> None:
    """Turns off those that earlier starts have turned on."""
    before = _opened(folder)
    if before.flags:
        with contextlib.suppress(InstanceNotFoundError):
            await instances.set_flags(before.instance_id, dict.fromkeys(before.flags, False))
        _remember(folder, _Opened(before.instance_id, frozenset()))


def leave_to_operator(folder: DataFolder, instance_id: str, flags: Collection[str]) -> None:
    """The operator has set these: development mode has no say in them any longer."""
    before = _opened(folder)
    if before.instance_id == instance_id and before.flags.intersection(flags):
        _remember(folder, _Opened(instance_id, before.flags.difference(flags)))


def _opened(folder: DataFolder) -> _Opened:
    text = read_private_file(folder.doors_file)
    if text is not None:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            stored = json.loads(text)
            return _Opened(stored["instance"], DOORS.intersection(stored["flags"]))
    dev = folder.dev_identity()  # whose doors are open for all we know
    return _Opened(dev.instance_id, DOORS) if dev else _Opened("", frozenset())


def _remember(folder: DataFolder, opened: _Opened) -> None:
    write_private_file(
        folder.doors_file, json.dumps({"instance": opened.instance_id, "flags": sorted(opened.flags)}, indent=2)
    )
