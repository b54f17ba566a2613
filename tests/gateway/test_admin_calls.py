"""What roles and asynchronous deletion ask of the services, and what the client gets (spec §3.6, §7)."""

from typing import Any

import pytest
from google.protobuf.message import Message as ProtoMessage
from roomline.v1.access_service_pb2 import (
    AssignRoleRequest,
    CreateRoleRequest,
    DeleteRoleRequest,
    GetRoleRequest,
    GetRoleResponse,
    ListRolesRequest,
    ListRolesResponse,
    ListUserRolesRequest,
    ListUserRolesResponse,
    UnassignRoleRequest,
    UpdateRolePermissionsRequest,
)
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.job_pb2 import JOB_STATUS_COMPLETED, JOB_STATUS_IN_PROGRESS, Job
from roomline.v1.role_pb2 import ROLE_SCOPE_GLOBAL, ROLE_SCOPE_ROOM, Role, RoleAssignment
from roomline.v1.room_service_pb2 import GetRoomDeletionResponse, StartRoomDeletionRequest, StartRoomDeletionResponse
from roomline.v1.user_service_pb2 import GetUserDeletionResponse, StartUserDeletionRequest, StartUserDeletionResponse

from services.common.errors import RoomlineError
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, Client

ROLES = f"/services/chatkit_authorizer/v2/{INSTANCE}"
JOBS = f"/services/chatkit_scheduler/v1/{INSTANCE}"
MODS = Role(name="mods", scope=ROLE_SCOPE_ROOM, permissions=["room:delete", "a:b"])
MODS_JSON = {"name": "mods", "scope": "room", "permissions": ["room:delete", "a:b"]}
WIDE = Role(name="wide", scope=ROLE_SCOPE_GLOBAL)
BEGUN = Job(id="j", status=JOB_STATUS_IN_PROGRESS)
NO_JOB = RoomlineError(ErrorReason.ERROR_REASON_JOB_NOT_FOUND)

CALLS: list[tuple[str, str, Any, ProtoMessage, ProtoMessage | None, tuple[int, Any]]] = [
    ("POST", f"{ROLES}/roles", {**MODS_JSON, "x": 1}, CreateRoleRequest(role=MODS), None, (201, None)),
    (
        *("GET", f"{ROLES}/roles", None, ListRolesRequest(), ListRolesResponse(roles=[MODS, WIDE])),
        (200, [MODS_JSON, {"name": "wide", "scope": "global", "permissions": []}]),
    ),
    (
        *("DELETE", f"{ROLES}/roles/a%2Fb/scope/global", None),
        *(DeleteRoleRequest(name="a/b", scope=ROLE_SCOPE_GLOBAL), None, (204, None)),
    ),
    (
        *("PUT", f"{ROLES}/users/a/roles", {"name": "mods", "room_id": "r"}),
        *(AssignRoleRequest(user_id="a", role_name="mods", room_id="r"), None, (201, None)),
    ),
    (
        *("PUT", f"{ROLES}/users/a/roles", {"name": "mods", "room_id": None}),
        *(AssignRoleRequest(user_id="a", role_name="mods"), None, (201, None)),
    ),
    (
        *("GET", f"{ROLES}/users/a/roles", None, ListUserRolesRequest(user_id="a")),
        ListUserRolesResponse(assignments=[RoleAssignment(role=WIDE), RoleAssignment(role=MODS, room_id="r")]),
        (
            200,
            [
                {"role_name": "wide", "name": "wide", "scope": "global", "permissions": []},
                {"role_name": "mods", **MODS_JSON, "room_id": "r"},
            ],
        ),
    ),
    ("DELETE", f"{ROLES}/users/a/roles", None, UnassignRoleRequest(user_id="a"), None, (204, None)),
    (
        *("DELETE", f"{ROLES}/users/a/roles?room_id=r%20s", {"room_id": "ignored"}),
        *(UnassignRoleRequest(user_id="a", room_id="r s"), None, (204, None)),
    ),
    (
        *("DELETE", f"{ROLES}/users/a/roles?room_id=", {"room_id": "r"}),
        *(UnassignRoleRequest(user_id="a", room_id="r"), None, (204, None)),
    ),
    (
        *("GET", f"{ROLES}/roles/mods/scope/room/permissions", None),
        *(GetRoleRequest(name="mods", scope=ROLE_SCOPE_ROOM), GetRoleResponse(role=MODS)),
        (200, ["room:delete", "a:b"]),
    ),
    (
        *(
            "PUT",
            f"{ROLES}/roles/mods/scope/room/permissions",
            {"add_permissions": ["a:b"], "remove_permissions": None},
        ),
        *(UpdateRolePermissionsRequest(name="mods", scope=ROLE_SCOPE_ROOM, add_permissions=["a:b"]), None, (204, None)),
    ),
    (
        *("PUT", f"{JOBS}/users/a", None, StartUserDeletionRequest(id="a"), StartUserDeletionResponse(job=BEGUN)),
        (202, {"id": "j", "status": "in_progress"}),
    ),
    (
        *("PUT", f"{JOBS}/rooms/r", {}, StartRoomDeletionRequest(room_id="r"), StartRoomDeletionResponse(job=BEGUN)),
        (202, {"id": "j", "status": "in_progress"}),
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "request_message", "answer", "expected"), CALLS, ids=[f"{c[0]} {c[1]}" for c in CALLS]
)
async def test_a_request_is_one_call(
    client: Client,
    backend: Backend,
    method: str,
    path: str,
    body: Any,
    request_message: ProtoMessage,
    answer: ProtoMessage | None,
    expected: tuple[int, Any],
) -> None:
    name = request_message.DESCRIPTOR.name.removesuffix("Request")
    if answer is not None:
        backend.answers[name] = answer
    reply = await client.request(method, path, body)
    assert (reply.status, reply.json if reply.body else None) == expected
    (call,) = backend.calls
    assert call.method == name
    if "request_id" in request_message.DESCRIPTOR.fields_by_name:
        assert call.request.request_id
        call.request.ClearField("request_id")
    assert call.request == request_message


async def test_the_status_comes_from_the_service_that_has_the_job(client: Client, backend: Backend) -> None:
    done = Job(id="j", status=JOB_STATUS_COMPLETED)
    backend.answers["GetUserDeletion"] = GetUserDeletionResponse(job=done)
    assert (await client.get(f"{JOBS}/status/j")).json == {"id": "j", "status": "completed"}
    assert [call.method for call in backend.calls] == ["GetUserDeletion"]
    backend.answers["GetUserDeletion"] = NO_JOB
    backend.answers["GetRoomDeletion"] = GetRoomDeletionResponse(job=BEGUN)
    assert (await client.get(f"{JOBS}/status/j")).json == {"id": "j", "status": "in_progress"}
    assert [call.request.job_id for call in backend.calls] == ["j"] * 3


@pytest.mark.parametrize(
    ("user", "room", "expected"),
    [
        (NO_JOB, NO_JOB, (404, "services/chatkit_scheduler/not_found/job_not_found")),
        (RoomlineError(ErrorReason.ERROR_REASON_TOKEN_EXPIRED), BEGUN, (401, "authentication/expired")),
        (
            RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="user"),
            *(NO_JOB, (503, "service_unavailable")),
        ),
        (
            *(NO_JOB, RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="message")),
            (503, "service_unavailable"),
        ),
    ],
)
async def test_a_job_that_nobody_has_and_one_that_nobody_knows_of(
    client: Client, backend: Backend, user: Exception, room: Any, expected: tuple[int, str]
) -> None:
    """A service that is away may have it: that is no 404."""
    backend.answers |= {"GetUserDeletion": user, "GetRoomDeletion": room}
    assert (await client.get(f"{JOBS}/status/j")).error == expected


async def test_a_plus_in_the_name_of_a_role_may_be_a_space(client: Client, backend: Backend) -> None:
    def role(request: GetRoleRequest) -> GetRoleResponse:
        if request.name != "two words":
            raise RoomlineError(ErrorReason.ERROR_REASON_ROLE_NOT_FOUND)
        return GetRoleResponse(role=MODS)

    backend.answers["GetRole"] = role
    assert (await client.get(f"{ROLES}/roles/two+words/scope/room/permissions")).status == 200
    reply = await client.get(f"{ROLES}/roles/two%2Bwords/scope/room/permissions")
    assert reply.error == (404, "services/chatkit_authorizer/not_found/role_not_found")


async def test_the_fields_of_errors_are_the_clients(client: Client, backend: Backend) -> None:
    def refuse(name: str, field: str) -> None:
        backend.answers[name] = RoomlineError(ErrorReason.ERROR_REASON_FIELD_INVALID, field=field, rule="r")

    refuse("CreateRole", "role.permissions[2]")
    reply = await client.post(f"{ROLES}/roles", MODS_JSON)
    assert reply.description == "Field `permissions[2]` is invalid"
    refuse("AssignRole", "role_name")
    reply = await client.put(f"{ROLES}/users/a/roles", {"name": "x" * 200})
    assert reply.description == "Field `name` is invalid"
