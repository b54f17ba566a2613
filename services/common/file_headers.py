"""What a stored file's name and type may say in a header: both were given by whoever uploaded it.

The gateway says it, and an object store to whom it gives a file by itself.
"""

import re
import unicodedata
from urllib.parse import quote

UNKNOWN_TYPE = "application/octet-stream"
MAX_NAME_BYTES = 255
"""What file systems take. A name may have 4 KiB, and S3 takes 2 KiB of headers, in which a byte can take four."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|\"[ !#-\[\]-~]*\"))*")
_SEPARATORS = re.compile(r"[/\\]")
_UNQUOTABLE = re.compile(r'[^ -~]|["%\\]')
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"
"""What may stand in an extended value as it is, beside letters and digits."""
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = "\u200c\u200d"
"""Format characters too, but words and emoji need them."""


def content_type(stored: str) -> str:
    """The stored media type, if it is one; nothing else may get into a header."""
    return stored if len(stored) <= 255 and _TYPE.fullmatch(stored) else UNKNOWN_TYPE


def content_disposition(kind: str, name: str) -> str:
    """`attachment` or `inline` with a file name (RFC 6266), once in ASCII and once as it is (RFC 8187)."""
    clean = _clean(name)
    plain = _UNQUOTABLE.sub("_", clean)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe=_ATTRIBUTE_CHARACTERS)}"


def _clean(name: str) -> str:
    """A name for the client's disk: no folders, no hidden file, and nothing that shows as something else.

    Control and format characters go, such as those that turn the direction of text: `gpj.exe` can look like `exe.jpg`.
    """
    visible = "".join(one for one in name if one in _JOINERS or unicodedata.category(one) not in _HIDDEN)
    return _shortened(_SEPARATORS.sub("_", visible).lstrip(". ").rstrip(". ")) or "file"


def _shortened(name: str) -> str:
    """At most 255 bytes of it, with its extension."""
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    tail = dot + extension if stem and len(extension.encode()) <= 16 else ""
    return name.encode()[: MAX_NAME_BYTES - len(tail.encode())].decode(errors="ignore") + tail
