"""The application as ASGI sees it."""

from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message

from gateway.app import App
from gateway.chatkit.endpoint import refusal
from gateway.request import Limits, Request
from gateway.response import Response
from gateway.router import Router


async def broken(_request: Request) -> Response:
    raise ZeroDivisionError("secret")


@pytest.fixture
def app() -> App:
    router = Router()
    router.add("GET", "/broken", broken)
    return App(router, lambda error, request: refusal(error, request, "chatkit"), Limits(1024, 1))


async def exchange(app: App, scope: dict[str, Any], messages: Iterable[Message] = ()) -> list[Message]:
    sent: list[Message] = []
    queue = iter(messages)

    async def receive() -> Message:
        return next(queue)

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def test_a_lifespan_is_accepted(app: App) -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = await exchange(app, {"type": "lifespan"}, messages)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_every_mistake_becomes_an_answer(app: App) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": b"/broken",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "headers": [],
        "state": {"streams": lambda: None},
    }
    start, body = await exchange(app, scope)
    assert start["status"] == 500
    assert b"secret" not in body["body"]
