"""Runs the user service: `python -m services.user`."""

import asyncio

from services.common.process import run
from services.common.settings import Settings
from services.user.server import build_server


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves at `user_address` until the event is set."""
    server = build_server(settings)
    await server.start(settings.user_address)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    run("user", serve)
