"""Channels from one of Roomline's processes to another: over the pipe, or plain gRPC if a setting says so."""

import grpc

from services.common.pipe.channel import PipeChannel
from services.common.pipe.limits import RECONNECT_OPTIONS
from services.common.server import CHANNEL_OPTIONS
from services.common.settings import Settings


def connect(address: str, settings: Settings) -> grpc.aio.Channel:
    """A channel to `host:port` for generated stubs. Connects when it is first used; close it when done."""
    if settings.pipe:
        return PipeChannel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(address, options=(*CHANNEL_OPTIONS, *RECONNECT_OPTIONS))
