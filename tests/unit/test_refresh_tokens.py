"""Refresh tokens, as text and one after the other."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.user.refresh_tokens import RefreshToken

SECRETS = st.binary(min_size=32, max_size=32)
TOKEN = RefreshToken.make("01900000-0000-7000-8000-000000000001", b"s" * 32, b"k" * 32)


@given(st.uuids(), SECRETS, SECRETS)
def test_a_token_is_what_its_text_says(session_id: uuid.UUID, secret: bytes, key: bytes) -> None:
    token = RefreshToken.make(str(session_id), secret, key)
    assert RefreshToken.parse(token.text) == token
    assert len(token.text) == 86
    assert token.is_sealed(key)
    assert len(token.digest) == 32


@given(st.text())
def test_any_other_text_is_none(text: str) -> None:
    assert RefreshToken.parse(text) is None


@pytest.mark.parametrize("text", [TOKEN.text[:-1], TOKEN.text + "A", TOKEN.text + "==", "+" + TOKEN.text[1:], "A" * 85])
def test_nearly_a_token_is_none(text: str) -> None:
    assert RefreshToken.parse(text) is None


def test_a_token_leads_to_one_next_by_salt_and_secret() -> None:
    following = TOKEN.following(b"salt", b"k" * 32)
    assert TOKEN.following(b"salt", b"k" * 32) == following
    assert following.is_sealed(b"k" * 32)
    assert following.session_id == TOKEN.session_id
    others = {TOKEN.following(b"tlas", b"k" * 32), following.following(b"salt", b"k" * 32), TOKEN}
    assert len({one.secret for one in others} | {following.secret}) == 4


def test_a_seal_is_of_one_secret_and_one_session() -> None:
    assert not TOKEN.is_sealed(b"another key")
    assert not TOKEN._replace(secret=b"x" * 32).is_sealed(b"k" * 32)
    assert not TOKEN._replace(seal=b"x" * 16).is_sealed(b"k" * 32)
