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
)
"""Chatkit's documented limits, or higher (spec §12.2)."""


def effective_limits(limits: InstanceLimits) -> InstanceLimits:
    """The limits with the defaults filled in where an instance sets none."""
    effective = InstanceLimits()
    effective.CopyFrom(DEFAULT_LIMITS)
    effective.MergeFrom(limits)
    return effective


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller."""

    level: Level
    instance_id: str = ""
    """Empty for the public and for operators."""
    user_id: str = ""
    """`sub` of the token; a server token may have none, or one that names nobody."""
    limits: InstanceLimits = field(default_factory=lambda: DEFAULT_LIMITS)
    flags: InstanceFlags = field(default_factory=InstanceFlags)

    @property
    def is_user(self) -> bool:
        """Acts only as itself, within its permissions."""
        return self.level is Level.USER

    def actor(self, fallback: str = "") -> str:
        """The user that the call acts as. Raises ACTOR_REQUIRED if there is none.

        `fallback` is what the request names; it counts only for a server token without `sub`.
        """
        user_id = self.user_id or fallback
        if not user_id:
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
