"""What a message may hold, when sent and when edited (spec §5.3)."""

from collections.abc import Callable

import pytest

from tests.wire import codes
from tests.wire.client import V2, V6, Reply, Server, fresh, inline, link

Submit = Callable[[str, object], Reply]
"""Sends a body, or edits a message with it, in the version given."""

LIMIT = 5120
EMOJI = "\N{GRINNING FACE}"
MISSING = object()


@pytest.fixture(scope="module")
def alice(server: Server) -> str:
    return server.new_user(fresh("alice-"))


@pytest.fixture(scope="module")
def room(server: Server, alice: str) -> str:
    return server.new_room(alice)


@pytest.fixture(scope="module", params=["send", "edit"])
def submit(request: pytest.FixtureRequest, server: Server, alice: str, room: str) -> Submit:
    """Either way, the message is the newest in the room."""
    message = server.send(room, alice, inline("before"))
    path = f"/rooms/{room}/messages"
    if request.param == "send":
        return lambda api, body: server.su(alice).post(path, body, api=api)
    return lambda api, body: server.su(alice).put(f"{path}/{message}", body, api=api)


def newest_parts(server: Server, room: str) -> object:
    return server.su().get(f"/rooms/{room}/messages?limit=1").read()[0]["parts"]


@pytest.mark.parametrize("parts", [None, [], "x", 5, {}, {"0": inline()}, [5], ["x"], [[]], [None]], ids=repr)
def test_parts_are_a_list_of_objects_and_not_empty(submit: Submit, parts: object) -> None:
    submit(V6, {"parts": parts}).fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize("body", [None, {}, {"text": "hello"}])
def test_parts_are_required(submit: Submit, body: object) -> None:
    submit(V6, body).refuses("parts", "required")


def test_a_message_has_at_most_ten_parts(submit: Submit, server: Server, room: str) -> None:
    ten = [inline(str(number)) for number in range(10)]
    assert submit(V6, {"parts": ten}).status in {201, 204}
    assert newest_parts(server, room) == ten
    submit(V6, {"parts": [*ten, inline()]}).fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize("mime", [MISSING, None, "", 5, {}, "text", "text/", "/plain", "a/b/c", "text plain"])
def test_a_type_is_a_mime_type(submit: Submit, mime: object) -> None:
    part = {"content": "x"} if mime is MISSING else {"content": "x", "type": mime}
    submit(V6, {"parts": [part]}).fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize("mime", ["text/plain", "text/plain; charset=utf-8", "image/x-pusher-img", "a/b+c"])
def test_a_type_comes_back_as_sent(submit: Submit, server: Server, room: str, mime: str) -> None:
    assert submit(V6, {"parts": [inline("x", mime)]}).status in {201, 204}
    assert newest_parts(server, room) == [inline("x", mime)]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"content": None},
        {"content": None, "url": None, "attachment": None},
        {"content": "x", "url": "https://a.example"},
        {"content": "", "url": "https://a.example"},
        {"content": "x", "attachment": {"id": "x"}},
        {"url": "https://a.example", "attachment": {"id": "x"}},
    ],
    ids=repr,
)
def test_a_part_has_exactly_one_payload(submit: Submit, payload: dict[str, object]) -> None:
    submit(V6, {"parts": [{"type": "text/plain", **payload}]}).fails(422, codes.VALIDATION_FAILED)


def test_a_payload_of_null_does_not_count(submit: Submit, server: Server, room: str) -> None:
    parts = [{**inline(), "url": None, "attachment": None}, {**link(), "content": None}]
    assert submit(V6, {"parts": parts}).status in {201, 204}
    assert newest_parts(server, room) == [inline(), link()]


@pytest.mark.parametrize("content", [5, 0, True, False, [], {}, ["x"]], ids=repr)
def test_content_is_a_string(submit: Submit, content: object) -> None:
    submit(V6, {"parts": [{"type": "text/plain", "content": content}]}).fails(422, codes.VALIDATION_FAILED)


def test_content_may_be_empty(submit: Submit, server: Server, room: str) -> None:
    assert submit(V6, {"parts": [inline("")]}).status in {201, 204}
    assert newest_parts(server, room) == [inline("")]


def test_content_comes_back_byte_for_byte(submit: Submit, server: Server, room: str) -> None:
    part = inline(f" {EMOJI} e\N{COMBINING ACUTE ACCENT}\r\n\t<b>&amp;\u2028 ")
    assert submit(V6, {"parts": [part]}).status in {201, 204}
    assert newest_parts(server, room) == [part]


@pytest.mark.parametrize("url", [5, [], {}, "", "dog.png", "/pics/dog", "//a.example/dog", "not a url"])
def test_a_url_is_absolute(submit: Submit, url: object) -> None:
    submit(V6, {"parts": [{"type": "image/png", "url": url}]}).fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "vbscript:x"])
def test_a_url_brings_nothing_along(submit: Submit, url: str) -> None:
    submit(V6, {"parts": [{"type": "image/png", "url": url}]}).refuses(r"parts\[0\].url", "invalid")
    body = {"text": "x", "attachment": {"resource_link": url, "type": "image"}}
    assert "resource_link" in submit(V2, body).fails(422, codes.VALIDATION_FAILED)


def test_an_attachment_must_have_been_reserved(submit: Submit) -> None:
    part = {"type": "image/png", "attachment": {"id": "unknown"}}
    submit(V6, {"parts": [part]}).fails(422)


def test_other_keys_of_a_part_are_ignored(submit: Submit, server: Server, room: str) -> None:
    stray = {"name": "n", "file": "f", "customData": {}, "custom_data": 1, "origin": "o", "size": [1]}
    assert submit(V6, {"parts": [{**inline(), **stray}, {**link(), **stray}]}).status in {201, 204}
    assert newest_parts(server, room) == [inline(), link()]


def test_a_refused_part_leaves_the_room_as_it_was(submit: Submit, server: Server, room: str) -> None:
    before = server.su().get(f"/rooms/{room}/messages").read()
    submit(V6, {"parts": [inline(), {"type": "text/plain"}]}).fails(422)
    assert server.su().get(f"/rooms/{room}/messages").read() == before


@pytest.mark.parametrize(
    "contents",
    [["x" * LIMIT], [EMOJI * (LIMIT // 4)], ["x" * (LIMIT - 1), "y"]],
    ids=["ascii", "emoji", "two parts"],
)
def test_the_contents_may_have_5120_bytes(submit: Submit, contents: list[str]) -> None:
    assert submit(V6, {"parts": [inline(content) for content in contents]}).status in {201, 204}


@pytest.mark.parametrize(
    "contents",
    [["x" * (LIMIT + 1)], [EMOJI * (LIMIT // 4) + "x"], ["x" * LIMIT, "y"], [EMOJI * 4096], ["x" * 70_000]],
    ids=["ascii", "emoji", "two parts", "16 KiB", "70,000 bytes"],
)
def test_the_contents_may_not_have_more(submit: Submit, contents: list[str]) -> None:
    body = {"parts": [inline(content) for content in contents]}
    submit(V6, body).fails(422, codes.MESSAGE_TOO_LARGE)


def test_links_do_not_count_as_contents(submit: Submit) -> None:
    body = {"parts": [inline("x" * LIMIT), link("https://a.example/" + "y" * 500)]}
    assert submit(V6, body).status in {201, 204}


def test_a_text_has_the_same_limit(submit: Submit) -> None:
    assert submit(V2, {"text": "x" * LIMIT}).status in {201, 204}
    for text in ("x" * (LIMIT + 1), EMOJI * 4096, "x" * 70_000):
        submit(V2, {"text": text}).fails(422, codes.MESSAGE_TOO_LARGE)


@pytest.mark.parametrize("body", [None, {}, {"text": None}, {"parts": [inline()]}])
def test_a_text_is_required(submit: Submit, body: object) -> None:
    submit(V2, body).refuses("text", "required")


@pytest.mark.parametrize("text", ["", 5, True, [], {}, ["x"]])
def test_a_text_is_a_string_and_not_empty_on_its_own(submit: Submit, text: object) -> None:
    submit(V2, {"text": text}).refuses("text")


def test_a_text_may_be_empty_beside_an_attachment(submit: Submit) -> None:
    attachment = {"resource_link": "https://a.example/a.png", "type": "image"}
    assert submit(V2, {"text": "", "attachment": attachment}).status in {201, 204}


@pytest.mark.parametrize("resource_link", ["", "a.png", "/a.png", "not a url"])
def test_a_bad_resource_link_is_named(submit: Submit, resource_link: str) -> None:
    body = {"text": "x", "attachment": {"resource_link": resource_link, "type": "image"}}
    assert "resource_link" in submit(V2, body).fails(422, codes.VALIDATION_FAILED)


@pytest.mark.parametrize(
    "attachment",
    [
        "x",
        5,
        [],
        {},
        {"type": "image"},
        {"resource_link": None, "type": "image"},
        {"resource_link": 5, "type": "image"},
        {"resource_link": ["https://a.example"], "type": "image"},
    ],
    ids=repr,
)
def test_an_attachment_has_a_resource_link(submit: Submit, attachment: object) -> None:
    submit(V2, {"text": "x", "attachment": attachment}).fails(422, codes.VALIDATION_FAILED)
