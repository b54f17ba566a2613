"""A gateway that serves the chat API for one instance."""

import base64
from collections.abc import AsyncIterator

import orjson
import pytest
from pydantic import SecretStr
from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import BatchGetAccountsRequest, BatchGetAccountsResponse

from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, Client
from tests.gateway.conftest import running_gateway

ANNA, BEN, CARL = (f"0190a5b0-7c00-7000-8000-00000000000{number}" for number in (1, 2, 3))
IDS = {ANNA: "anna", BEN: "ben", CARL: "carl"}


def token(**claims: object) -> str:
    """Something in the form of a token; the backend verifies nothing."""
    payload = base64.urlsafe_b64encode(orjson.dumps({"sub": "anna", **claims})).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


def accounts(request: BatchGetAccountsRequest) -> BatchGetAccountsResponse:
    """Anna, Ben and Carl, by id and `uid`."""
    known = {uid: Account(user_id=user, user_uid=uid, first_name=user.title()) for uid, user in IDS.items()}
    wanted = {*request.user_uids, *(uid for uid, user in IDS.items() if user in request.user_ids)}
    return BatchGetAccountsResponse(accounts=[one for uid, one in known.items() if uid in wanted])


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={"chat_api_instance": INSTANCE, "service_secret": SecretStr("a secret of some length")}
    )


@pytest.fixture
async def gateway(settings: Settings, backend: Backend) -> AsyncIterator[Gateway]:
    backend.answers["BatchGetAccounts"] = accounts
    async with running_gateway(settings, backend) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(gateway.port, authorization=f"Bearer {token()}")
