"""Files in forms, whatever pieces they arrive in (RFC 7578; faults #16)."""

import time
from collections.abc import AsyncIterator

import pytest

from gateway.edge import EdgeError, EdgeReason
from gateway.form_reader import MAX_REST_BYTES
from gateway.multipart import MAX_PARTS, FormFile
from services.common.errors import RoomlineError

TYPE = "multipart/form-data; boundary=b"
DATA = b"\r\n--c\r\n--\x00\xff--b--\n--b\r\r\n-" * 7
"""Almost a boundary."""


def part(data: bytes = DATA, name: str = "file", content_type: str = "image/gif") -> bytes:
    lines = f'Content-Disposition: form-data; name="{name}"; filename="x;y.gif"\r\n'
    if content_type:
        lines += f"Content-Type: {content_type}\r\n"
    return b"--b\r\n" + lines.encode() + b"\r\n" + data + b"\r\n"


END = b"--b--\r\n"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 65536, content_type: str = TYPE) -> tuple[str, bytes]:
    file = await FormFile.open(content_type, pieces(body, size), "file")
    return file.content_type, b"".join([chunk async for chunk in file.chunks()])


async def refused(body: bytes, size: int = 65536, content_type: str = TYPE) -> EdgeReason:
    with pytest.raises(EdgeError) as refusal:
        await read(body, size, content_type)
    return refusal.value.reason


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65536])
async def test_a_file_arrives_in_any_pieces(size: int) -> None:
    assert await read(part() + END, size) == ("image/gif", DATA)


@pytest.mark.parametrize("size", [1, 5, 65536])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"\r\n", b"the end"),
        (part(b"x", "other"), part(b"y", "more")),
        (part(b"", "files"), part(b"not this one")),
    ],
)
async def test_other_parts_are_passed_over(before: bytes, after: bytes, size: int) -> None:
    tail = after + END if after.startswith(b"--b") else END + after
    assert await read(before + part(b"this") + tail, size) == ("image/gif", b"this")


async def test_an_empty_file_and_one_without_a_type() -> None:
    assert await read(part(b"", content_type="") + END) == ("", b"")


async def test_headers_in_any_case_and_order() -> None:
    head = b"--b\r\ncontent-TYPE:image/jif\r\nX: y\r\nCONTENT-disposition: form-data;  name=file\r\n\r\n"
    assert await read(head + b"x\r\n" + END) == ("image/jif", b"x")


@pytest.mark.parametrize("boundary", ["b", '"b"', "b; charset=utf-8", "b;x=y"])
async def test_a_boundary_may_be_quoted(boundary: str) -> None:
    assert await read(part(b"x") + END, content_type=f"Multipart/Form-Data;boundary={boundary}") == ("image/gif", b"x")


@pytest.mark.parametrize(
    "content_type",
    [
        *(
            "",
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=b",
        ),
        *("multipart/form-data; boundary=" + "b" * 300, "multipart/form-data; " + "x;" * 1000 + "boundary=b"),
    ],
)
async def test_what_is_no_form(content_type: str) -> None:
    assert await refused(part() + END, content_type=content_type) is EdgeReason.FORM_MALFORMED


@pytest.mark.parametrize("size", [1, 65536])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        b"nonsense",
        b"--c\r\n",
        b"--b\r\nno colon\r\n\r\n",
        b"--b\r\n: no name\r\n\r\n",
        part()[:-2],
        part() + b"--",
        part() + b"--b",
        part() + b"--b\r\nX",
    ],
)
async def test_a_form_that_breaks_off_is_no_form(body: bytes, size: int) -> None:
    assert await refused(body, size) is EdgeReason.FORM_MALFORMED


async def test_a_form_without_a_file() -> None:
    with pytest.raises(RoomlineError, match="`file` is required"):
        await read(part(name="files") + END)
    with pytest.raises(RoomlineError, match="`file` is required"):
        await read(b"--b--\r\n")


@pytest.mark.parametrize("size", [1000, 65536, 300_000])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\r\n" + b"x" * 5_000_000, id="a preamble without end"),
        pytest.param(b"\r\n" * 2_500_000, id="empty lines without end"),
        pytest.param(b"--b\r\n\r\n\r\n" * 100_000, id="100,000 tiny parts"),
        pytest.param(part(b"x" * 5_000_000, "other") + part() + END, id="a large field before"),
        pytest.param(part(b"x") + part(b"x" * 5_000_000, "other") + END, id="a large field after"),
        pytest.param(part(b"x") + b"--b\r\n\r\n\r\n" * 100_000, id="tiny parts after"),
        pytest.param(part(b"x") + END + b"x" * 5_000_000, id="an epilogue without end"),
    ],
)
async def test_little_is_read_besides_the_file(body: bytes, size: int) -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        async for piece in pieces(body, size):
            taken += len(piece)
            yield piece

    started = time.process_time()
    with pytest.raises(EdgeError) as refusal:
        async for _ in (await FormFile.open(TYPE, counted(), "file")).chunks():
            pass
    assert refusal.value.reason in {EdgeReason.FORM_TOO_LARGE, EdgeReason.FORM_MALFORMED}
    assert taken <= MAX_REST_BYTES + 2 * size
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "head", [b"X: " + b"y" * 5_000_000, b"X" * 5_000_000, b"X: y\r\n" * 100_000], ids=["value", "name", "count"]
)
async def test_the_head_of_a_part_has_limits(head: bytes) -> None:
    assert await refused(b"--b\r\n" + head) is EdgeReason.FORM_MALFORMED


async def test_as_many_parts_as_allowed() -> None:
    assert (await read(part(b"x", "other") * (MAX_PARTS - 1) + part(b"y") + END))[1] == b"y"
    assert await refused(part(b"x", "other") * MAX_PARTS + part(b"y") + END) is EdgeReason.FORM_TOO_LARGE


async def test_a_large_file_passes_through() -> None:
    data = bytes(range(256)) * 20_000
    assert await read(part(data) + END, 65536) == ("image/gif", data)


async def test_a_file_is_read_once() -> None:
    file = await FormFile.open(TYPE, pieces(part(b"x") + END, 10), "file")
    assert [chunk async for chunk in file.chunks()] == [b"x"]
    with pytest.raises(RuntimeError):
        async for _ in file.chunks():
            pass
