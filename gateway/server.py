"""The gateway process: wired once, listening plain and, with a certificate, over TLS."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from gateway.app import App
from gateway.attachments import Attachments
from gateway.chat_api import errors as chat_api_errors
from gateway.chat_api import routes as chat_api_routes
from gateway.chatkit.endpoint import refusal as chatkit_refusal
from gateway.chatkit.live_routes import add_live_routes
from gateway.chatkit.routes import CHATKIT
from gateway.chatkit.routes import add_routes as add_chatkit_routes
from gateway.documentation import Documentation
from gateway.health import Health
from gateway.listener import Certificate, Listener, connection_limit
from gateway.live.handshake import PATH as WEBSOCKET_PATH
from gateway.live.handshake import no_handshake
from gateway.live.live import Live
from gateway.patience import Patience
from gateway.proxies import Proxies
from gateway.request import Limits, Request
from gateway.response import Response
from gateway.router import Router
from services.common.channels import connect, connect_plain
from services.common.settings import Settings

log = structlog.get_logger()


def build_app(
    settings: Settings,
    user: grpc.aio.Channel,
    message: grpc.aio.Channel,
    media: grpc.aio.Channel,
    health: Health,
    live: Live | None = None,
) -> App:
    """The application, on channels to the services. Whoever subscribes to something gives a `live` that runs."""
    router = build_router(settings, user, message, media, health, live)
    limits = Limits(
        body_bytes=settings.max_request_bytes,
        call_seconds=settings.call_timeout_seconds,
        public_url=settings.public_url,
        file_bytes=settings.media_max_bytes,
        idle_seconds=settings.idle_timeout_seconds,
        finish_seconds=settings.finish_timeout_seconds,
    )

    def refusal(error: BaseException, request: Request) -> Response:
        """The answer of the dialect that the path belongs to."""
        if chat_api_routes.is_below(request.raw_path):
            always_200 = settings.chat_api_always_200
            return chat_api_errors.refusal(error, request.method, request.request_id, always_200=always_200)
        return chatkit_refusal(error, request, CHATKIT)

    return App(
        router,
        refusal,
        limits,
        proxies=Proxies(settings.trusted_proxies),
        max_subscriptions=settings.max_subscriptions,
    )


def build_router(
    settings: Settings,
    user: grpc.aio.Channel,
    message: grpc.aio.Channel,
    media: grpc.aio.Channel,
    health: Health,
    live: Live | None = None,
) -> Router:
    """Everything that is served."""
    router = Router()
    router.add("GET", "/healthz", health)
    Documentation(chat_api=bool(settings.chat_api_instance)).add_routes(router)
    router.add("GET", WEBSOCKET_PATH, no_handshake)
    Attachments(media).add_routes(router)
    add_chatkit_routes(router, user, message, media)
    live = live or Live(settings, user, message)
    add_live_routes(router, settings, user, message, live)
    chat_api_routes.add_routes(router, settings, user, message, media, live)
    return router


class Gateway:
    """The listeners of one process. Make it inside the event loop that runs it."""

    def __init__(self, settings: Settings, app: App, patience: Patience | None = None) -> None:
        certificate = None
        if settings.tls_certificate is not None:
            certificate = Certificate(settings.tls_certificate, settings.tls_key)
        most = connection_limit(settings.max_connections, listeners=2 if certificate else 1)

        def listener(port: int, certificate: Certificate | None) -> Listener:
            grace = settings.shutdown_grace_seconds
            return Listener(app, settings.host, port, grace, certificate, max_connections=most, patience=patience)

        self._plain = listener(settings.port, None)
        self._tls = listener(settings.tls_port, certificate) if certificate else None

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
    addresses = {"user": settings.user_address, "message": settings.message_address, "media": settings.media_address}
    channels = {
        name: connect(address, settings, name, small_streams=name == "media") for name, address in addresses.items()
    }
    plain = {name: connect_plain(address) for name, address in addresses.items()}
    live = Live(settings, channels["user"], channels["message"])
    app = build_app(settings, channels["user"], channels["message"], channels["media"], Health(plain), live)
    gateway = Gateway(settings, app)
    async with live:
        await gateway.start()
        log.info("serving", host=settings.host, port=gateway.port, tls_port=gateway.tls_port)
        await stop.wait()
        await gateway.stop()
    for channel in (*channels.values(), *plain.values()):
        await channel.close()
