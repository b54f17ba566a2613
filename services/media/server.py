"""The media service, wired once.

Its servicer is not served yet: every `MediaService` method answers METHOD_NOT_SERVED.
"""

from __future__ import annotations

from collections.abc import Callable

from roomline.v1 import access_service_pb2_grpc, instance_service_pb2_grpc

from services.common.authorizer import RemoteAuthorizer
from services.common.channels import connect
from services.common.credentials import CredentialsCopy
from services.common.ids import Uuid7
from services.common.interceptors import Interceptors
from services.common.server import ServiceServer
from services.common.service import Service, background
from services.common.settings import Settings
from services.common.tokens import SERVICE_ISSUER, ServiceTokens, TokenVerifier


def build_server(settings: Settings, new_id: Callable[[], str] | None = None) -> Service:
    """Wires a media service. It serves the pipe, health and reflection."""
    service_secret = settings.service_secret.get_secret_value()
    user_channel = connect(settings.user_address, settings, "user")
    message_channel = connect(settings.message_address, settings, "message")
    tokens = ServiceTokens(SERVICE_ISSUER, service_secret, "media")
    credentials = CredentialsCopy(instance_service_pb2_grpc.InstanceServiceStub(user_channel), tokens)
    verifier = TokenVerifier(credentials, service_secret, settings.operator_secret.get_secret_value())
    authorizer = RemoteAuthorizer(access_service_pb2_grpc.AccessServiceStub(message_channel), tokens)
    server = ServiceServer(settings, Interceptors(verifier, authorizer, new_id or Uuid7()))
    return Service(server, [user_channel, message_channel, background(credentials.watch)])
