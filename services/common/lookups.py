"""Looks up names that others have chosen: their servers answer as late as they like."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence

LOOKUPS = 64
"""Names that are looked up at once: each slow one keeps a thread, and whoever chooses some of these must not leave the
others without."""


class Lookups:
    """Asks the system's resolver, which cannot be interrupted.

    Its threads are such that the process can end while they wait, which those of an executor are not.
    """

    def __init__(self, most: int = LOOKUPS) -> None:
        self._free = asyncio.Semaphore(most)

    async def __call__(self, host: str) -> Sequence[str]:
        """The host's addresses in their usual notation. Raises OSError."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def settle(addresses: Sequence[str], error: OSError | None) -> None:
            self._free.release()
            if answer.done():
                return
            if error is None:
                answer.set_result(addresses)
            else:
                answer.set_exception(error)

        def work() -> None:
            addresses: Sequence[str] = ()
            failure = None
            try:
                addresses = _addresses(host)
            except OSError as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(settle, addresses, failure)

        try:
            threading.Thread(target=work, name="lookup", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise OSError("no more threads") from error
        return await answer


def _addresses(host: str) -> Sequence[str]:
    """Raises OSError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except ValueError as error:  # a part of the name is too long, or empty, or has what no name has
        raise OSError("no name") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
