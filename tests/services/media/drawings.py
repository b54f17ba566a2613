"""Files with pictures in them, sound and unsound."""

import io
import struct
import zlib
from collections.abc import AsyncIterator

from PIL import Image


def encoded(picture: Image.Image, format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, rows: int = 0) -> bytes:
    """A gray PNG that says it has this size, and has as many black rows as it is told."""
    pixels = zlib.compress(bytes(width + 1) * rows, 1)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    end = png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *chunks, end))


async def in_chunks(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


GRADIENT = Image.linear_gradient("L").resize((640, 320))
JPEG = encoded(GRADIENT.convert("RGB"), "JPEG")
