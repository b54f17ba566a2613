"""Channels from one of Roomline's processes to another: over the pipe, or plain gRPC if a setting says so."""

import grpc

from services.common.interceptors import MAX_RESPONSE_BYTES
from services.common.pipe.channel import PipeChannel
from services.common.pipe.limits import RECONNECT_OPTIONS
from services.common.server import MAX_REQUEST_BYTES, SMALL_STREAMS
from services.common.settings import Settings

KEEPALIVE_SECONDS = 20.0
"""How long a connection with calls in progress may be silent before it is asked for a sign of life: the stream of
credentials is silent while no key changes, and a peer whose machine is gone says nothing either. Not below
`server.MIN_PING_SECONDS`."""
KEEPALIVE_TIMEOUT_SECONDS = 10.0
"""How long the sign of life may take."""


def connect(
    address: str, settings: Settings, service: str = "backend", *, small_streams: bool = False
) -> grpc.aio.Channel:
    """A channel to `host:port` for generated stubs. Connects when it is first used; close it when done.

    `service` is what errors, which callers see, call the server. `small_streams` is for receiving files.
    """
    options = (
        ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
        ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
        ("grpc.keepalive_time_ms", int(KEEPALIVE_SECONDS * 1000)),
        ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        ("grpc.http2.ping_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),  # a minute by default, and that counts
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 0),  # as many as it takes
        *(SMALL_STREAMS if small_streams else ()),
    )
    if settings.pipe:
        return PipeChannel(address, service=service, options=options)
    return grpc.aio.insecure_channel(address, options=(*options, *RECONNECT_OPTIONS))


def connect_plain(address: str) -> grpc.aio.Channel:
    """A channel to `host:port` for what is no part of the contract, such as health checks."""
    return grpc.aio.insecure_channel(address, options=RECONNECT_OPTIONS)
