"""Types are found in the bytes, whatever the name says."""

import io
import struct
import time
import wave
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from services.media.types import HEAD_BYTES, UNKNOWN, detect

SHOWN_BY_BROWSERS = {
    "image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4", "video/webm", "audio/ogg", "video/ogg",
    "application/pdf",
}  # fmt: skip
MARKUP = {"text/html", "image/svg+xml", "application/xml", "application/xhtml+xml"}
NAMES = [
    "",
    "x",
    "x.png",
    "x.svg",
    "x.html",
    "X.DOCX",
    "x.csv",
    "x.json",
    "../../x",
    "\0",
    "\ud800.md",
    ".",
    "x." * 2000,
]


def picture(format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(out, format_, **options)
    return out.getvalue()


def archive(*files: tuple[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for name, content in files:
            written.writestr(name, content)
    return out.getvalue()


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(bytes(100))
    return out.getvalue()


def mp4(brand: bytes, *others: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(others)) + b"ftyp" + brand + bytes(4) + b"".join(others) + bytes(100)


FILES = [
    (picture("PNG"), "image/png"),
    (picture("JPEG"), "image/jpeg"),
    (picture("GIF"), "image/gif"),
    (picture("WEBP"), "image/webp"),
    (picture("WEBP", lossless=True), "image/webp"),
    (picture("AVIF"), "image/avif"),
    (picture("BMP"), "image/bmp"),
    (picture("TIFF"), "image/tiff"),
    (mp4(b"heic", b"mif1"), "image/heic"),
    (mp4(b"mif1", b"mif1", b"heic"), "image/heic"),
    (mp4(b"mif1", b"mif1", b"avif"), "image/avif"),
    (mp4(b"mif1"), "image/heif"),
    (mp4(b"isom", b"avc1"), "video/mp4"),
    (mp4(b"iso6"), "video/mp4"),
    (mp4(b"qt  "), "video/quicktime"),
    (mp4(b"M4A "), "audio/mp4"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + bytes(50), "video/webm"),
    (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska" + bytes(50), "video/x-matroska"),
    (b"OggS\0\x02" + bytes(22) + b"\x01\x13OpusHead", "audio/ogg"),
    (b"OggS\0\x02" + bytes(22) + b"\x01\x2a\x80theora", "video/ogg"),
    (b"ID3\x04\0\0\0\0\0\x10" + bytes(50), "audio/mpeg"),
    (b"\xff\xfb\x90\x64" + bytes(400), "audio/mpeg"),
    (sound(), "audio/wav"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    (archive(("a.txt", "x")), "application/zip"),
    (archive(), "application/zip"),
    (archive(("mimetype", "application/epub+zip")), "application/epub+zip"),
    (archive(("mimetype", "application/vnd.oasis.opendocument.text")), "application/vnd.oasis.opendocument.text"),
    (archive(("mimetype", "text/html")), "application/zip"),
    (b"\x1f\x8b\x08\0" + bytes(20), "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c" + bytes(20), "application/x-7z-compressed"),
    (b"MZ\x90\0\x03" + bytes(100), "application/vnd.microsoft.portable-executable"),
    (b"<!DOCTYPE html><title>x</title>", "text/html"),
    (b" \r\n\t<ScRiPt>alert(1)</sCrIpT>", "text/html"),
    (b"\xef\xbb\xbf<html>", "text/html"),
    ("<html><script>".encode("utf-16"), "text/html"),
    (b"<!-- \x89PNG\r\n\x1a\n --><svg onload='alert(1)'>", "image/svg+xml"),
    (b"<!-- <svg> --><img src=x onerror=alert(1)>", "text/html"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    (b"<s:svg xmlns:s='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    (b"<?xml version='1.0'?>\n<!DOCTYPE svg [<!ENTITY a 'b>'>]>\n<!-- --><svg/>", "image/svg+xml"),
    (b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'/>", "application/xhtml+xml"),
    (b"<?xml version='1.0'?><rss/>", "application/xml"),
    (b"<?xml version='1.0'?><!--" + b"x" * HEAD_BYTES + b"--><svg/>", "application/xml"),
    ("Grüße aus Köln\n".encode(), "text/plain"),
    ("Grüße".encode("utf-16"), "text/plain"),
    (b"", "text/plain"),
    (b"BM, MZ and PK are letters, RIFF and ID3 too", "text/plain"),
    (b"<3 and <john> are not tags", "text/plain"),
    (b"#!/bin/sh\nrm x\n", "text/plain"),
    (("x" * (HEAD_BYTES - 1) + "ü").encode(), "text/plain"),
    ("Grüße".encode("latin-1"), UNKNOWN),
    (b"text with a \0", UNKNOWN),
    (bytes(HEAD_BYTES), UNKNOWN),
]


@pytest.mark.parametrize(("data", "expected"), FILES, ids=lambda value: value if isinstance(value, str) else "")
def test_types_are_found_in_the_bytes(data: bytes, expected: str) -> None:
    assert detect(data, "x") == expected
    assert detect(data[:HEAD_BYTES], "x") == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_name_never_makes_markup_or_hides_it(name: str) -> None:
    for data, expected in FILES:
        found = detect(data, name)
        for kind in (MARKUP, SHOWN_BY_BROWSERS):
            assert (found in kind) == (expected in kind)
        if expected in MARKUP | SHOWN_BY_BROWSERS:
            assert found == expected


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"a,b\n1,2\n", "x.csv", "text/csv"),
        (b'{"a": 1}', "x.JSON", "application/json"),
        (b"# x", "readme.md", "text/markdown"),
        (b"alert(1)", "x.js", "text/plain"),
        (b"x", "x.html", "text/plain"),
        (archive(("word/document.xml", "x")), "a.b.docx",
         "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "x.doc", "application/msword"),
        (picture("PNG"), "x.docx", "image/png"),
    ],
)  # fmt: skip
def test_a_name_tells_harmless_types_apart(data: bytes, name: str, expected: str) -> None:
    assert detect(data, name) == expected


BEGINNINGS = [data[:length] for data, _ in FILES for length in (3, 8, 20, 60)]


@given(
    st.sampled_from([b"", *BEGINNINGS]),
    st.binary(max_size=200),
    st.one_of(st.text(max_size=10), st.sampled_from(NAMES)),
)
def test_anything_has_a_type(beginning: bytes, rest: bytes, name: str) -> None:
    assert detect(beginning + rest, name).count("/") == 1


@pytest.mark.parametrize(
    "piece", [b"<!--", b"<?", b"<!---->", b"<!doctype[", b"<", b"<a:", b"OggS\0\x80theor", b"\x1aE\xdf\xa3", b" "]
)
def test_looking_takes_no_longer_for_nasty_files(piece: bytes) -> None:
    began = time.process_time()
    for _ in range(10):
        detect(piece * HEAD_BYTES, "x.svg")
    assert time.process_time() - began < 0.1
