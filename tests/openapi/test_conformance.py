"""Whatever is asked, the answer is one that the document has: schemathesis makes the requests up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import orjson
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.openapi import document
from tests.openapi.house import House, furnish
from tests.support.server import Running, running_server
from tests.wire.client import Server

pytestmark = [
    pytest.mark.slow(reason="a thousand requests to a server of its own, which they take to pieces"),
    pytest.mark.timeout(300),
]

REQUESTS = 6
"""For each operation and each kind."""
EARLY = ("uploadAttachment", "lookAtAttachment", "downloadAttachment", "refreshAttachment")
"""Later, edits of messages have let their attachments go."""
LATE = (
    *("chatUnsend", "conversationsLeave", "conversationsDelete", "usersSetProfile", "logoutByGet", "logout"),
    *("deleteMessage", "deleteTextMessage", "deleteTextMessageV1", "deleteMessageAnywhere"),
    *("createRole", "assignRole", "changePermissions", "removeUserRole", "deleteRole"),
    *(
        "startRoomDeletion",
        "startUserDeletion",
        "removeRoomMembers",
        "leaveRoom",
        "deleteRoom",
        "deleteRoomV7",
        "deleteUser",
        "resetInstance",
    ),
)
"""After these, there is less to ask for."""

CHECKED = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def operations() -> Iterator[tuple[str, str, GenerationMode]]:
    """Path and method of every operation, in the order in which they find most; what takes nothing cannot be wrong."""
    paths = orjson.loads(document(chat_api=True))["paths"]
    found = {
        operation["operationId"]: (path, method)
        for path, item in paths.items()
        for method, operation in item.items()
        if method != "parameters"
    }
    middle = [name for name in found if name not in {*EARLY, *LATE}]
    for path, method in (found[name] for name in (*EARLY, *middle, *LATE)):
        yield path, method, GenerationMode.POSITIVE
        operation = paths[path][method]
        if "parameters" in {**paths[path], **operation} or "requestBody" in operation:
            yield path, method, GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("openapi")) as running:
        yield running


@pytest.fixture(scope="module")
def house(running: Running) -> Iterator[House]:
    with Server(running.http, running.instance_locator, running.key) as server:
        yield furnish(server)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def api(running: Running, house: House, session: requests.Session) -> schemathesis.BaseSchema:
    served = session.get(f"{running.http}/openapi.json").json()
    return schemathesis.openapi.from_dict(house.with_ids(served))


@pytest.mark.parametrize(("path", "method", "mode"), [*operations()])
def test_answers_are_documented(
    path: str,
    method: str,
    mode: GenerationMode,
    api: schemathesis.BaseSchema,
    running: Running,
    house: House,
    session: requests.Session,
) -> None:
    operation = api[path][method]
    tokens = st.sampled_from(house.tokens(operation.definition.raw))
    instance = {"instance_id": house.server.instance} if "{instance_id}" in path else None

    @settings(
        max_examples=REQUESTS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(mode, path_parameters=instance), tokens)
    def ask(case: schemathesis.Case[Any], token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        case.call_and_validate(running.http, session, headers, CHECKED)

    # Some operations take nothing that could be wrong.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        ask()
