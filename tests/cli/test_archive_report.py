"""What an import says of itself: report, progress, and several things at once."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from services.supervisor.archive.at_once import at_once
from services.supervisor.archive.progress import Steps
from services.supervisor.archive.report import SHORT, SHOWN, Report
from services.supervisor.command_error import CommandError


def test_a_report_has_an_entry_a_line(tmp_path: Path) -> None:
    with Report(tmp_path / "report") as report:
        report.count("users", "imported", 3)
        report.add("users", "refused", "why é", id="ann", file="users.json", line=7)
        report.note("rooms", "reduced", "some of it")
    assert [orjson.loads(line) for line in (tmp_path / "report").read_bytes().splitlines()] == [
        {"what": "users", "outcome": "refused", "detail": "why é", "id": "ann", "file": "users.json", "line": 7},
        {"what": "rooms", "outcome": "reduced", "detail": "some of it"},
    ]
    assert report.summary() == "users  3 imported, 1 refused"
    assert report.remarks() == f"2 entries about what is not as it was: {tmp_path / 'report'}"


def test_without_a_file_the_first_entries_are_shown() -> None:
    with Report(None) as report:
        for number in range(SHOWN + 5):
            report.add("users", "refused", "why", id=str(number))
    lines = report.remarks().splitlines()
    assert len(lines) == SHOWN + 2
    assert lines[1] == "users: id 0: refused: why"
    assert lines[-1].startswith("... and 5 more")


def test_what_others_wrote_does_not_command_the_terminal() -> None:
    with Report(None) as report:
        report.add("users", "refused", "\x1b[2Jgone", id="eve\nusers: id bob")
    assert report.remarks().splitlines() == [
        "Not everything is as it was:",
        "users: id eve?users: id bob: refused: ?[2Jgone",
    ]


def test_what_is_very_long_is_cut_off(tmp_path: Path) -> None:
    with Report(tmp_path / "report") as report:
        report.add("users", "refused", "why " * 10_000, id="x" * 10_000, line=7)
    entry = orjson.loads((tmp_path / "report").read_bytes())
    assert (entry["id"], entry["line"]) == ("x" * SHORT + "…", 7)
    assert max(len(entry["detail"]), len(report.shown[0]) // 3) <= SHORT + 1


def test_nothing_to_say(tmp_path: Path) -> None:
    with Report(None) as report:
        report.count("users", "imported", 0)
    assert (report.remarks(), report.summary()) == ("", "There was nothing.")


def test_a_disk_that_is_full_is_told() -> None:
    def fill() -> None:
        with Report(Path("/dev/full")) as report:
            for _ in range(10_000):
                report.add("users", "refused", "why")

    with pytest.raises(CommandError, match="cannot write the report /dev/full: No space"):
        fill()


@pytest.mark.parametrize("terminal", [False, True])
def test_progress(terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100)
    with Steps(console) as steps:
        steps.step("users", 3)
        steps.advance(2)
        steps.advance()
        steps.step("nothing")
        steps.step("rooms")
        steps.advance(5)
        steps.expect(5)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    if terminal:
        assert "3/3" in shown
        assert "5/5" in shown
    else:
        assert shown == "users: 3 of 3\nrooms: 5 of 5\n"


async def numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


async def test_never_too_many_at_once() -> None:
    running, most, done = 0, 0, []

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await at_once(3, numbers(20), work)
    assert sorted(done) == list(range(20))
    assert most == 3


async def test_a_failure_ends_all() -> None:
    ended = 0

    async def work(number: int) -> None:
        nonlocal ended
        if number == 2:
            raise ValueError(number)
        try:
            await asyncio.Event().wait()
        finally:
            ended += 1

    with pytest.raises(ValueError, match="2"):
        await at_once(3, numbers(20), work)
    assert ended == 2
