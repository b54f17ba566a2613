"""Files (spec §6): uploaded as forms, read by id."""

from __future__ import annotations

import pytest

from tests.wire.chat_api.client import (
    BOUNDARY,
    MEDIA_KEYS,
    NOBODY,
    NOT_ALLOWED,
    UUID,
    Api,
    Part,
    Person,
    form,
    person,
    refused,
    refused_query,
)
from tests.wire.client import Reply, Server

NOT_FOUND = (404, "not_found")
SCRIPT = b"<html><script>alert(1)</script></html>"


def get(api: Api, media_id: str, method: str = "GET", **headers: str) -> Reply:
    """Read a file."""
    every = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call(method, f"media/content/{media_id}", headers=every)


def test_an_upload_answers_with_a_bare_array(anna: Person, picture: bytes) -> None:
    name = "Screenshot 2023-07-19 at 09.38.16.png"
    (block,) = anna.upload(Part(picture, name)).read()
    assert UUID.fullmatch(block["id"])
    assert block == {
        "id": block["id"],
        "link": f"/api/v1/media/content/{block['id']}",
        "caption": None,
        "file_name": name,
    }


def test_several_files_come_back_in_their_order(anna: Person, picture: bytes) -> None:
    caption = Part(b"A caption, \xc3\xa4", None, "caption", None)
    blocks = anna.upload(
        Part(picture, "1.png", "any"), caption, Part(b"two", "2.txt"), Part(b"three", "3.txt", "file[]", None)
    ).read()
    assert [block["file_name"] for block in blocks] == ["1.png", "2.txt", "3.txt"]
    assert [block["caption"] for block in blocks] == [None, "A caption, ä", None]
    assert [get(anna, block["id"]).body for block in blocks] == [picture, b"two", b"three"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\anna\\a b.png", "a b.png"),
        ("a\tb\x01.png", "ab.png"),
        ("\u202egpj.exe", "gpj.exe"),
        ("größe 1.2.tar.gz", "größe 1.2.tar.gz"),
        ("x" * 300 + ".png", "x" * 251 + ".png"),
    ],
)
def test_names_are_cleaned(anna: Person, given: str, name: str) -> None:
    (block,) = anna.upload(Part(b"data", given)).read()
    assert block["file_name"] == name


def test_a_file_may_have_no_name_and_no_bytes(anna: Person) -> None:
    (block,) = anna.upload(Part(b"", None, "file", None)).read()
    assert block["file_name"] is None
    assert get(anna, block["id"]).body == b""


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        (b"", {}, (400, "Form deserialize error: ")),
        (b"nonsense", {}, (400, "Form deserialize error: ")),
        (form(Part(b"x"))[:-20], {}, (400, "Form deserialize error: ")),
        (form(), {}, (400, "Form deserialize error: ")),
        (form(Part(b"text", None, "caption", None)), {}, (400, "Form deserialize error: missing field `file`")),
        (form(Part(b"x" * 5000, None, "caption", None)), {}, (400, "Form deserialize error: caption")),
        (form(Part(b"x")), {"Content-Type": "multipart/form-data"}, (400, "Form deserialize error: ")),
        (form(*[Part(b"x")] * 11), {}, (413, "payload_too_large")),
        (form(*[Part(b"x", None, "other", None)] * 33), {}, (413, "payload_too_large")),
        (form(Part(b"x" * 70_000, None, "other", None), Part(b"x")), {}, (413, "payload_too_large")),
        (form(Part(b"x")), {"Content-Type": "application/json"}, (415, "unsupported_media_type")),
        (form(Part(b"x")), {"Content-Type": "multipart/mixed; boundary=x"}, (415, "unsupported_media_type")),
        (b'{"a": 1}', {"Content-Type": ""}, (415, "unsupported_media_type")),
    ],
)
def test_what_is_no_upload(anna: Person, body: bytes, headers: dict[str, str], error: tuple[int, str]) -> None:
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    status, text = refused(anna.call("POST", "media/content", body, {**kind, **headers}))
    assert status == error[0]
    assert text.startswith(error[1])


def test_one_refused_file_refuses_all(server: Server) -> None:
    someone = person(server)
    parts = [Part(b"one"), Part(b"two"), *[Part(b"x", None, "other", None)] * 40]
    assert refused(someone.upload(*parts)) == (413, "payload_too_large")
    assert someone.get("media.list").read() == []


def test_the_bytes_come_back_with_the_type_that_they_have(anna: Person, picture: bytes) -> None:
    (block,) = anna.upload(Part(picture, "a b.html", mime="text/html")).read()
    reply = get(anna, block["id"])
    assert (reply.status, reply.body) == (200, picture)
    assert reply.headers["Content-Type"] == "image/png"
    assert reply.headers["Content-Length"] == str(len(picture))
    assert reply.headers["Accept-Ranges"] == "bytes"
    assert reply.headers["Cache-Control"].startswith("private")
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert reply.headers["Content-Disposition"] == "inline; filename=\"a b.html\"; filename*=UTF-8''a%20b.html"
    assert reply.headers["ETag"].startswith('"')


@pytest.mark.parametrize(
    ("data", "mime", "shown", "kind"),
    [
        (SCRIPT, "image/png", "text/html", "attachment"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/png", "image/svg+xml", "attachment"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "text/plain", "application/pdf", "inline"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "x", "image/gif", "inline"),
        (b"plain words", "image/png", "text/plain", "attachment"),
    ],
)
def test_only_what_cannot_run_is_shown_in_place(anna: Person, data: bytes, mime: str, shown: str, kind: str) -> None:
    (block,) = anna.upload(Part(data, "x", mime=mime)).read()
    reply = get(anna, block["id"])
    assert reply.headers.get_content_type() == shown
    assert reply.headers["Content-Disposition"].startswith(kind)


def test_ranges_conditions_and_head(anna: Person) -> None:
    media = anna.file(b"0123456789")
    etag = get(anna, media).headers["ETag"]
    part = get(anna, media, Range="bytes=2-4")
    assert (part.status, part.body, part.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert get(anna, media, Range="bytes=0-1,3-4").body == b"0123456789"
    beyond = get(anna, media, Range="bytes=10-")
    assert refused(beyond) == (416, "range_not_satisfiable")
    assert beyond.headers["Content-Range"] == "bytes */10"
    assert get(anna, media, If_None_Match=etag).status == 304
    head = get(anna, media, "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "10")


def test_a_file_is_its_uploaders_until_it_is_posted(anna: Person, ben: Person, eve: Person, direct: str) -> None:
    media = anna.file(b"a secret")
    assert get(anna, media).status == 200
    for stranger in (ben, eve):
        assert refused(get(stranger, media)) == NOT_FOUND
    anna.show(direct, media)
    assert get(ben, media).body == b"a secret"
    assert refused(get(eve, media)) == NOT_FOUND


@pytest.mark.parametrize("media", [NOBODY, "x", "a%2Fb", "00000000000000000000000000000000"])
def test_no_file(anna: Person, media: str) -> None:
    assert refused(get(anna, media)) == NOT_FOUND
    assert refused(anna.get("media/content/")) == (405, "method_not_allowed")


def test_a_channels_files_are_its_members(server: Server, eve: Person, picture: bytes) -> None:
    owner = person(server)
    channel = owner.open(owner.id)["id"]
    media = owner.file(picture)
    owner.show(channel, media)
    for verb, status in (("join", 200), ("leave", 404)):
        eve.post(f"conversations.{verb}", cid=channel).read()
        assert get(eve, media).status == status
    assert refused(eve.get(f"media/content/{media}", thumbnail=64)) == NOT_FOUND
    assert refused(get(eve, media, Range="bytes=0-1")) == NOT_FOUND


def test_an_image_tag_reads_a_file_with_a_cookie(anna: Person, nobody: Api) -> None:
    media = anna.file(b"data")
    reply = get(nobody, media, Cookie=f"access_token={anna.token}")
    assert reply.body == b"data"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-site"


def test_the_list_of_ones_own_uploads(server: Server) -> None:
    someone = person(server)
    assert someone.get("media.list").read() == []
    files = [someone.file(b"x", f"{number}.txt") for number in range(3)]
    blocks = someone.get("media.list").read()
    assert [block["id"] for block in blocks] == files[::-1]
    assert all(set(block) == MEDIA_KEYS for block in blocks)
    assert someone.get("media.list", limit=2).read() == blocks[:2]
    assert someone.get("media.list", before=1).read() == []
    assert someone.get("media.list", before=4_000_000_000_000).read() == blocks
    refused_query(someone.get("media.list", before="x"))
    refused_query(someone.get("media.list", cid="x"))
    refused_query(someone.get("media.list", limit=0))


def test_the_list_of_a_conversations_files(anna: Person, ben: Person, eve: Person) -> None:
    conversation = anna.open(ben.id, eve.id)["id"]
    unused = anna.file(b"not posted")
    files = [anna.file(b"one"), ben.file(b"two")]
    anna.show(conversation, files[0])
    message = ben.show(conversation, files[1])
    listed = [block["id"] for block in eve.get("media.list", cid=conversation).read()]
    assert listed == files[::-1]
    assert unused not in listed
    ben.post("chat.unsend", mid=message["id"]).read()
    assert [block["id"] for block in eve.get("media.list", cid=conversation).read()] == files[:1]


def test_a_strangers_list_is_refused(eve: Person, direct: str) -> None:
    for cid in (direct, NOBODY):
        assert refused(eve.get("media.list", cid=cid)) == NOT_ALLOWED
