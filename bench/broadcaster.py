"""A bare broadcaster on uvicorn's `websockets-sansio`: `python -m bench.broadcaster`.

Whatever is posted goes to all sockets as it is: no log, no access, no rendering. Prints its port.
"""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
import uvloop

BACKLOG = 2048
GRACE_SECONDS = 1


class Broadcaster:
    """The ASGI application."""

    def __init__(self) -> None:
        self._sends: dict[Any, None] = {}
        self._posted = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a socket until it ends, or one request."""
        if scope["type"] == "websocket":
            await self._serve(receive, send)
        else:
            await self._post(receive, send)

    async def _serve(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self._sends[send] = None
        while (await receive())["type"] != "websocket.disconnect":
            pass
        del self._sends[send]

    async def _post(self, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            body += part["body"]
            more = part["more_body"]
        event = {"type": "websocket.send", "text": body.decode()}
        for each in list(self._sends):
            await each(event)
        self._posted += 1
        answer = b'{"message_id":%d}' % self._posted
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _serve() -> None:
    bound = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    config = uvicorn.Config(
        Broadcaster(),
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        lifespan="off",
        log_level="error",
        access_log=False,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=BACKLOG,
    )
    print(bound.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve([bound])


if __name__ == "__main__":
    uvloop.run(_serve())
