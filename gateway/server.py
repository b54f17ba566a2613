"""The gateway process: wired once, listening plain and, with a certificate, over TLS."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from gateway.app import App
from gateway.chatkit.endpoint import refusal
from gateway.chatkit.routes import CHATKIT, add_routes
from gateway.health import Health
from gateway.listener import Certificate, Listener
from gateway.request import Limits
from gateway.router import Router
from services.common.channels import connect
from services.common.settings import Settings

log = structlog.get_logger()


def build_app(settings: Settings, user: grpc.aio.Channel, message: grpc.aio.Channel, health: Health) -> App:
    """The application, on channels to the user and the message service."""
    router = Router()
    router.add("GET", "/healthz", health)
    add_routes(router, user, message)
    limits = Limits(settings.max_request_bytes, settings.call_timeout_seconds, settings.public_url)
    return App(router, lambda error, request: refusal(error, request, CHATKIT), limits)


class Gateway:
    """The listeners of one process. Make it inside the event loop that runs it."""

    def __init__(self, settings: Settings, app: App) -> None:
        grace = settings.shutdown_grace_seconds
        self._plain = Listener(app, settings.host, settings.port, grace)
        self._tls: Listener | None = None
        if settings.tls_certificate is not None:
            certificate = Certificate(settings.tls_certificate, settings.tls_key)
            self._tls = Listener(app, settings.host, settings.tls_port, grace, certificate)

    @property
    def port(self) -> int:
        """Where it listens, once started."""
        return self._plain.port

    @property
    def tls_port(self) -> int | None:
        """Where it listens for TLS, once started; None without a certificate."""
        return self._tls.port if self._tls else None

    async def start(self) -> None:
        """Returns when connections are accepted. Raises OSError, and listens nowhere, if a port is taken."""
        await self._plain.start()
        if self._tls is not None:
            try:
                await self._tls.start()
            except OSError:
                await self._plain.stop()
                raise

    async def stop(self) -> None:
        """Ends within the grace time."""
        await asyncio.gather(*(listener.stop() for listener in (self._plain, self._tls) if listener))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Runs the gateway until the event is set."""
    addresses = {"user": settings.user_address, "message": settings.message_address}
    channels = {name: connect(address, settings, name) for name, address in addresses.items()}
    plain = {name: grpc.aio.insecure_channel(address) for name, address in addresses.items()}
    gateway = Gateway(settings, build_app(settings, channels["user"], channels["message"], Health(plain)))
    await gateway.start()
    log.info("serving", host=settings.host, port=gateway.port, tls_port=gateway.tls_port)
    await stop.wait()
    await gateway.stop()
    for channel in (*channels.values(), *plain.values()):
        await channel.close()
