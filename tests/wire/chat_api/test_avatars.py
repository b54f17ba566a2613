"""Pictures of users (spec §0 rows 19 and 20, §6)."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.wire.chat_api.client import (
    BOUNDARY,
    NOBODY,
    NOT_ALLOWED,
    UNAUTHORIZED,
    Api,
    Part,
    Person,
    form,
    person,
    refused,
)
from tests.wire.client import Reply, Server

NOT_FOUND = (404, "not_found")


def drawn(colour: str = "red", size: tuple[int, int] = (1000, 500), kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def put(api: Api, *parts: Part, **query: str) -> Reply:
    """Upload a picture."""
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return api.call("POST", "media/avatars", form(*parts), kind, query)


def get(api: Api, uid: str, method: str = "GET", **headers: str) -> Reply:
    """Read a picture."""
    return api.call(method, f"media/avatars/{uid}", headers={name.replace("_", "-"): headers[name] for name in headers})


def test_an_upload_says_where_it_is(anna: Person, ben: Person) -> None:
    link = f"/api/v1/media/avatars/{anna.id}"
    assert put(anna, Part(drawn(), "me.jpg")).read() == {"ok": True, "id": anna.id, "link": link}
    reply = get(ben, anna.id)
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "image/webp"
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert reply.headers["Cache-Control"] == "private, no-cache"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    picture = Image.open(io.BytesIO(reply.body))
    assert (picture.format, picture.size) == ("WEBP", (512, 256))


def test_the_next_one_replaces_it(server: Server, anna: Person) -> None:
    someone = person(server)
    put(someone, Part(drawn("red"))).read()
    first = get(anna, someone.id)
    etag = first.headers["ETag"]
    assert get(anna, someone.id, If_None_Match=etag).status == 304
    put(someone, Part(drawn("green", (20, 10), "PNG"))).read()
    second = get(anna, someone.id, If_None_Match=etag)
    assert second.status == 200
    assert second.headers["ETag"] != etag
    assert Image.open(io.BytesIO(second.body)).size == (20, 10)
    head = get(anna, someone.id, "HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", second.headers["ETag"])


@pytest.mark.parametrize(
    "data",
    [b"", b"plain words", b"<svg xmlns='http://www.w3.org/2000/svg'/>", drawn()[:400], drawn(kind="BMP", size=(9, 9))],
    ids=["nothing", "text", "svg", "broken", "bmp"],
)
def test_only_whole_pictures(server: Server, data: bytes) -> None:
    someone = person(server)
    assert refused(put(someone, Part(data, mime="image/png"))) == (415, "unsupported_media_type")
    assert refused(get(someone, someone.id)) == NOT_FOUND


def test_too_large_a_picture(server: Server) -> None:
    someone = person(server)
    assert refused(put(someone, Part(drawn() + bytes(9 * 1024**2)))) == (413, "payload_too_large")
    assert refused(get(someone, someone.id)) == NOT_FOUND


def test_what_is_no_form_with_a_picture(anna: Person) -> None:
    for parts in ([], [Part(drawn()), Part(drawn())], [Part(b"text", None, "caption", None)]):
        status, text = refused(put(anna, *parts))
        assert status == 400
        assert text.startswith("Form deserialize error: ")
    reply = anna.call("POST", "media/avatars", drawn(), {"Content-Type": "image/jpeg"})
    assert refused(reply) == (415, "unsupported_media_type")


def test_whose_it_may_be(server: Server, anna: Person) -> None:
    someone = person(server)
    assert refused(put(anna, Part(drawn()), uid=someone.id)) == NOT_ALLOWED
    assert refused(put(anna, Part(drawn()), uid=NOBODY)) == NOT_ALLOWED
    assert refused(get(anna, someone.id)) == NOT_FOUND
    operator = Api(server, server.server_token())
    assert put(operator, Part(drawn()), uid=someone.id).read()["id"] == someone.id
    assert get(anna, someone.id).status == 200
    assert put(someone, Part(drawn()), uid=someone.id).read()["id"] == someone.id
    assert refused(put(operator, Part(drawn()))) == NOT_ALLOWED


def test_who_may_look(server: Server, nobody: Api, anna: Person) -> None:
    someone = person(server)
    put(someone, Part(drawn())).read()
    assert refused(get(nobody, someone.id)) == UNAUTHORIZED
    assert refused(put(nobody, Part(drawn()))) == UNAUTHORIZED
    assert get(nobody, someone.id, Cookie=f"access_token={anna.token}").status == 200
    for uid in (NOBODY, "x"):
        assert refused(get(anna, uid)) == NOT_FOUND


def test_it_goes_with_its_user(server: Server, anna: Person) -> None:
    someone = person(server)
    put(someone, Part(drawn())).read()
    server.su().delete(f"/users/{someone.id}").done()
    assert refused(get(anna, someone.id)) == NOT_FOUND
