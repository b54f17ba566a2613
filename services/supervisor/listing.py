"""Instances as the command prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from roomline.v1.instance_pb2 import Instance


def as_json(instances: Sequence[Instance]) -> str:
    """For scripts. Limits that an instance does not set are the server's own, and are left out."""
    return json.dumps([_instance_json(one) for one in instances], indent=2)


def table(instances: Sequence[Instance]) -> str:
    """For people: one line each, with the switches that are on and the limits that are set."""
    rows = [("LOCATOR", "CREATED", "FLAGS", "LIMITS")]
    for one in instances:
        created = one.created_at.ToDatetime().isoformat(" ", "seconds")
        limits = ", ".join(f"{name}={value}" for name, value in _set(one.limits).items())
        rows.append((one.locator, created, ", ".join(_set(one.flags)) or "-", limits or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows)


def _instance_json(instance: Instance) -> dict[str, object]:
    return {
        "id": instance.id,
        "locator": instance.locator,
        "test_token_provider": instance.flags.test_token_provider,
        "allow_reset": instance.flags.allow_reset,
        "limits": _set(instance.limits),
        "created_at": instance.created_at.ToJsonString(),
    }


def _set(message: Message) -> dict[str, object]:
    return {field.name: value for field, value in message.ListFields()}
