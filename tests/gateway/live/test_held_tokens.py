"""The tokens of those who stay."""

from __future__ import annotations

import asyncio
import time

import pytest
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.instance_pb2 import Instance, InstanceKey
from roomline.v1.instance_service_pb2 import InstanceCredentials

from gateway.live.held_tokens import SWEPT_AT_ONCE, HeldTokens
from services.common.errors import RoomlineError
from services.common.tokens import TokenVerifier, user_token

SECRET = "a-secret-of-the-first-instance-key"
MANY = 3 * SWEPT_AT_ONCE


class Keys:
    """The credentials of one instance: there is a key until it is revoked."""

    def __init__(self) -> None:
        self._version = 1

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        keys = [InstanceKey(id="key", secret=SECRET)] if self._version == 1 else []
        return InstanceCredentials(instance=Instance(id=instance_id), keys=keys)

    def version(self, instance_id: str) -> int:
        return self._version if instance_id else 0

    def is_ended(self, instance_id: str, session_id: str) -> bool:
        return not (instance_id and session_id)

    def revoke(self) -> None:
        self._version += 1


async def test_whoever_else_has_something_to_do_has_a_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.live.held_tokens.SWEEP_SECONDS", 0)
    keys = Keys()
    tokens = HeldTokens(TokenVerifier(keys, "", ""))
    ended: list[RoomlineError] = []
    for number in range(MANY):
        token = user_token("one", "key", SECRET, f"user-{number}", time.time(), 3600)
        tokens.hold(f"Bearer {token}", "one", ended.append, past_expiry=True)
    keys.revoke()
    sweeping = asyncio.create_task(tokens.run())
    seen = set()
    try:
        async with asyncio.timeout(30):
            while len(ended) < MANY:
                await asyncio.sleep(0)
                seen.add(len(ended))
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    assert any(0 < count < MANY for count in seen)
    assert {error.reason for error in ended} == {ErrorReason.ERROR_REASON_TOKEN_INVALID}


class Hanging(Keys):
    """The credentials of another instance cannot be had, and that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.fails = asyncio.Event()
        self.asked_again = asyncio.Event()

    async def get(self, instance_id: str) -> InstanceCredentials | None:
        if instance_id == "one":
            return await super().get(instance_id)
        self.asked += 1
        if self.fails.is_set():
            self.asked_again.set()
        await self.fails.wait()
        raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="user")


async def test_no_instance_waits_for_the_keys_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.live.held_tokens.SWEEP_SECONDS", 0)
    keys = Hanging()
    tokens = HeldTokens(TokenVerifier(keys, "", ""))
    ended: list[RoomlineError] = []
    is_over = asyncio.Event()

    def end(error: RoomlineError) -> None:
        ended.append(error)
        is_over.set()

    for user_id, instance_id in (("ann", "gone"), ("bob", "gone"), ("ann", "one")):
        token = user_token(instance_id, "key", SECRET, user_id, time.time(), 3600)
        tokens.hold(f"Bearer {token}", instance_id, end, past_expiry=True)
    keys.revoke()
    sweeping = asyncio.create_task(tokens.run())
    try:
        async with asyncio.timeout(30):
            await is_over.wait()
        assert keys.asked <= 1
        keys.fails.set()
        async with asyncio.timeout(30):
            await keys.asked_again.wait()
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    assert {error.reason for error in ended} == {ErrorReason.ERROR_REASON_TOKEN_INVALID}
