"""How the server speaks HTTP (spec §1.4), plain and over TLS."""

import gzip
import json
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from tests.wire.client import V6, Reply, Server, fresh, path_of
from tests.wire.conftest import Target


def post_user(server: Server, **headers: str) -> Reply:
    body = {"id": fresh("user-"), "name": "Ann"}
    return server.su().call("POST", "/users", body, headers=headers)


def request_head(server: Server, method: str, path: str, *lines: str) -> bytes:
    """Write a request up to and with the empty line."""
    head = [
        f"{method} {server.target(V6, path)} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {server.server_token()}",
        *lines,
    ]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode()


def test_one_connection_serves_several_requests(server: Server, alice: str) -> None:
    with server.open_socket() as connection:
        for _ in range(3):
            connection.sendall(request_head(server, "GET", f"/users/{alice}"))
            with HTTPResponse(connection) as response:
                response.begin()
                assert response.status == 200
                assert json.loads(response.read())["id"] == alice


def test_connection_close_is_honoured(server: Server, alice: str) -> None:
    reply = server.su().call("GET", f"/users/{alice}", headers={"Connection": "close"})
    assert reply.read()["id"] == alice
    assert str(reply.headers["Connection"]).lower() == "close"


def test_a_204_has_not_a_byte_of_body(server: Server, room: str) -> None:
    with server.open_socket() as connection:
        connection.sendall(request_head(server, "DELETE", f"/rooms/{room}", "Connection: close"))
        answer = b"".join(iter(lambda: connection.recv(1024), b""))
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert answer.endswith(b"\r\n\r\n")


def test_a_body_may_wait_for_100_continue(server: Server) -> None:
    body = json.dumps({"id": fresh("user-"), "name": "Ann"}).encode()
    expectation = ("Expect: 100-continue", f"Content-Length: {len(body)}")
    with server.open_socket() as connection:
        connection.sendall(request_head(server, "POST", "/users", *expectation))
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        with HTTPResponse(connection) as response:
            response.begin()
            assert response.status == 201


def test_a_body_may_come_in_chunks(server: Server) -> None:
    body = json.dumps({"id": fresh("user-"), "name": "Ann"}).encode()
    with server.open_socket() as connection:
        connection.sendall(request_head(server, "POST", "/users", "Transfer-Encoding: chunked"))
        for piece in (body[:10], body[10:], b""):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        with HTTPResponse(connection) as response:
            response.begin()
            assert response.status == 201


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded", ""]
)
def test_json_is_parsed_whatever_the_content_type(server: Server, content_type: str) -> None:
    assert post_user(server, **{"Content-Type": content_type}).status == 201


def test_json_is_parsed_without_a_content_type(server: Server) -> None:
    body = json.dumps({"id": fresh("user-"), "name": "Ann"}).encode()
    headers = {"Authorization": f"Bearer {server.server_token()}", "Content-Length": str(len(body))}
    assert server.request("POST", server.target(V6, "/users"), headers, body).status == 201


@pytest.mark.parametrize("body", [None, b"", {}])
def test_a_body_without_fields_may_be_empty(server: Server, bob: str, room: str, body: object) -> None:
    plain = {"Content-Type": "text/plain"}
    join = server.user(bob).call("POST", f"/users/{bob}/rooms/{room}/join", body, headers=plain)
    assert join.status == 201
    server.su().call("PUT", f"/rooms/{room}", body, headers=plain).done()
    server.user(bob).call("POST", f"/users/{bob}/rooms/{room}/leave", body, headers=plain).done()


def test_delete_may_carry_a_body(server: Server, alice: str) -> None:
    server.su().call("DELETE", f"/users/{alice}", {"unused": True}).done()


def test_unknown_body_fields_are_ignored(server: Server) -> None:
    user = server.new_user(unknown={"deeply": ["nested"]})
    assert "unknown" not in server.su().get(path_of("users", user)).read()


def test_null_in_a_body_means_absent(server: Server) -> None:
    user = server.new_user(avatar_url=None, custom_data=None)
    assert not {"avatar_url", "custom_data"} & set(server.su().get(path_of("users", user)).read())


def test_an_offer_to_upgrade_changes_nothing(server: Server) -> None:
    # As curl --http2 and Java's HttpClient send it, with any request.
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    for _ in range(2):
        assert post_user(server, **offer).read(201)["name"] == "Ann"


def test_sdk_headers_change_nothing(server: Server) -> None:
    sdk = {"X-SDK-Product": "chatkit", "X-SDK-Version": "1", "X-SDK-Language": "x", "X-SDK-Platform": "y"}
    assert post_user(server, **sdk).status == 201


def test_answers_are_compressed_only_on_demand(server: Server, alice: str) -> None:
    for _ in range(20):
        server.new_user()
    plain = server.su().get("/users")
    assert "Content-Encoding" not in plain.headers
    demanded = server.su().call("GET", "/users", headers={"Accept-Encoding": "gzip"})
    is_zipped = demanded.headers.get("Content-Encoding") == "gzip"
    assert (gzip.decompress(demanded.body) if is_zipped else demanded.body) == plain.body


def test_a_query_may_be_16_kib_long(server: Server, alice: str) -> None:
    query = "&".join(["id=" + alice, *(f"id={fresh()}" for _ in range(249))])
    query += "&unused=" + "x" * (16 * 1024 - len(query) - len("&unused="))
    assert [user["id"] for user in server.su().get(f"/users_by_ids?{query}").read()] == [alice]


def test_everything_is_served_over_tls_too(target: Target) -> None:
    if target.https_url is None:
        pytest.skip("the external server's https URL is not known")
    with target.connect(target.https_url) as server:
        user = server.new_user(custom_data={"secure": True})
        found = server.user(user).get(path_of("users", user)).read()
    assert found["custom_data"] == {"secure": True}


def test_the_host_that_the_sdks_ask_is_served(target: Target) -> None:
    """Some of them know no other. Its certificate holds, and it is in the URLs that are given."""
    if target.https_url is None:
        pytest.skip("the external server's https URL is not known")
    host = f"{target.locator.split(':')[1]}.pusherplatform.io"
    with target.connect(target.https_url) as server:
        alice = server.new_user()
        room = server.new_room(alice)
        with server.open_socket(server_name=host) as connection:
            body = b'{"content_type": "image/png", "content_length": 1}'
            head = [
                f"POST {server.target(V6, path_of('rooms', room, 'attachments'))} HTTP/1.1",
                f"Host: {host}",
                f"Authorization: Bearer {server.user_token(alice)}",
                f"Content-Length: {len(body)}",
            ]
            connection.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode() + body)
            response = HTTPResponse(connection)
            response.begin()
            answer = json.loads(response.read())
            response.close()
    assert response.status == 201
    assert urlsplit(answer["upload_url"])[:2] == ("https", host)
