"""Lists of ids as Python prints them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chatkit.python_list import python_list

ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(ids))
def test_what_python_prints_is_read(strings: list[str]) -> None:
    assert python_list(repr(strings)) == strings


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "]", "[]", "[[]]", "[{[]:1}]", "[{[]}]", "[1is 1]", "[1]", "[None]", "[a]", "('a',)", "'a'"),
        *("['a'", "['a',]", "['a''b']", "['a' 'b']", "['a','b']", "['a'] ", " ['a']", "['a\"]", "[b'a']", "['a'.x]"),
        *(r"['\ud800']", r"['\U00110000']", r"['\x00']", r"['\u00']", r"['\q']", "['\\']", "['a', 'b'", "['a', ]"),
        "[" * 10_000 + "]" * 10_000,
    ],
)
def test_anything_else_is_no_list(text: str) -> None:
    assert python_list(text) == []
