"""The chat API's bodies, queries, forms and cookies (spec §1, §4, §6)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat_api import credentials, parse
from gateway.chat_api.errors import FORM, InputError, MediaTypeError
from gateway.chat_api.form import FileHead, Form, clean_name
from gateway.edge import ClientGoneError, EdgeError
from gateway.request import Limits, Request
from services.common.errors import RoomlineError
from tests.gateway.chat_api.conftest import token

CID = str(uuid.UUID(int=1))
MID = str(uuid.UUID(int=2))


async def _nothing() -> Any:
    return {"type": "http.disconnect"}


def request(method: str = "GET", query: bytes = b"", **headers: str) -> Request:
    every = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    made = Request(method, b"/", query, every, _nothing, "", Limits(1000, 1.0), lambda: "an id")
    made.metadata = (("authorization", headers.get("authorization", "")),)
    return made


def test_a_message_of_everything() -> None:
    body = {
        "conversation_id": CID.upper(),
        "content": {"text": "a", "unknown": 1},
        "attachments": [MID, MID.upper()],
        "client_message_id": MID.upper(),
        "expires_in": 5,
        "reply_to": MID,
        "unknown": {},
    }
    assert parse.new_message(body, "a key") == (CID, "a", [MID], MID, None, Duration(seconds=5), MID)


@given(st.text(max_size=300))
def test_any_key_in_the_header(key: str) -> None:
    body = {"conversation_id": CID, "content": {"text": "a"}}
    if len(key) > parse.MAX_KEY:
        with pytest.raises(InputError):
            parse.new_message(body, key)
    else:
        assert parse.new_message(body, key).key == key.strip().strip('"')


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)
FIELDS = ("conversation_id", "content", "attachments", "client_message_id", "expires_in", "expires_at", "reply_to")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_nothing_in_a_body_is_a_mistake_of_ours(body: dict[str, Any]) -> None:
    for parser in (lambda data: parse.new_message(data, ""), parse.edit, parse.users, parse.profile):
        with suppress(InputError):
            parser({"conversation_id": CID, "content": {"text": "a"}, **body})


@given(st.text(max_size=20), st.text(max_size=20))
def test_request_ids_do_not_run_together(one: str, other: str) -> None:
    ids = {parse.request_id(one, other), parse.request_id(one + other), parse.request_id(one, other, "")}
    assert len(ids) == 3
    assert all(len(made) <= 128 for made in ids)
    assert parse.request_id(one, other) in ids


@pytest.mark.parametrize("value", ["", "x", "0" * 32, CID + " ", "{" + CID + "}", "urn:uuid:" + CID, CID + "\n"])
def test_what_is_no_id(value: str) -> None:
    with pytest.raises(InputError, match="Json deserialize error: "):
        parse.conversation({"conversation_id": value})


def test_both_names_of_a_conversation() -> None:
    assert parse.conversation({"cid": CID}) == parse.conversation({"conversation_id": CID}) == CID


def test_limits() -> None:
    assert parse.limit(request()) == 200
    assert parse.limit(request(query=b"limit=5")) == 5
    assert parse.limit(request(query=b"limit=1001")) == 1000


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:80", "HTTP://LOCALHOST"])
def test_a_cookie_with_our_own_origin(origin: str) -> None:
    ours = request("POST", cookie="a=b; access_token=x.y.z", host="localhost", origin=origin)
    assert credentials.authorization(ours, changes=False) == "Bearer x.y.z"


@pytest.mark.parametrize(
    "origin", ["", "null", "https://localhost", "http://localhost:8080", "http://a@evil", "http://["]
)
def test_a_cookie_with_another_origin(origin: str) -> None:
    for method, changes in (("POST", False), ("GET", True)):
        foreign = request(method, cookie="access_token=x.y.z", host="localhost", origin=origin)
        assert credentials.authorization(foreign, changes=changes) == ""


@pytest.mark.parametrize("cookie", ["", "access_token", "access_token=", "xaccess_token=y", "access_token2=y"])
def test_no_cookie(cookie: str) -> None:
    assert credentials.authorization(request(cookie=cookie), changes=False) == ""


def test_the_subject_of_a_token() -> None:
    assert credentials.subject(request(authorization=f"Bearer {token(sub='ä/b')}")) == "ä/b"
    for value in ("Bearer x", "", "Bearer a.!.c", "Bearer a.W10.c"):
        with pytest.raises(RoomlineError):
            credentials.subject(request(authorization=value))
    for claims in ({"sub": None}, {"sub": ""}, {"sub": 5}):
        with pytest.raises(RoomlineError):
            credentials.subject(request(authorization=f"Bearer {token(**claims)}"))


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        (b"a b.png", "a b.png"),
        (b"../../x", "x"),
        (b"/etc/passwd", "passwd"),
        (b"a\\b\\c", "c"),
        (b"..", ""),
        (b"a/", ""),
        (b"", ""),
        (b" ", ""),
        (b"\x00a\r\n\x7f.t", "a.t"),
        ("\u202egpj.exe".encode(), "gpj.exe"),
        ("\U0001f468\u200d\U0001f469.png".encode(), "\U0001f468\u200d\U0001f469.png"),
        (b".hidden", ".hidden"),
        (b"\xff.png", "\ufffd.png"),
        ("ä".encode() * 200 + b".png", "ä" * 125 + ".png"),
        (b"x" * 300, "x" * 255),
    ],
)
def test_names_of_files(given_name: bytes, name: str) -> None:
    assert clean_name(given_name) == name


@given(st.binary(max_size=600))
def test_any_name_fits(given_name: bytes) -> None:
    assert len(clean_name(given_name).encode()) <= 255


BODY_OF_TWO = (
    b"--b\r\n"
    b'Content-Disposition: form-data; name="x"; filename="one"\r\nContent-Type: a/b\r\n\r\n1\r\n--bc\r\n--b\r\n'
    b'content-disposition: form-data; name="caption"\r\n\r\nsecond\r\n--b\r\n'
    b'Content-Disposition: form-data; name="other"\r\n\r\nignored\r\n--b\r\n'
    b'Content-Disposition: form-data; name="file"\r\n\r\n\r\n--b--\r\nepilogue'
)
FILES = [(FileHead("one", "a/b", None), b"1\r\n--bc"), (FileHead("", "", "second"), b"")]


async def read(body: bytes, step: int, content_type: str = "multipart/form-data; boundary=b") -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), step):
            yield body[start : start + step]

    form = Form(content_type, pieces())
    return [(head, b"".join([chunk async for chunk in form.chunks()])) async for head in form.files()]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
async def test_a_form_in_any_pieces(step: int) -> None:
    assert await read(BODY_OF_TWO, step) == FILES


@pytest.mark.parametrize("length", range(0, BODY_OF_TWO.index(b"--b--") + 4, 5))
async def test_a_form_that_breaks_off(length: int) -> None:
    with pytest.raises(EdgeError):
        await read(BODY_OF_TWO[:length], 50)


async def test_a_name_of_any_length_is_cut() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
        + b"x" * 15_000
        + b'.png"\r\n\r\n1\r\n--b--\r\n'
    )
    assert await read(body, 1000) == [(FileHead("x" * 251 + ".png", "", None), b"1")]


async def test_a_file_that_nobody_reads_is_passed_over() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY_OF_TWO

    assert [head async for head in Form("multipart/form-data; boundary=b", pieces()).files()] == [
        one for one, _ in FILES
    ]


async def test_a_client_that_leaves() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY_OF_TWO[:100]
        raise ClientGoneError

    with pytest.raises(ClientGoneError):
        [head async for head in Form("multipart/form-data; boundary=b", pieces()).files()]


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/mixed; boundary=b", "x" * 2000])
async def test_what_is_no_form(content_type: str) -> None:
    with pytest.raises(MediaTypeError):
        await read(BODY_OF_TWO, 50, content_type)


@pytest.mark.parametrize("caption", [b"x" * 5000, b"\xff" * 4000], ids=["as sent", "as shown"])
async def test_a_caption_has_an_end(caption: bytes) -> None:
    file = b'Content-Disposition: form-data; name="file"\r\n\r\n'
    body = b'--b\r\nContent-Disposition: form-data; name="caption"\r\n\r\n' + caption + b"\r\n--b\r\n" + file
    with pytest.raises(InputError, match=FORM):
        await read(body + b"\r\n--b--", 50)
