"""The life of a service process: event loop, signals, and the watch over its parent."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

import uvloop

from services.common.parent import GRACE_MARGIN_SECONDS, end_with_parent
from services.common.settings import Settings
from services.common.telemetry import configure_logging


def run(name: str, serve: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    """Runs a service until SIGTERM, SIGINT or the end of its parent.

    `serve` starts the service, waits for the event, and stops in an orderly way.
    """
    settings = Settings()
    configure_logging(settings, name)
    uvloop.run(_run(settings, serve))


def _calm_garbage_collection() -> None:
    """Modules live as long as the process, and calls leave few cycles: collect rarely, and not what is there already.

    Measured under load, the default took 7 % of the CPU, and made the slowest calls twice as slow (docs/benchmarks.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _run(settings: Settings, serve: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    _calm_garbage_collection()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    grace_seconds = settings.shutdown_grace_seconds + GRACE_MARGIN_SECONDS
    end_with_parent(lambda: loop.call_soon_threadsafe(stop.set), grace_seconds)
    await serve(settings, stop)
