"""Page tokens."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.pagination import decode_page_token, encode_page_token, page_size
from tests.support.refusals import refuses

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(INT64, st.text())
def test_a_token_stands_for_its_place(number: int, text: str) -> None:
    token = encode_page_token(number, text)
    assert decode_page_token(token, int, str) == (number, text)
    assert token.isascii()
    assert "=" not in token


@given(st.text())
def test_garbage_is_refused_with_a_reason(token: str) -> None:
    with refuses("PAGE_TOKEN_INVALID"):
        decode_page_token(token, int)


@pytest.mark.parametrize("place", [[], [1, 2], ["1"], [1.0], [True], [None], [2**63], {"a": 1}, 1])
def test_a_place_of_another_kind_is_refused(place: object) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps(place)).decode()
    with refuses("PAGE_TOKEN_INVALID"):
        decode_page_token(token, int)


def test_page_sizes() -> None:
    assert [page_size(size, 20) for size in (0, 1, 100, 101)] == [20, 1, 100, 100]
    assert page_size(50, 20, maximum=30) == 30
