"""Messages across dialects (spec §5.5 to §5.7)."""

import pytest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Part

from gateway.chatkit import parse
from gateway.chatkit.dialect import NOT_REPRESENTABLE, Link, downgrade
from gateway.links import Links

DOG = "https://pictures.example/pics/dog"
TEXT = Part(type="text/plain", content="hi")
LINK = Part(type="image/cool", url=DOG)
FILE = Part(
    type="application/json",
    attachment=Attachment(id="1", download_url="https://here.example/1?signed", name="a file.json"),
)


def text_parts(body: parse.Json) -> list[Part]:
    return parse.text_parts(body, Links("https://chat.example", "one"))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([TEXT], ("hi", None)),
        ([Part(type="Text/Plain; charset=utf-8", content="")], ("", None)),
        ([TEXT, LINK], ("hi", Link(DOG, "image", "dog"))),
        ([LINK, TEXT], ("hi", Link(DOG, "image", "dog"))),
        ([TEXT, FILE], ("hi", Link("https://here.example/1?signed", "file", "a file.json"))),
        ([TEXT, TEXT], (NOT_REPRESENTABLE, None)),
        ([LINK], (NOT_REPRESENTABLE, None)),
        ([FILE], (NOT_REPRESENTABLE, None)),
        ([LINK, FILE], (NOT_REPRESENTABLE, None)),
        ([TEXT, LINK, LINK], (NOT_REPRESENTABLE, None)),
        ([TEXT, Part(type="text/html", content="<b>")], (NOT_REPRESENTABLE, None)),
        ([Part(type="text/plain", url=DOG)], (NOT_REPRESENTABLE, None)),
        ([Part(type="text/html", content="<b>")], (NOT_REPRESENTABLE, None)),
        ([], (NOT_REPRESENTABLE, None)),
    ],
)
def test_what_a_text_reader_sees(parts: list[Part], expected: tuple[str, Link | None]) -> None:
    assert downgrade(parts) == expected


@pytest.mark.parametrize(
    ("mime", "expected"),
    [
        ("image/jpeg", "image"),
        ("VIDEO/mp4", "video"),
        ("audio/ogg; codecs=opus", "audio"),
        ("application/pdf", "file"),
        ("file/x-pusher-file", "file"),
    ],
)
def test_the_type_of_a_link(mime: str, expected: str) -> None:
    _, link = downgrade([TEXT, Part(type=mime, url=DOG)])
    assert link is not None
    assert link.type == expected


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://pictures.example/200/300", "300"),
        ("https://pictures.example/pics/dog/", "dog"),
        ("https://pictures.example/a%20dog.png?size=1/2#x/y", "a dog.png"),
        ("https://pictures.example", "pictures.example"),
    ],
)
def test_the_name_of_a_link_is_its_last_segment(url: str, name: str) -> None:
    _, link = downgrade([TEXT, Part(type="image/png", url=url)])
    assert link is not None
    assert link.name == name


@pytest.mark.parametrize(
    ("kind", "mime"),
    [
        ("image", "image/x-pusher-img"),
        ("video", "video/x-pusher-video"),
        ("audio", "audio/x-pusher-audio"),
        ("file", "file/x-pusher-file"),
        ("pamphlet", "file/x-pusher-file"),
        (None, "file/x-pusher-file"),
    ],
)
def test_a_text_message_with_a_link_becomes_two_parts(kind: str | None, mime: str) -> None:
    body = {"text": "hi", "attachment": {"resource_link": DOG, "type": kind, "name": "ignored"}}
    assert text_parts(body) == [TEXT, Part(type=mime, url=DOG)]


@pytest.mark.parametrize("kind", ["image", "video", "audio", "file"])
def test_a_text_message_comes_back_as_sent(kind: str) -> None:
    parts = text_parts({"text": "", "attachment": {"resource_link": DOG, "type": kind}})
    assert downgrade(parts) == ("", Link(DOG, kind, "dog"))


def test_a_text_alone_is_one_part() -> None:
    assert text_parts({"text": "hi", "attachment": None}) == [TEXT]
