"""Folders that are written by one command at a time, and are left alone once they are whole."""

from __future__ import annotations

import contextlib
import fcntl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.supervisor.command_error import CommandError
from services.supervisor.unfinished import MANIFEST, UnfinishedFolder

NAME = "content"


def folder(path: Path) -> UnfinishedFolder:
    return UnfinishedFolder(path, "a backup", "backup", (NAME,))


@contextlib.contextmanager
def before_the_lock(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> Iterator[None]:
    """Has something happen between what a command does in the folder, and its lock."""
    lock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        happens()
        lock(descriptor, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        yield


def test_what_another_command_finishes_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder"
    first = contextlib.ExitStack()
    writer = folder(path)
    writer.claim(first)
    (path / NAME).write_text("whole")

    def finish() -> None:
        writer.finish(b"{}")
        first.close()

    with (
        before_the_lock(monkeypatch, finish),
        contextlib.ExitStack() as second,
        pytest.raises(CommandError, match="has a backup already"),
    ):
        folder(path).claim(second)
    assert {one.name: one.read_text() for one in path.iterdir()} == {MANIFEST: "{}", NAME: "whole"}


def test_what_others_put_there_meanwhile_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "folder"
    path.mkdir()
    path.chmod(0o777)
    with (
        before_the_lock(monkeypatch, lambda: (path / "of others").symlink_to(tmp_path / "elsewhere")),
        contextlib.ExitStack() as stack,
        pytest.raises(CommandError, match="is not empty"),
    ):
        folder(path).claim(stack)
    with before_the_lock(monkeypatch, lambda: (path / NAME).symlink_to(tmp_path / "elsewhere")):
        (path / "of others").unlink()
        with contextlib.ExitStack() as stack:
            folder(path).claim(stack)
            assert not (path / NAME).is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_folder_that_is_not_for_us_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    tmp_path.chmod(0o755)
    with contextlib.ExitStack() as stack, pytest.raises(CommandError, match="is not empty"):
        folder(tmp_path).claim(stack)
    assert (stat.S_IMODE(tmp_path.stat().st_mode), len([*tmp_path.iterdir()])) == (0o755, 1)
