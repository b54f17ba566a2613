"""Requests may name their room by a `uid`, of the room itself or of a message in it, instead of by `room_id`."""

from functools import cache

from google.protobuf.descriptor import Descriptor

_UID_FIELDS = ("room_uid", "uid")


@cache
def uid_fields(request: Descriptor) -> tuple[str, ...]:
    """The fields of a request type that can stand in for its `room_id`."""
    if "room_id" not in request.fields_by_name:
        return ()
    return tuple(name for name in _UID_FIELDS if name in request.fields_by_name)
