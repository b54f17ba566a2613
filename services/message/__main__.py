"""Runs the message service: `python -m services.message`."""

import asyncio

from services.common import process
from services.common.settings import Settings
from services.message.server import build_server


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until the event is set."""
    server = build_server(settings)
    await server.start(settings.message_address)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    process.run("message", serve)
