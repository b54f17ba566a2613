"""Messages of text (v1, v2) as parts, and messages of parts as text (spec §5.5, §5.6). Pure functions."""

import re
from collections.abc import Sequence
from mimetypes import MimeTypes
from typing import NamedTuple
from urllib.parse import unquote

from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Part

from services.common.text_parts import TEXT_TYPE, is_text

NOT_REPRESENTABLE = (
    "You have received a message which can't be represented in this version of the app. "
    "You will need to upgrade to read it."
)
"""What a v1 or v2 reader gets instead of a message that has no text form. The SDKs' suites compare it exactly."""

PSEUDO_TYPES = {
    "image": "image/x-pusher-img",
    "video": "video/x-pusher-video",
    "audio": "audio/x-pusher-audio",
    "file": "file/x-pusher-file",
}
"""The media type of a part made from a text message's attachment, by the attachment's type."""

TEXT_FIELDS = {
    "parts": "text",
    "parts[0].content": "text",
    "parts[1].url": "attachment.resource_link",
    "parts[1].attachment.id": "attachment.resource_link",
    "attachment.id": "attachment.resource_link",
    "parts[1].type": "attachment.type",
}
"""The fields of `upgrade`'s parts, as the sender of a text message knows them."""

_MEDIA_TYPE = re.compile(r"[^/\s\x00-\x1f\x7f]+/[^/\x00-\x1f\x7f]+")
_TYPES = MimeTypes()
"""Without the machine's own tables: the same everywhere."""


class Link(NamedTuple):
    """The attachment of a text message."""

    url: str
    type: str
    """image, video, audio or file."""
    name: str


def upgrade(text: str, link_url: str | None, link_type: str, attachment_id: str = "") -> list[Part]:
    """The parts of a text message; an unknown type counts as `file`. A link to an attachment of ours becomes that."""
    parts = [Part(type=TEXT_TYPE, content=text)]
    media_type = PSEUDO_TYPES.get(link_type, PSEUDO_TYPES["file"])
    if attachment_id:
        parts.append(Part(type=media_type, attachment=Attachment(id=attachment_id)))
    elif link_url is not None:
        parts.append(Part(type=media_type, url=link_url))
    return parts


def downgrade(parts: Sequence[Part]) -> tuple[str, Link | None]:
    """Text and attachment of a message of parts: one text, alone or with one link or file in either order."""
    if len(parts) == 1 and is_text(parts[0]):
        return parts[0].content, None
    if len(parts) == 2:
        first, second = parts
        if is_text(second):
            first, second = second, first
        link = _link(second)
        if is_text(first) and link is not None:
            return first.content, link
    return NOT_REPRESENTABLE, None


def kind(media_type: str) -> str:
    """What a text message calls a media type: image, video, audio or file."""
    main_type = media_type.partition("/")[0].strip().lower()
    return main_type if main_type in PSEUDO_TYPES else "file"


def file_type(given: str, name: str) -> str:
    """The media type of an uploaded file: as its part of the form has it, else by the extension of its name."""
    if _MEDIA_TYPE.fullmatch(given):
        return given
    # Of the path's last segment only: a name can look like a URL.
    return _TYPES.guess_type("x" + name.rpartition("/")[2], strict=False)[0] or "application/octet-stream"


def _link(part: Part) -> Link | None:
    match part.WhichOneof("body"):
        case "url":
            return Link(part.url, kind(part.type), _last_segment(part.url))
        case "attachment":
            return Link(part.attachment.download_url, kind(part.type), part.attachment.name)
        case _:
            return None


def _last_segment(url: str) -> str:
    """The last segment of the URL's path, decoded; the host if the path is empty."""
    bare = url.partition("#")[0].partition("?")[0]
    return unquote(bare.rstrip("/").rpartition("/")[2])
