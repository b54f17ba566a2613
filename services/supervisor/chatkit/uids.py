"""The `uid`s of what Chatkit exported: the same ones in every import, so that a second import changes nothing."""

from __future__ import annotations

import hashlib

import orjson

_MILLISECONDS = (1 << 48) - 1


def uid(created_at: int, kind: str, *ids: str | int) -> str:
    """A UUIDv7 whose time is `created_at`, in microseconds, and whose other bits follow from kind and ids."""
    digest = hashlib.sha256(orjson.dumps([kind, *ids])).digest()
    random = int.from_bytes(digest[:10])
    stamp = min(max(created_at // 1000, 0), _MILLISECONDS)
    number = stamp << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
