"""Paths: byte-exact, without redirects (spec §1.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import EdgeError, EdgeReason
from gateway.request import Request
from gateway.response import NO_CONTENT, Response
from gateway.router import Router, segments


async def handler(_request: Request) -> Response:
    return NO_CONTENT


@pytest.fixture
def router() -> Router:
    router = Router()
    router.add("GET", "/rooms/{room_id}", handler)
    router.add("PUT", "/rooms/{room_id}/users/add", handler)
    router.add("GET", "/rooms", handler)
    return router


def encoded(text: str) -> bytes:
    return b"".join(b"%%%02x" % byte for byte in text.encode())


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(texts)
def test_every_id_survives_percent_encoding(text: str) -> None:
    assert segments(b"/rooms/" + encoded(text) + b"/x") == ["rooms", text, "x"]


@given(texts.filter(lambda text: not set(text) & {"/", "%"}))
def test_every_id_survives_as_raw_utf_8(text: str) -> None:
    assert segments(b"/rooms/" + text.encode()) == ["rooms", text]


@pytest.mark.parametrize("path", [b"/rooms/a", b"//rooms///a", b"/rooms/a/", b"rooms/a", b"/%72ooms/a"])
def test_slashes_collapse_and_none_is_needed_at_the_end(router: Router, path: bytes) -> None:
    match = router.find(path)
    assert match is not None
    assert match.values == ["a"]
    assert set(match.routes) == {"GET", "HEAD"}


def test_parameters_know_their_names_and_places(router: Router) -> None:
    match = router.find(b"/rooms/a%2Fb/users/add")
    assert match is not None
    assert match.values == ["a/b"]
    assert (match.routes["PUT"].names, match.routes["PUT"].positions) == (("room_id",), (1,))


@pytest.mark.parametrize("path", [b"/", b"", b"/room", b"/rooms/a/b", b"/rooms/a/users", b"/rooms/a/users/add/x"])
def test_other_paths_are_not_found(router: Router, path: bytes) -> None:
    assert router.find(path) is None


@pytest.mark.parametrize("path", [b"/rooms/%ff", b"/rooms/\xff", b"/rooms/a%00b"])
def test_ids_that_nobody_can_have_are_refused(router: Router, path: bytes) -> None:
    with pytest.raises(EdgeError) as refused:
        router.find(path)
    assert refused.value.reason is EdgeReason.PATH_INVALID


def test_it_knows_all_its_patterns(router: Router) -> None:
    assert set(router.patterns()) == {
        ("GET", "/rooms"),
        ("HEAD", "/rooms"),
        ("GET", "/rooms/{room_id}"),
        ("HEAD", "/rooms/{room_id}"),
        ("PUT", "/rooms/{room_id}/users/add"),
    }


def test_dots_are_ids_like_others(router: Router) -> None:
    match = router.find(b"/rooms/..")
    assert match is not None
    assert match.values == [".."]


def test_a_route_is_added_once(router: Router) -> None:
    with pytest.raises(ValueError, match="there already"):
        router.add("GET", "/rooms/{id}", handler)
    with pytest.raises(ValueError, match="a parameter and a literal"):
        router.add("GET", "/rooms/all", handler)
