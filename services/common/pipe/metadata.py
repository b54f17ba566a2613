"""Metadata on its way through the pipe: the rules of gRPC, kept without HTTP/2."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import grpc
from roomline.v1.pipe_service_pb2 import PipeMetadata

Packed = Sequence[tuple[str, bytes]]
"""Metadata as it is sent."""

_PRINTABLE = bytes(range(ord(" "), ord("~") + 1))
_KEY = re.compile(r"[0-9a-z_.-]+")


class Metadatum(NamedTuple):
    """One entry of a handler's `invocation_metadata()`."""

    key: str
    value: str | bytes


@lru_cache(maxsize=1024)
def _is_binary(key: str) -> bool:
    """Whether the key's values are bytes. Raises grpc.aio.InternalError if no metadata may have this key."""
    if not _KEY.fullmatch(key):
        raise grpc.aio.InternalError(f"Illegal metadata key {key!r}")
    return key.endswith("-bin")


def pack(metadata: Iterable[tuple[str, str | bytes]]) -> Packed:
    """The metadata as it is sent.

    Raises TypeError for values of a wrong type and grpc.aio.InternalError for keys or values that gRPC does not allow.
    """
    packed = []
    for key, value in metadata:
        if not isinstance(key, str):
            raise TypeError(f"Expected str, not {type(key)}")
        if _is_binary(key):
            if not isinstance(value, bytes):
                raise TypeError(f"Binary metadata key={key!r} expected bytes, got {type(value)}")
            packed.append((key, value))
            continue
        if isinstance(value, str):
            value = value.encode()  # noqa: PLW2901 - gRPC takes either for text
        elif not isinstance(value, bytes):
            raise TypeError(f"Expected str, not {type(value)}")
        if value.translate(None, _PRINTABLE):
            raise grpc.aio.InternalError(f"Illegal value of metadata {key!r}")
        packed.append((key, value))
    return packed


def unpack(metadata: Iterable[PipeMetadata], user_agent: tuple[Metadatum, ...] | None = None) -> tuple[Metadatum, ...]:
    """The metadata as a handler or caller sees it; a user agent that is given stands before it, for any in it.

    Raises grpc.aio.InternalError if it holds what HTTP/2 would not have let through, such as a line break.
    """
    entries = [] if user_agent is None else [*user_agent]
    new = tuple.__new__  # half the cost of the class's own constructor, for every entry of every call
    for item in metadata:
        key, value = item.key, item.value
        if _is_binary(key):
            entries.append(new(Metadatum, (key, value)))
        elif value.translate(None, _PRINTABLE):
            raise grpc.aio.InternalError(f"Illegal value of metadata {key!r}")
        elif key != "user-agent" or user_agent is None:
            entries.append(new(Metadatum, (key, value.decode("ascii"))))
    return tuple(entries)
