"""Ranges and validators (RFC 9110 §13, §14)."""

import time

import pytest

from gateway.ranges import Conditions, Selection, content_range, select, strong_etag

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", Selection(206, 0, 1)),
        ("bytes=0-99", Selection(206, 0, 100)),
        ("bytes=0-100", Selection(206, 0, 100)),
        ("bytes=10-19", Selection(206, 10, 10)),
        ("bytes=10-", Selection(206, 10, 90)),
        ("bytes=99-", Selection(206, 99, 1)),
        ("bytes=-1", Selection(206, 99, 1)),
        ("bytes=-100", Selection(206, 0, 100)),
        ("bytes=-101", Selection(206, 0, 100)),
        ("bytes=-" + "9" * 5000, Selection(206, 0, 100)),
        ("BYTES= 007-8\t", Selection(206, 7, 2)),
        ("bytes=100-", Selection(416, 0, 0)),
        ("bytes=100-200", Selection(416, 0, 0)),
        ("bytes=" + "9" * 5000 + "-", Selection(416, 0, 0)),
        ("bytes=-0", Selection(416, 0, 0)),
    ],
)
def test_a_range_of_a_hundred_bytes(header: str, expected: Selection) -> None:
    assert select(Conditions(header), ETAG, 100) == expected


@pytest.mark.parametrize(
    "header",
    [
        *("", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=a-b", "bytes=1-a", "bytes=5-4", "bytes=--5", "bytes=-5-"),
        *(
            "bytes=0-1,3-4",
            "bytes=0-,0-",
            "bytes=0-1,",
            "lines=0-1",
            "bytes 0-1",
            "bytes=0-1;q=1",
            "bytes=\u0661-\u0662",
        ),
    ],
)
def test_what_is_not_one_range_is_answered_with_the_whole(header: str) -> None:
    assert select(Conditions(header), ETAG, 100) == Selection(200, 0, 100)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5", "bytes=5-9", "bytes=-0"])
def test_an_empty_file_has_no_ranges(header: str) -> None:
    assert select(Conditions(header), ETAG, 0) == Selection(200, 0, 0)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=" + "0-," * 20_000,
        "bytes=" + " " * 60_000 + "x",
        "bytes=" + "1" * 60_000,
        "bytes=0-" + "\t" * 60_000 + "x",
    ],
)
def test_absurd_headers_take_no_time(header: str) -> None:
    started = time.perf_counter()
    for conditions in (Conditions(header), Conditions(if_none_match=header), Conditions(if_none_match='W/"' * 20_000)):
        assert select(conditions, ETAG, 100).status == 200
    assert time.perf_counter() - started < 0.2


@pytest.mark.parametrize("header", ['"abc"', 'W/"abc"', "*", ' "x" , "abc"', '"x",W/"abc"', '"a,b", "abc"'])
def test_bytes_that_the_client_has_are_not_sent(header: str) -> None:
    assert select(Conditions(if_none_match=header), ETAG, 100).status == 304
    assert select(Conditions(range="bytes=500-", if_none_match=header), ETAG, 100).status == 304


@pytest.mark.parametrize("header", ["", '"abcd"', "abc", '"ABC"', "nonsense", '"x", "y"'])
def test_other_bytes_are_sent(header: str) -> None:
    assert select(Conditions(if_none_match=header), ETAG, 100).status == 200


def test_without_an_etag_nothing_is_known() -> None:
    assert select(Conditions(if_none_match="*"), "", 100).status == 200
    assert select(Conditions("bytes=0-1", if_range='""'), "", 100).status == 200


@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"abc"', 206), (' "abc" ', 206), ('W/"abc"', 200), ('"x"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
def test_a_range_goes_with_the_bytes_it_was_asked_for(if_range: str, status: int) -> None:
    assert select(Conditions("bytes=0-1", if_range=if_range), ETAG, 100).status == status


def test_a_range_beyond_the_end_of_other_bytes_is_no_mistake() -> None:
    assert select(Conditions("bytes=500-", if_range='"x"'), ETAG, 100) == Selection(200, 0, 100)


def test_how_they_are_told() -> None:
    assert content_range(Selection(206, 10, 5), 100) == "bytes 10-14/100"
    assert strong_etag("a-b") == '"a-b"'
    assert [strong_etag(text) for text in ("", 'a"b', "a b", "a\r\nb", "\u00e9")] == [""] * 5
