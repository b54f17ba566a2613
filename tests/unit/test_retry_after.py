"""`Retry-After` as servers write it."""

import pytest

from services.common.retry_after import retry_after

NOW = 1_700_000_000.0
"""Tue, 14 Nov 2023 22:13:20 GMT"""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60),
        ("Tue Nov 14 22:14:20 2023", 60),
        ("Tue, 14 Nov 2023 22:12:20 GMT", 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("soon", 0),
        ("Tue, 99 Nov 2023 22:14:20 GMT", 0),
        ("Tue, 14 Nov 99999 22:14:20 GMT", 0),
        ("Tue, 14 Nov 2023 22:14:20 +9999999999", 0),
        ("Tue, 14 Nov 99999999999 22:14:20 GMT", 0),
        ("Tue, 99999999999999999999 Nov 2023 22:14:20 GMT", 0),
        ("Tue, 14 Nov 2023 22:14:20 +99999999999999", 0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


def test_a_very_long_time_is_a_number() -> None:
    assert retry_after("9" * 4000, NOW) > 86400
