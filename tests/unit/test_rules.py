"""Field rules of the contract, enforced."""

import math

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.access_service_pb2 import CreateRoleRequest, GetRoleRequest
from roomline.v1.archive_pb2 import ArchiveRecord
from roomline.v1.archive_service_pb2 import ImportRecordsRequest
from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.cursor_service_pb2 import SetCursorRequest
from roomline.v1.media_service_pb2 import ReserveAttachmentRequest
from roomline.v1.message_pb2 import Part
from roomline.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from roomline.v1.role_pb2 import ROLE_SCOPE_ROOM, Role
from roomline.v1.user_service_pb2 import BatchCreateUsersRequest, CreateUserRequest, NewUser

from services.common import rules
from tests.support.refusals import refuses

TEXT = Part(type="text/plain", content="")


def nested(depth: int) -> Struct:
    """A struct with `depth` levels of structs in it."""
    outer = Struct()
    inner = outer
    for _ in range(depth):
        inner = inner.get_or_create_struct("x")
    return outer


def number(value: float) -> Struct:
    """A struct with that number, not at its top."""
    struct = Struct()
    struct.get_or_create_list("x").extend([1, value])
    return struct


def user(**fields: object) -> CreateUserRequest:
    return CreateUserRequest(user=NewUser(**{"id": "bob", "name": "Bob", **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "request_",
    [
        user(),
        user(id="😀" * 160),
        user(custom_data=nested(23)),
        user(custom_data=number(-1e300)),
        SendMessageRequest(room_id="x", parts=[TEXT]),
        SendMessageRequest(room_id="x", parts=[TEXT], expires_in=Duration(seconds=-1, nanos=-1)),
        SendMessageRequest(room_id="x", parts=[Part(type="TEXT/x.y+z; charset=utf-8", url="https://a/b?c")]),
        SendMessageRequest(room_id="x", parts=[Part(type="a/b", attachment=Attachment(id="x"))]),
        SetCursorRequest(user_id="u", room_id="r", position=0),
        CreateRoleRequest(role=Role(name="x", scope=ROLE_SCOPE_ROOM, permissions=["a:b_c"])),
    ],
)
def test_good_requests_pass(request_: Message) -> None:
    rules.check(request_)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (CreateUserRequest(), "user"),
        (user(id=""), "user.id"),
        (user(name=""), "user.name"),
        (BatchCreateUsersRequest(), "users"),
        (BatchCreateUsersRequest(users=[NewUser(id="a", name="a"), NewUser(id="b")]), "users[1].name"),
        (SendMessageRequest(room_id="x"), "parts"),
        (SendMessageRequest(parts=[TEXT]), "room_id"),
        (SendMessageRequest(room_id="x", parts=[Part(content="")]), "parts[0].type"),
        (SendMessageRequest(room_id="x", parts=[Part(type="a/b", url="")]), "parts[0].url"),
        (GetRoleRequest(name="x"), "scope"),
        (CreateRoleRequest(role=Role(name="x")), "role.scope"),
    ],
)
def test_missing_fields_are_named(request_: Message, field: str) -> None:
    with refuses("FIELD_REQUIRED", field=field):
        rules.check(request_)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (user(id="x" * 161), "user.id"),
        (user(custom_data=nested(30)), "user.custom_data"),
        (user(custom_data=number(math.nan)), "user.custom_data"),
        (user(custom_data=number(-math.inf)), "user.custom_data"),
        (user(custom_data=Struct(fields={"x": Value()})), "user.custom_data"),
        (ReserveAttachmentRequest(content_type="a/b", custom_data=Value()), "custom_data"),
        (ReserveAttachmentRequest(content_type="a/b", custom_data=Value(number_value=math.inf)), "custom_data"),
        (SendMessageRequest(room_id="x", parts=[TEXT] * 17), "parts"),
        (SendMessageRequest(room_id="x", parts=[Part(type="text", content="")]), "parts[0].type"),
        (SendMessageRequest(room_id="x", parts=[Part(type="a/b", url="relative/path")]), "parts[0].url"),
        (SendMessageRequest(room_id="x", parts=[Part(type="a/b", url="https:" + "ä" * 4096)]), "parts[0].url"),
        (SetCursorRequest(user_id="u", room_id="r", position=-1), "position"),
        (ListMessagesRequest(room_id="r", created_from=Timestamp(seconds=2**62)), "created_from"),
        (ListMessagesRequest(room_id="r", created_before=Timestamp(nanos=-1)), "created_before"),
        (SendMessageRequest(room_id="x", parts=[TEXT], expires_in=Duration(seconds=2**62)), "expires_in"),
        (SendMessageRequest(room_id="x", parts=[TEXT], expires_in=Duration(nanos=10**9)), "expires_in"),
        (SendMessageRequest(room_id="x", parts=[TEXT], expires_in=Duration(seconds=1, nanos=-1)), "expires_in"),
        (ListMessagesRequest(room_id="r", order=99), "order"),  # type: ignore[arg-type]
        (CreateRoleRequest(role=Role(name="x", scope=ROLE_SCOPE_ROOM, permissions=["a:b", ""])), "role.permissions[1]"),
    ],
)
def test_invalid_fields_are_named(request_: Message, field: str) -> None:
    with refuses("FIELD_INVALID", field=field):
        rules.check(request_)


def test_values_can_be_counted_before_they_are_in_a_message() -> None:
    rules.check_count(SendMessageRequest, "parts", [None] * 16)
    with refuses("FIELD_INVALID", field="parts"):
        rules.check_count(SendMessageRequest, "parts", [None] * 17)
    assert rules.rule_of(SendMessageRequest, "room_id").max_length == 160


def test_records_are_left_to_those_who_take_them_up_but_not_how_many() -> None:
    bad = ArchiveRecord(role=Role(name="x" * 161))
    rules.check(ImportRecordsRequest(records=[bad]))
    with refuses("FIELD_INVALID", field="role.name"):
        rules.check(bad)
    with refuses("FIELD_INVALID", field="records"):
        rules.check(ImportRecordsRequest(records=[bad] * 1001))
    with refuses("FIELD_REQUIRED", field="records"):
        rules.check(ImportRecordsRequest())
