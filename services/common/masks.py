"""Update masks (AIP-134)."""

from collections.abc import Collection, Iterator

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.common.rules import invalid

EVERYTHING = "*"
"""The mask of a full replacement."""


def masked_paths(mask: FieldMask, source: Message, allowed: Collection[str]) -> list[str]:
    """The paths to change: those of the mask or, if it is empty, the allowed ones that are set in `source`.

    The mask `*` stands for all of them. Raises FIELD_INVALID for `update_mask` if it names any other path.
    """
    if not mask.paths:
        return list(_populated(source, allowed, ""))
    if list(mask.paths) == [EVERYTHING]:
        return sorted(allowed)
    for path in mask.paths:
        if path not in allowed:
            raise invalid("update_mask", f"may name {', '.join(sorted(allowed))}")
    return list(mask.paths)


def merge(source: Message, target: Message, paths: Collection[str]) -> None:
    """Copies the fields that the paths name; one that is unset in `source` is cleared in `target`."""
    for path in paths:
        *parents, name = path.split(".")
        source_part, target_part = source, target
        for parent in parents:
            source_part, target_part = getattr(source_part, parent), getattr(target_part, parent)
        _copy_field(source_part, target_part, name)


def _copy_field(source: Message, target: Message, name: str) -> None:
    field = source.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        target.ClearField(name)
        getattr(target, name).extend(getattr(source, name))
    elif field.has_presence and not source.HasField(name):
        target.ClearField(name)
    elif field.message_type is not None:
        part = getattr(target, name)
        part.SetInParent()  # so that an empty message counts as set
        part.CopyFrom(getattr(source, name))
    else:
        setattr(target, name, getattr(source, name))


def _populated(source: Message, allowed: Collection[str], prefix: str) -> Iterator[str]:
    for field, value in source.ListFields():
        path = prefix + field.name
        if any(other.startswith(path + ".") for other in allowed):
            yield from _populated(value, allowed, path + ".")
        elif path in allowed:
            yield path
