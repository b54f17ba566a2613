"""A gRPC server whose one handler returns what it gets, plainly and over the pipe: `python -m bench.echo`.

Prints its port, and ends when its standard input does.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop

from services.common.pipe.servicer import PipeServicer, add_pipe

SERVICE, METHOD = "bench.Echo", "Echo"
GRACE_SECONDS = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class _Echo:
    """Dispatches calls of the pipe to the one handler."""

    async def unary(self, method: str, request: bytes, context: Context) -> bytes:  # noqa: ARG002 - there is one method
        return await echo(request, context)


async def echo(request: bytes, context: Context) -> bytes:  # noqa: ARG001 - the signature is gRPC's
    """The handler."""
    return request


async def _serve() -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    add_pipe(PipeServicer(_Echo()), server)
    plain = grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.unary_unary_rpc_method_handler(echo)})
    server.add_generic_rpc_handlers((plain,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(GRACE_SECONDS)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    uvloop.run(_serve())
