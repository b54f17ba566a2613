"""Media types, found in the bytes: what a file is called or said to be never decides what it is (fault #13).

The order is that of the WHATWG's sniffing standard: markup first, then signatures, then text. What this file does not
know is looked up in puremagic. puremagic alone would not do: it takes no notice of markup behind white space, does not
know the newer brands of MP4, and finds pictures and programs in plain text by two letters.
"""

import codecs
import re

import puremagic

HEAD_BYTES = 4096
"""How much of a file `detect` looks at."""

UNKNOWN = "application/octet-stream"

_TAGS = (
    b"a|abbr|address|applet|area|article|aside|audio|b|base|blink|blockquote|body|br|button|canvas|center|code|details|"
    b"dialog|div|dl|em|embed|fieldset|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|i|iframe|img|input|"
    b"isindex|keygen|label|li|link|main|map|marquee|math|menu|meta|nav|noscript|object|ol|option|p|param|picture|pre|"
    b"script|section|select|slot|small|source|span|strong|style|summary|table|tbody|td|template|textarea|tfoot|th|"
    b"thead|title|tr|track|tt|u|ul|video|xmp"
)
_HTML = re.compile(rb"<(!doctype|!--|(%s)[\s/>])" % _TAGS)
_ELEMENT = re.compile(rb"<(?:[a-z_][\w.-]*:)?([a-z][\w.-]*)")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

_SIGNATURES: list[tuple[re.Pattern[bytes], str]] = [
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF.{4}WEBPVP8[ LX]", "image/webp"),
        (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3}", "image/bmp"),
        (rb"%PDF-", "application/pdf"),
        (rb"\{\\rtf1", "application/rtf"),
        (rb"RIFF.{4}WAVE", "audio/wav"),
        (rb"RIFF.{4}AVI ", "video/x-msvideo"),
        (rb"ID3[\x02-\x04][\x00-\x0f].[\x00-\x7f]{4}", "audio/mpeg"),
        # The head of a frame: of layer III, and with a bit rate that exists.
        (rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", "audio/mpeg"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac"),
        (rb"fLaC\x00", "audio/flac"),
        (rb"OggS\x00.*\x80theora", "video/ogg"),
        (rb"OggS\x00", "audio/ogg"),
        (rb"\x1aE\xdf\xa3.{0,60}webm", "video/webm"),
        (rb"\x1aE\xdf\xa3", "video/x-matroska"),
        (rb"\x1f\x8b\x08", "application/gzip"),
        # An archive of OpenDocument or EPUB begins with its own type, stored as it is.
        (rb"PK\x03\x04.{4}\x00\x00.{16}\x08\x00.{2}mimetype", "mimetype"),
        (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "application/zip"),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    )
]  # fmt: skip

_MP4 = re.compile(rb"\x00.{3}ftyp(.{4})", re.DOTALL)
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"heim": "image/heic",
    b"heis": "image/heic", b"hevc": "image/heic", b"hevx": "image/heic", b"mif1": "image/heif", b"msf1": "image/heif",
    b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"M4P ": "audio/mp4",
}  # fmt: skip

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_STORED_TYPE = re.compile(rb"application/(?:epub\+zip|vnd\.oasis\.opendocument\.[a-z-]{1,40})")
_REFINED = {
    "application/zip": {
        "docx": _OFFICE + "wordprocessingml.document",
        "xlsx": _OFFICE + "spreadsheetml.sheet",
        "pptx": _OFFICE + "presentationml.presentation",
        "odt": _OPEN + "text",
        "ods": _OPEN + "spreadsheet",
        "odp": _OPEN + "presentation",
        "epub": "application/epub+zip",
    },
    "application/x-ole-storage": {
        "doc": "application/msword",
        "xls": "application/vnd.ms-excel",
        "ppt": "application/vnd.ms-powerpoint",
        "msg": "application/vnd.ms-outlook",
    },
    "text/plain": {
        "csv": "text/csv",
        "tsv": "text/tab-separated-values",
        "md": "text/markdown",
        "json": "application/json",
        "ics": "text/calendar",
        "vcf": "text/vcard",
    },
}
"""What a name's ending may say about a type, for types that are as harmless as the one found."""


def detect(head: bytes, name: str) -> str:
    """Returns the media type of a file whose first `HEAD_BYTES` are `head`; for anything unknown `UNKNOWN`.

    Markup (HTML, SVG, XML), which could carry scripts, is never called anything else, whatever the name; a name never
    makes markup of something else. Never raises.
    """
    head = head[:HEAD_BYTES]
    encoding, text = _without_mark(head)
    found = _markup(text) or _signature(head)
    if found is None:
        found = "text/plain" if _is_text(text, encoding, cut=len(head) == HEAD_BYTES) else _looked_up(head)
    return _REFINED.get(found, {}).get(name.rpartition(".")[2].lower(), found)


def _without_mark(head: bytes) -> tuple[str, bytes]:
    """Returns the encoding that a byte order mark names, and the text in UTF-8 without the mark."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            rest = head.removeprefix(mark)
            if encoding == "utf-8":
                return encoding, rest
            return encoding, rest.decode(encoding, "replace").encode("utf-8")
    return "utf-8", head


def _markup(text: bytes) -> str | None:
    """Returns the type of a document whose first element, comment or declaration is one of HTML, SVG or XML."""
    text = text.lstrip(b"\t\n\x0c\r ").lower()
    if not text.startswith(b"<"):
        return None
    root = _ELEMENT.match(_without_prolog(text))
    name = root[1] if root else b""
    if name == b"svg":
        return "image/svg+xml"
    if text.startswith(b"<?xml"):
        return "application/xhtml+xml" if name == b"html" else "application/xml"
    return "text/html" if _HTML.match(text) else None


def _without_prolog(text: bytes) -> bytes:
    """Returns what follows declarations, comments and the document type; nothing if they do not end."""
    while True:
        if text.startswith(b"<?"):
            end = b"?>"
        elif text.startswith(b"<!--"):
            end = b"-->"
        elif text.startswith(b"<!doctype"):
            end = b"]>" if b"[" in text.partition(b">")[0] else b">"
        else:
            return text
        text = text.partition(end)[2].lstrip(b"\t\n\x0c\r ")


def _signature(head: bytes) -> str | None:
    if brand := _MP4.match(head):
        return _of_brand(brand[1], head)
    for pattern, media_type in _SIGNATURES:
        if match := pattern.match(head):
            if media_type != "mimetype":
                return media_type
            stored = _STORED_TYPE.match(head, match.end())
            return stored[0].decode() if stored else "application/zip"
    return None


def _of_brand(brand: bytes, head: bytes) -> str:
    """Returns the type of a file of the MP4 family: a picture by its first brand, or else a film."""
    if brand in {b"mif1", b"msf1"}:  # any picture: what else it claims to be says which
        others = head[16 : int.from_bytes(head[:4])]
        claimed = [_BRANDS.get(others[at : at + 4], "") for at in range(0, len(others), 4)]
        return next((media_type for media_type in claimed if media_type in {"image/avif", "image/heic"}), "image/heif")
    if brand.startswith(b"3g"):
        return "video/3gpp"
    return _BRANDS.get(brand, "video/mp4")


def _is_text(text: bytes, encoding: str, *, cut: bool) -> bool:
    if _CONTROL.search(text):
        return False
    if encoding != "utf-8":
        return True
    try:  # the last character may be cut off
        codecs.getincrementaldecoder("utf-8")().decode(text, final=not cut)
    except UnicodeDecodeError:
        return False
    return True


def _looked_up(head: bytes) -> str:
    """Returns what puremagic finds in bytes that are neither markup nor text nor anything that this file knows."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    for match in matches:
        # Shorter ones are chance; negative offsets are looked for at the end, which a head does not have.
        if len(match.byte_match) >= 4 and match.offset >= 0 and _may_be_looked_up(match.mime_type):
            return str(match.mime_type)
    return UNKNOWN


_LOOKED_UP = re.compile(r"(application|audio|font|image|video)/[a-z0-9][a-z0-9.+-]*")
_DECIDED_ABOVE = re.compile(
    r".*(xml|html|javascript|ecmascript|svg|/json|/pdf|/zip)|image/(png|jpeg|gif|webp|avif)|(audio|video)/(mp4|mpeg|webm|ogg)"
)


def _may_be_looked_up(media_type: str) -> bool:
    """Says whether a type is left to puremagic: those that this file knows better are not taken from there."""
    return _LOOKED_UP.fullmatch(media_type) is not None and _DECIDED_ABOVE.match(media_type) is None
