"""How answers go onto the wire: what uvicorn refuses is refused, and what is usual arrives whole."""

from collections.abc import AsyncIterator

import pytest
import structlog

from gateway.app import App
from gateway.chatkit.endpoint import refusal
from gateway.listener import Listener
from gateway.request import Limits, Request
from gateway.response import Header, Response
from gateway.router import Router
from tests.gateway.client import Connection


class Answers:
    """A route whose answer the tests choose."""

    def __init__(self) -> None:
        self.body = b"hello"
        self.headers: list[Header] = []

    async def __call__(self, _request: Request) -> Response:
        return Response(200, self.body, self.headers)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def connection(answers: Answers) -> AsyncIterator[Connection]:
    router = Router()
    router.add("GET", "/x", answers)
    app = App(router, lambda error, request: refusal(error, request, "chatkit"), Limits(1024, 1))
    listener = Listener(app, "127.0.0.1", 0, 1)
    await listener.start()
    opened = await Connection.open(listener.port)
    yield opened
    await opened.close()
    await listener.stop()


def request(method: str, *lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in [f"{method} /x HTTP/1.1", "Host: x", *lines, ""]).encode()


@pytest.mark.parametrize("size", [0, 5, 3_000_000])
async def test_answers_follow_each_other_on_one_connection(connection: Connection, answers: Answers, size: int) -> None:
    answers.body = b"x" * size
    connection.write(request("GET") + request("HEAD") + request("GET") + request("GET", "Connection: close"))
    for has_body in (True, False, True, True):
        reply = await connection.reply(has_body=has_body)
        assert (reply.status, reply.headers["content-length"]) == (200, str(size))
        assert reply.body == (answers.body if has_body else b"")
    assert reply.headers["connection"] == "close"
    assert await connection.reader.read() == b""


async def test_a_header_keeps_to_its_line(connection: Connection, answers: Answers) -> None:
    answers.headers = [(b"x-name", b"tab\tand \xe9")]
    connection.write(request("GET"))
    assert (await connection.reply()).headers["x-name"] == "tab\tand \xe9"


@pytest.mark.parametrize("value", [b"a\r\nx-more: b", b"a\nb", b"a\rb", b"\0", b"\x7f"])
@pytest.mark.parametrize("in_name", [False, True])
async def test_a_header_with_a_control_character_is_not_sent(
    connection: Connection, answers: Answers, value: bytes, in_name: bool
) -> None:
    answers.headers = [(b"x-" + value, b"c") if in_name else (b"x-name", value)]
    with structlog.testing.capture_logs() as logged:
        connection.write(request("GET"))
        status, headers = await connection.head()
    assert status == 500
    assert not any(name.startswith("x-") for name in headers)
    assert [entry["event"] for entry in logged] == ["Exception in ASGI application\n"]
