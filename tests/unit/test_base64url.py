"""Base64url without padding."""

import os

import pytest

from services.common import base64url


@pytest.mark.parametrize("size", range(5))
def test_there_and_back(size: int) -> None:
    data = os.urandom(size)
    text = base64url.encode(data)
    assert "=" not in text
    assert base64url.decode(text) == data
    assert base64url.decode(text + "=" * (-len(text) % 4)) == data


@pytest.mark.parametrize("text", ["A", "AA AA", "ä", "!!!!", "AAA\n"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        base64url.decode(text)
