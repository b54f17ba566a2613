"""Lists of users: all from a moment on, and by id (spec §3 U4, U5, §3.4, §3.5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.wire import codes
from tests.wire.client import Server, fresh, pass_a_second


def new_batch(server: Server, count: int) -> list[Any]:
    users = [{"id": fresh(), "name": "Ann"} for _ in range(count)]
    created = server.su().post("/batch_users", users).read(201)
    assert isinstance(created, list)
    return created


def ids(users: list[Any]) -> list[str]:
    return [user["id"] for user in users]


@dataclass(frozen=True)
class TwoMoments:
    """Ten users of a second of their own, then 110 of a later one: with fewer, `from_ts` could not split."""

    early: list[Any]
    late: list[Any]

    @property
    def start(self) -> str:
        """The second of the early users, as the server wrote it."""
        return str(self.early[0]["created_at"])


@pytest.fixture(scope="module")
def moments(server: Server) -> TwoMoments:
    pass_a_second()
    early = new_batch(server, 10)
    pass_a_second()
    return TwoMoments(early, [user for _ in range(11) for user in new_batch(server, 10)])


def listed(server: Server, from_ts: str, limit: str = "100") -> list[str]:
    return ids(server.su().get(f"/users?from_ts={from_ts}&limit={limit}").read())


def test_users_come_in_creation_order_from_a_moment_on(server: Server, moments: TwoMoments) -> None:
    assert listed(server, moments.start) == ids(moments.early + moments.late)[:100]


def test_from_ts_is_inclusive_and_leaves_out_what_is_earlier(server: Server, moments: TwoMoments) -> None:
    assert listed(server, moments.late[0]["created_at"], "10") == ids(moments.late)[:10]


def test_from_ts_may_have_another_offset(server: Server, moments: TwoMoments) -> None:
    east = timezone(timedelta(hours=2))
    moment = datetime.fromisoformat(moments.start).astimezone(east).isoformat()
    assert listed(server, quote(moment), "10") == ids(moments.early)


def test_from_ts_may_have_a_fraction(server: Server, moments: TwoMoments) -> None:
    assert listed(server, moments.start.replace("Z", ".000Z"), "10") == ids(moments.early)


@pytest.mark.parametrize(("limit", "count"), [("2", 2), ("100", 100), ("1000", 100), ("0", 20), ("", 20)])
def test_limit_has_a_default_and_a_maximum(server: Server, moments: TwoMoments, limit: str, count: int) -> None:
    assert len(listed(server, moments.start, limit)) == count


def test_without_parameters_the_list_starts_at_the_oldest(server: Server, moments: TwoMoments) -> None:
    users = server.su().get("/users").read()
    created = [user["created_at"] for user in users]
    assert len(users) == 20
    assert created == sorted(created)
    assert created[0] <= moments.start


def test_a_listed_user_is_the_user(server: Server, moments: TwoMoments) -> None:
    first, *_ = server.su().get(f"/users?from_ts={moments.start}").read()
    assert first == moments.early[0]


@pytest.mark.parametrize("from_ts", ["yesterday", "5", "2019-05-01", "2019-13-01T00:00:00Z", "%00"])
def test_a_bad_from_ts_is_refused(server: Server, from_ts: str) -> None:
    server.su().get(f"/users?from_ts={from_ts}").fails(422, codes.VALIDATION_FAILED)


def test_a_user_may_list_users(server: Server, alice: str) -> None:
    assert server.user(alice).get("/users?limit=1").status == 200


@pytest.mark.parametrize("count", [2, 4])
def test_by_ids_gives_exactly_the_requested(server: Server, alice: str, count: int) -> None:
    server.new_user()
    wanted = [alice, *ids(new_batch(server, count - 1))]
    users = server.user(alice).get("/users_by_ids?" + "&".join(f"id={user}" for user in wanted)).read()
    assert sorted(ids(users)) == sorted(wanted)
    assert server.su().get(f"/users/{alice}").read() in users


def test_by_ids_leaves_out_unknown_ids(server: Server, alice: str) -> None:
    assert ids(server.su().get(f"/users_by_ids?id={fresh()}&id={alice}").read()) == [alice]
    assert server.su().get(f"/users_by_ids?id={fresh()}").read() == []


def test_by_ids_gives_a_repeated_id_once(server: Server, alice: str) -> None:
    assert ids(server.su().get(f"/users_by_ids?id={alice}&id={alice}").read()) == [alice]


def test_by_ids_decodes_its_ids(server: Server) -> None:
    user = server.new_user(fresh("a+b &=#/\N{GRINNING FACE}"))
    assert ids(server.su().get(f"/users_by_ids?id={quote(user, safe='')}").read()) == [user]


def test_by_ids_takes_the_old_comma_form(server: Server, alice: str, bob: str) -> None:
    users = server.su().get(f"/users_by_ids?user_ids={alice},{bob}").read()
    assert sorted(ids(users)) == sorted([alice, bob])


@pytest.mark.parametrize("start", ["plain ", "it's "])
def test_by_ids_takes_a_python_list(server: Server, alice: str, start: str) -> None:
    wanted = [alice, server.new_user(fresh(start))]
    users = server.su().get(f"/users_by_ids?id={quote_plus(repr(wanted))}").read()
    assert sorted(ids(users)) == sorted(wanted)


def test_by_ids_takes_a_long_python_list(server: Server) -> None:
    wanted = [server.new_user() for _ in range(6)]
    users = server.su().get(f"/users_by_ids?id={quote_plus(repr(wanted))}").read()
    assert sorted(ids(users)) == sorted(wanted)


@pytest.mark.parametrize("text", ["[{[]:1}]", "[{[]}]", r"['\ud800']", "[1is 1]", "[[]]", "['a', 5]", "[" * 900])
def test_by_ids_of_what_is_no_list_of_ids(server: Server, text: str) -> None:
    reply = server.su().get(f"/users_by_ids?id={quote_plus(text)}")
    if len(text) > 160:
        reply.refuses("id", "invalid")
    else:
        assert reply.read() == []


def test_by_ids_prefers_a_user_whose_id_is_that_list(server: Server, alice: str) -> None:
    literal = server.new_user(repr([alice]))
    assert ids(server.su().get(f"/users_by_ids?id={quote_plus(literal)}").read()) == [literal]
