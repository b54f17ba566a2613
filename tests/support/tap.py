"""Stands between a real server's wire and its handlers: counts calls, acts before or after them, loses answers."""

from collections import Counter
from collections.abc import Awaitable, Callable

import grpc

from services.common.interceptors import Context, ServedMethod
from services.common.service import Service

Hook = Callable[[], Awaitable[object]]


class Tap:
    """Calls are named by their method alone, such as `ClaimAttachments`."""

    def __init__(self, service: Service) -> None:
        interceptors = service._server._interceptors
        self._unary = interceptors.unary
        interceptors.unary = self._run  # type: ignore[method-assign]  # the seam
        self.calls: Counter[str] = Counter()
        self.before: dict[str, Hook] = {}
        """Done when a call has come in; a call of the same name that it makes itself goes straight through."""
        self.after: dict[str, Hook] = {}
        """Done when the handler has ended, before its answer is sent."""
        self.lost: set[str] = set()
        """The next answer of these is lost."""

    async def _run(self, method: ServedMethod, data: bytes, context: Context) -> bytes:
        name = method.name.rpartition("/")[2]
        self.calls[name] += 1
        await self._hook(self.before, name)
        answer = await self._unary(method, data, context)
        await self._hook(self.after, name)
        if name in self.lost:
            self.lost.remove(name)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        return answer

    @staticmethod
    async def _hook(hooks: dict[str, Hook], name: str) -> None:
        hook = hooks.pop(name, None)
        if hook is not None:
            await hook()
