"""Who is calling: what the interceptors found out, for the handler that they run."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum

from roomline.v1 import options_pb2
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import InstanceFlags, InstanceLimits

from services.common.errors import RoomlineError


class Level(IntEnum):
    """`CallerLevel` of the contract, comparable."""

    PUBLIC = options_pb2.CALLER_LEVEL_PUBLIC
    USER = options_pb2.CALLER_LEVEL_USER
    SERVER = options_pb2.CALLER_LEVEL_SERVER
    SERVICE = options_pb2.CALLER_LEVEL_SERVICE
    OPERATOR = options_pb2.CALLER_LEVEL_OPERATOR


MAX_USER_ID = 160
"""The longest user id, in characters: the contract's rule for every field that holds one."""

DEFAULT_LIMITS = InstanceLimits(
    message_bytes=5120,
    message_parts=10,
    custom_data_bytes=8192,
    batch_users=10,
    room_members=1000,
    media_bytes=1024**4,
    media_files=10_000_000,
    user_media_bytes=20 * 1024**3,
    user_media_files=100_000,
    room_name_characters=160,
    list_items=100,
    replayed_messages=100,
    user_id_characters=MAX_USER_ID,
)
"""Chatkit's documented limits, or higher (spec §12.2)."""

ACCOUNT_LIMITS = InstanceLimits()
"""Those of users with an account: the chat API's 4,000 characters, of four bytes at most, and ten files beside them."""
ACCOUNT_LIMITS.CopyFrom(DEFAULT_LIMITS)
ACCOUNT_LIMITS.MergeFrom(InstanceLimits(message_bytes=16_000, message_parts=11, batch_users=1000))


def effective_limits(limits: InstanceLimits, defaults: InstanceLimits = DEFAULT_LIMITS) -> InstanceLimits:
    """The limits with the defaults filled in where an instance sets none."""
    effective = InstanceLimits()
    effective.CopyFrom(defaults)
    effective.MergeFrom(limits)
    return effective


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller."""

    level: Level
    instance_id: str = ""
    """Empty for the public and for operators."""
    user_id: str = ""
    """`sub` of the token; a server token may have none, or one that names nobody, such as one longer than an id."""
    limits: InstanceLimits = field(default_factory=lambda: DEFAULT_LIMITS)
    flags: InstanceFlags = field(default_factory=InstanceFlags)
    session_id: str = ""
    """Of a token that an account got when it logged in; empty for all others."""

    @property
    def is_user(self) -> bool:
        """Acts only as itself, within its permissions."""
        return self.level is Level.USER

    def actor(self, fallback: str = "") -> str:
        """The user that the call acts as. Raises ACTOR_REQUIRED if there is none.

        `fallback` is what the request names; it counts only for a server token without `sub`.
        """
        user_id = self.user_id or fallback
        if not 0 < len(user_id) <= MAX_USER_ID:
            raise RoomlineError(ErrorReason.ERROR_REASON_ACTOR_REQUIRED)
        return user_id


PUBLIC = Caller(Level.PUBLIC)

_CALLER: ContextVar[Caller] = ContextVar("caller", default=PUBLIC)


def current_caller() -> Caller:
    """The caller of the handler that runs in this task."""
    return _CALLER.get()


def set_caller(caller: Caller) -> None:
    """Says who calls, for the rest of this task. For interceptors only."""
    _CALLER.set(caller)
