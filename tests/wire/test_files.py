"""Files of v2 messages (spec §5.6, §5.7, §6.6; faults #12, #16)."""

import time
from urllib.parse import quote

import pytest

from tests.wire import codes
from tests.wire.client import CURSORS, V2, Server, fresh, inline, path_of
from tests.wire.conftest import Target
from tests.wire.files import BOUNDARY, DATA, FILES, at, attach, form, post_file, post_form

PSEUDO_TYPES = {
    "image": "image/x-pusher-img",
    "video": "video/x-pusher-video",
    "audio": "audio/x-pusher-audio",
    "file": "file/x-pusher-file",
}
DELIMITER = f"--{BOUNDARY}\r\n".encode()


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/gif", "image"),
        ("image/jif", "image"),
        ("IMAGE/PNG", "image"),
        ("video/mp4; codecs=x", "video"),
        ("audio/ogg", "audio"),
        ("application/json", "file"),
        ("text/html", "file"),
        ("file/own", "file"),
    ],
)
def test_the_type_is_that_of_the_form(server: Server, alice: str, room: str, mime: str, kind: str) -> None:
    link = post_file(server, room, alice, "x.mp3", DATA, mime)
    assert link["type"] == kind
    assert at(server, link["resource_link"]).headers["Content-Type"] == mime


@pytest.mark.parametrize(
    ("name", "kind"),
    [("x.gif", "image"), ("x.GIF", "image"), ("x.mp4", "video"), ("x.mp3", "audio"), ("x.json", "file"), ("x", "file")],
)
def test_without_a_type_the_name_decides(server: Server, alice: str, room: str, name: str, kind: str) -> None:
    assert post_file(server, room, alice, name)["type"] == kind


@pytest.mark.parametrize(
    "name",
    [
        "x.gif",
        "my file.gif",
        "a/b\\c: what? & #1 %2F;=,+.gif",
        "https://a.example/b.gif?c=d&e#f",
        "\N{GRINNING FACE} e\N{COMBINING ACUTE ACCENT}.gif",
        "../../etc/passwd",
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
        "line\r\nbreak",
        "x" * 1000,
    ],
)
def test_the_name_is_that_of_the_path(server: Server, alice: str, room: str, name: str) -> None:
    link = post_file(server, room, alice, name, DATA, "image/gif")
    found = server.message(room, server.send_text(room, alice, "look", **link), V2)
    assert found["attachment"]["name"] == name
    assert at(server, found["attachment"]["resource_link"]).body == DATA


@pytest.mark.parametrize("name", ["x" * 5000, quote("\N{GRINNING FACE}" * 1250)], ids=["ascii", "emoji"])
def test_a_name_that_is_too_long(server: Server, alice: str, room: str, name: str) -> None:
    path = path_of("rooms", room, "users", alice, "files") + f"/{name}"
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    reply = server.user(alice).call("POST", path, form(DATA, None), FILES, headers)
    assert "`name` is invalid" in reply.fails(422, codes.FILES_VALIDATION_FAILED)


@pytest.mark.parametrize("data", [b"", b"x", DATA, b"\r\n--" * 1000, b"0123456789abcdef" * 200_000], ids=len)
def test_the_bytes_come_back(server: Server, alice: str, room: str, data: bytes) -> None:
    link = post_file(server, room, alice, "x", data)
    assert at(server, link["resource_link"]).body == data


@pytest.mark.parametrize("mime", ["image/gif", "video/mp4", "audio/ogg", "application/json"])
def test_a_file_in_both_dialects(server: Server, alice: str, room: str, mime: str) -> None:
    link = post_file(server, room, alice, "a file.bin", DATA, mime)
    message = server.send_text(room, alice, "look", **link)
    text = server.message(room, message, V2)
    assert text["text"] == "look"
    assert set(text["attachment"]) == {"resource_link", "type", "name"}
    assert (text["attachment"]["type"], text["attachment"]["name"]) == (link["type"], "a file.bin")
    assert at(server, text["attachment"]["resource_link"]).body == DATA
    first, second = server.message(room, message)["parts"]
    assert first == inline("look")
    assert set(second) == {"type", "attachment"}
    assert second["type"] == PSEUDO_TYPES[link["type"]]
    attachment = second["attachment"]
    assert set(attachment) == {"id", "download_url", "refresh_url", "expiration", "name", "size"}
    assert (attachment["name"], attachment["size"]) == ("a file.bin", len(DATA))
    assert at(server, attachment["download_url"]).body == DATA


def test_the_messages_type_may_be_another(server: Server, alice: str, room: str) -> None:
    link = post_file(server, room, alice, "x", DATA, "image/gif")
    message = server.send_text(room, alice, "", resource_link=link["resource_link"], type="hologram", name="mine")
    assert server.message(room, message)["parts"][1]["type"] == PSEUDO_TYPES["file"]
    attachment = server.message(room, message, V2)["attachment"]
    assert (attachment["type"], attachment["name"]) == ("file", "x")


def test_an_edit_to_a_file(server: Server, alice: str, room: str) -> None:
    message = server.send_text(room, alice, "old")
    link = post_file(server, room, alice, "x.gif", DATA, "image/gif")
    path = f"/rooms/{room}/messages/{message}"
    for text in ("new", "newer"):  # the second keeps the file
        server.su(alice).put(path, {"text": text, "attachment": link}, api=V2).done()
    found = server.message(room, message, V2)
    assert found["text"] == "newer"
    assert at(server, found["attachment"]["resource_link"]).body == DATA


def test_a_file_is_in_one_message(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    link = post_file(server, room, alice, "x.gif")
    server.send_text(room, alice, "look", **link)
    for sender, place in ((alice, room), (alice, server.new_room(alice)), (bob, room)):
        path = f"/rooms/{place}/messages"
        reply = server.user(sender).post(path, {"text": "again", "attachment": link}, api=V2)
        assert "resource_link" in reply.fails(422, codes.VALIDATION_FAILED)


def test_a_link_to_an_attachment_of_v3_is_that_attachment(server: Server, alice: str, room: str) -> None:
    reserved = attach(server, room, alice, name="n")
    url = server.user(alice).get(f"/rooms/{room}/attachments/{reserved.id}").read()["download_url"]
    message = server.send_text(room, alice, "look", resource_link=url, type="file")
    assert server.message(room, message)["parts"][1]["attachment"]["id"] == reserved.id


def test_a_link_to_another_server_is_a_link(server: Server, alice: str, room: str) -> None:
    link = post_file(server, room, alice, "x.gif")
    url = link["resource_link"].replace(server.netloc, "elsewhere.example")
    message = server.send_text(room, alice, "look", resource_link=url, type="image")
    assert server.message(room, message)["parts"][1] == {"type": PSEUDO_TYPES["image"], "url": url}


def test_a_file_may_come_by_https_and_its_message_without(
    target: Target, server: Server, alice: str, room: str
) -> None:
    if target.https_url is None or target.https_url == target.url:
        pytest.skip("the server has one listener only")
    with target.connect(target.https_url) as secure:
        link = post_file(secure, room, alice, "x.gif")
        assert link["resource_link"].startswith(f"https://{secure.netloc}/")
        assert at(secure, link["resource_link"]).body == DATA
    message = server.send_text(room, alice, "look", **link)
    assert "attachment" in server.message(room, message)["parts"][1]


def test_who_may_upload(server: Server, alice: str, bob: str) -> None:
    room = server.new_room(alice, bob)
    body = form(DATA, "image/gif")
    post_form(server.nobody, room, alice, "x", body).fails(401, codes.MISSING_TOKEN)
    post_form(server.user(bob), room, alice, "x", body).fails(401, codes.INVALID_SUBJECT)
    post_form(server.user(alice), server.new_room(bob), alice, "x", body).fails(403)
    post_form(server.user(alice), fresh(), alice, "x", body).fails(404, codes.ROOM_NOT_FOUND)
    for caller in (server.su(), server.su(alice), server.su(bob)):
        link = post_form(caller, room, alice, "x", body).json
        server.user(alice).post(f"/rooms/{room}/messages", {"text": "x", "attachment": link}, api=V2).read(201)


def test_ids_may_need_encoding(server: Server) -> None:
    user = server.new_user(fresh("a user/"))
    room = server.new_room(user, id=fresh("a room/"))
    assert at(server, post_file(server, room, user, "x")["resource_link"]).body == DATA


def test_a_path_with_a_plus_may_mean_a_space(server: Server) -> None:
    user = server.new_user(fresh("a user "))
    room = server.new_room(user, id=fresh("a room "))
    path = path_of("rooms", room, "users", user, "files", "x").replace("%20", "+")
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    reply = server.user(user).call("POST", path, form(DATA, None), FILES, headers)
    assert at(server, reply.json["resource_link"]).body == DATA


def test_a_browser_may_post_a_form(server: Server, alice: str, room: str) -> None:
    path = path_of("rooms", room, "users", alice, "files", "x")
    headers = {
        "Origin": "null",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    reply = server.nobody.call("OPTIONS", path, None, FILES, headers)
    assert reply.status in {200, 204}
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    refused = post_form(server.nobody, room, alice, "x", form(DATA, None))
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


def test_only_the_file_service_takes_files(server: Server, alice: str, room: str) -> None:
    path = path_of("rooms", room, "users", alice, "files", "x")
    for api in (V2, CURSORS, "chatkit_files/v2"):
        server.user(alice).call("POST", path, form(DATA, None), api).fails(404)
    server.user(alice).call("GET", path, None, FILES).fails(405)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, codes.MALFORMED_FORM),
        (b"nonsense", 400, codes.MALFORMED_FORM),
        (form(DATA, "image/gif")[:-4], 400, codes.MALFORMED_FORM),
        (DELIMITER + b"no colon\r\n\r\n", 400, codes.MALFORMED_FORM),
        (form(b"x", None, field="files"), 422, codes.FILES_VALIDATION_FAILED),
        (form(b"x", None).replace(b'name="file"; ', b""), 422, codes.FILES_VALIDATION_FAILED),
    ],
)
def test_a_broken_form(server: Server, alice: str, room: str, body: bytes, status: int, code: str) -> None:
    post_form(server.user(alice), room, alice, "x", body).fails(status, code)


def test_what_is_no_form(server: Server, alice: str, room: str) -> None:
    path = path_of("rooms", room, "users", alice, "files", "x")
    server.user(alice).call("POST", path, b"{}", FILES).fails(400, codes.MALFORMED_FORM)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\r\n" * 8_000_000, id="megabytes before the first boundary"),
        pytest.param((DELIMITER + b"\r\n\r\n") * 100_000, id="100,000 tiny parts"),
        pytest.param(DELIMITER + b"X: " + b"y" * 8_000_000, id="a header without end"),
        pytest.param(DELIMITER + b"X: y\r\n" * 100_000, id="100,000 headers"),
        pytest.param(form(b"x" * 8_000_000, None, field="other"), id="a large field"),
        pytest.param(form(b"x", None) + b"\r\n" * 4_000_000, id="megabytes after the last boundary"),
        pytest.param(form(b"x", None)[:-4] + b"\r\n" + DELIMITER * 100_000, id="tiny parts after the file"),
    ],
)
def test_a_form_without_measure_is_refused_early(server: Server, alice: str, room: str, body: bytes) -> None:
    started = time.perf_counter()
    reply = post_form(server.user(alice), room, alice, "x", body)
    reply.fails(reply.status)
    assert reply.status in {400, 413}
    assert time.perf_counter() - started < 2
    assert server.su().get(f"/rooms/{room}").status == 200
