"""The limits of an instance, where a field rule only has the ceiling for everybody."""

from typing import Any

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.user_service_pb2 import NewUser

from services.common.call import Caller
from services.common.errors import RoomlineError
from services.common.rules import invalid
from services.common.structs import has_more_json


def check_custom_data(caller: Caller, message: Any, path: str = "") -> None:
    """Raises FIELD_INVALID if the message's `custom_data` is larger than the instance allows."""
    limit = caller.limits.custom_data_bytes
    if message.HasField("custom_data") and has_more_json(message.custom_data, limit):
        raise invalid(path + "custom_data", f"at most {limit} bytes of JSON")


def check_batch(caller: Caller, count: int, field: str) -> None:
    """Raises FIELD_INVALID if a call names more users at once than the instance allows."""
    limit = caller.limits.batch_users
    if count > limit:
        raise invalid(field, f"at most {limit} items")


def check_members(caller: Caller, count: int) -> None:
    """Raises QUOTA_EXCEEDED if a room would have more members than the instance allows."""
    if count > caller.limits.room_members:
        raise RoomlineError(ErrorReason.ERROR_REASON_QUOTA_EXCEEDED, quota="room members")


def check_room_name(caller: Caller, name: str, field: str) -> None:
    """Raises FIELD_INVALID if a room's name is longer than the instance allows."""
    _check_length(name, caller.limits.room_name_characters, field)


def check_new_user(caller: Caller, user: NewUser, path: str = "") -> None:
    """Raises FIELD_INVALID if the user's id is longer, or `custom_data` larger, than the instance allows."""
    _check_length(user.id, caller.limits.user_id_characters, path + "id")
    check_custom_data(caller, user, path)


def check_message_size(limits: InstanceLimits, size: int) -> None:
    """Raises MESSAGE_TOO_LARGE if a message has more bytes of content than these limits allow."""
    limit = limits.message_bytes
    if size > limit:
        raise RoomlineError(ErrorReason.ERROR_REASON_MESSAGE_TOO_LARGE, size=size, limit=limit)


def _check_length(text: str, limit: int, field: str) -> None:
    if len(text) > limit:
        raise invalid(field, f"at most {limit} characters")
