"""Ids rise, whatever the clock does."""

import uuid

from services.common.ids import Uuid7, secret
from tests.support.clock import ManualClock


def test_ids_are_uuid_version_7_with_the_time_in_front() -> None:
    clock = ManualClock()
    value = uuid.UUID(Uuid7(clock)())
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert value.int >> 80 == clock() // 1000


def test_ids_rise_bytewise_while_the_clock_stands_still_or_steps_back() -> None:
    clock = ManualClock()
    new_id = Uuid7(clock)
    ids = [new_id() for _ in range(5000)]
    clock.advance(-3600)
    ids += [new_id() for _ in range(10)]
    assert ids == sorted(set(ids))


def test_secrets_have_no_colon_and_256_bits() -> None:
    assert len(bytes.fromhex(secret())) == 32
