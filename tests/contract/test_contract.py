"""What buf cannot check: access rules and field rules make sense for every method of the contract."""

import re

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from roomline.v1 import options_pb2

from services.common.contract import METHODS as BY_NAME
from services.common.contract import SERVICES
from services.common.naming import uid_fields
from services.message.roles import BUILT_IN

METHODS = list(BY_NAME.values())
MESSAGES = sorted(
    {message for method in METHODS for message in (method.input_type, method.output_type)},
    key=lambda message: str(message.full_name),
)


def access_of(method: MethodDescriptor) -> options_pb2.Access:
    return method.GetOptions().Extensions[options_pb2.access]


def resolve(message: Descriptor, path: str) -> FieldDescriptor:
    *parents, name = path.split(".")
    for parent in parents:
        inner = message.fields_by_name[parent].message_type
        assert inner is not None
        message = inner
    return message.fields_by_name[name]


def test_the_contract_has_every_service_of_the_design() -> None:
    assert {service.name for service in SERVICES} == {
        *("UserService", "AccountService", "InstanceService", "PresenceService", "RoomService", "MessageService"),
        *("CursorService", "AccessService", "EventService", "MediaService", "PipeService"),
        *("ArchiveService", "ArchiveFileService", "WebhookService", "PushService"),
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_method_says_who_may_call_it(method: MethodDescriptor) -> None:
    access = access_of(method)
    assert access.level != options_pb2.CALLER_LEVEL_UNSPECIFIED
    for path in (access.self_field, access.room_field):
        if path:
            field = resolve(method.input_type, path)
            assert field.type == FieldDescriptor.TYPE_STRING
            assert not field.is_repeated
    if access.permission:
        assert access.level == options_pb2.CALLER_LEVEL_USER, "a permission is for users"
        assert access.permission in BUILT_IN["admin"]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_what_stands_in_for_a_room_id_counts_for_permissions_too(method: MethodDescriptor) -> None:
    if method.containing_service.name != "MediaService" and uid_fields(method.input_type):
        assert access_of(method).room_field in {"room_id", ""}
        rule = method.input_type.fields_by_name["room_id"].GetOptions().Extensions[options_pb2.rule]
        # It is filled in before field rules are checked. A service may ask about no room.
        assert rule.required or access_of(method).level == options_pb2.CALLER_LEVEL_SERVICE


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_method_has_its_own_request_and_response(method: MethodDescriptor) -> None:
    assert (method.input_type.name, method.output_type.name) == (f"{method.name}Request", f"{method.name}Response")


def test_stubs_take_nothing_but_the_contract_and_no_more_options() -> None:
    for service in SERVICES:
        options = service.file.GetOptions()
        assert (options.go_package, options.java_multiple_files) == ("roomline/v1;roomlinev1", True)
        assert all(file.name.startswith(("roomline/v1/", "google/protobuf/")) for file in service.file.dependencies)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.full_name)
def test_field_rules_fit_their_fields(message: Descriptor) -> None:
    for field in message.fields:
        rule = field.GetOptions().Extensions[options_pb2.rule]
        if rule.pattern:
            re.compile(rule.pattern)
        if rule.min_items or rule.max_items:
            assert field.is_repeated, field.full_name
        if rule.max_length or rule.pattern:
            assert field.type == FieldDescriptor.TYPE_STRING, field.full_name
        if rule.max_depth:
            assert field.message_type is not None
            assert field.message_type.full_name in ("google.protobuf.Struct", "google.protobuf.Value")


def test_every_request_string_has_a_limit() -> None:
    free = [
        field.full_name
        for method in METHODS
        for field in method.input_type.fields
        if field.type == FieldDescriptor.TYPE_STRING
        and not field.is_repeated
        and not any(
            getattr(field.GetOptions().Extensions[options_pb2.rule], name) for name in ("max_length", "max_bytes")
        )
    ]
    assert free == []
