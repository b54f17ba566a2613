"""Texts among the parts of a message."""

from collections.abc import Iterable

from roomline.v1.message_pb2 import Part

TEXT_TYPE = "text/plain"


def is_text(part: Part) -> bool:
    """Whether a part is a text that stands in the message itself; its type may have parameters."""
    return part.WhichOneof("body") == "content" and part.type.partition(";")[0].strip().lower() == TEXT_TYPE


def first_text(parts: Iterable[Part]) -> str:
    """The first text in a message; empty if there is none."""
    return next((part.content for part in parts if is_text(part)), "")
