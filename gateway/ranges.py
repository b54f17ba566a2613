"""Which bytes of a file a request asks for (RFC 9110 §13, §14). Pure functions, in linear time."""

import re
from typing import NamedTuple

_SINGLE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ETAG = re.compile(r"[\x21\x23-\x7e]+")

_BEYOND = 10**18
"""Further than any file reaches; longer numbers are not even parsed."""


class Conditions(NamedTuple):
    """The headers of a request that choose bytes; empty if absent."""

    range: str = ""
    if_range: str = ""
    if_none_match: str = ""


class Selection(NamedTuple):
    """What to answer with, and with which bytes."""

    status: int
    """200 for the whole file, 206 for a range of it, 304 if the client has it, 416 for a range beyond its end."""
    offset: int
    length: int


def select(conditions: Conditions, etag: str, size: int) -> Selection:
    """What the client gets of a file with this entity tag (with its quotes, or empty) and size."""
    if _is_known(conditions.if_none_match, etag):
        return Selection(304, 0, 0)
    whole = Selection(200, 0, size)
    wanted = _parsed(conditions.range)
    if wanted is None or (conditions.if_range and not _is_same(conditions.if_range, etag)):
        return whole
    if size == 0:
        return whole  # an empty file has no range; who asks for one wants all there is
    first, last = wanted
    if first is None:
        offset, length = max(size - last, 0), min(last, size)
    else:
        offset, length = first, min(last, size - 1) - first + 1
    return Selection(206, offset, length) if length > 0 else Selection(416, 0, 0)


def content_range(selection: Selection, size: int) -> str:
    """The `Content-Range` of a 206."""
    return f"bytes {selection.offset}-{selection.offset + selection.length - 1}/{size}"


def strong_etag(text: str) -> str:
    """An entity tag of a text that changes with the bytes; empty if the text cannot be one."""
    return f'"{text}"' if _ETAG.fullmatch(text) else ""


def known_tags(if_none_match: str) -> list[str]:
    """The texts of the entity tags that a client has."""
    return [tag.strip('"') for tag in _TAG.findall(if_none_match)]


def _parsed(header: str) -> tuple[int | None, int] | None:
    """First and last byte; without a first one, how many from the end.

    None for no range, several, another unit or nonsense: then the whole file is the answer. One range is all that
    players and interrupted downloads need, and an answer with many costs more than it gives (CVE-2025-62727).
    """
    match = _SINGLE.fullmatch(header)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return (None, _number(last)) if last else None
    ends = _number(first), _number(last) if last else _BEYOND
    return ends if ends[0] <= ends[1] else None


def _number(digits: str) -> int:
    digits = digits.lstrip("0") or "0"
    return _BEYOND if len(digits) > 18 else int(digits)


def _is_known(if_none_match: str, etag: str) -> bool:
    """Whether the client has these bytes, compared weakly."""
    return bool(etag) and (if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match))


def _is_same(if_range: str, etag: str) -> bool:
    """Whether a range goes with what the client has, compared strongly. A date never does: no answer has one."""
    return bool(etag) and if_range.strip() == etag
