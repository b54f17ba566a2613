"""Backups and restores, as commands of this process."""

from __future__ import annotations

import stat
from pathlib import Path

from tests.cli.commands import roomline_here


def backed_up(data_dir: Path, folder: Path, *options: str) -> str:
    """Makes a backup; what the command says."""
    done = roomline_here("backup", folder, "--data-dir", data_dir, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def restored(folder: Path, data_dir: Path, *options: str) -> str:
    """Restores a backup; what the command says."""
    done = roomline_here("restore", folder, "--data-dir", data_dir, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(*words: object, env: dict[str, str] | None = None) -> str:
    """Why the command refuses, in one line."""
    refused = roomline_here(*words, env=env)
    assert (refused.returncode in {1, 2}, refused.stdout) == (True, ""), refused.stdout
    assert "Traceback" not in refused.stderr
    return refused.stderr.splitlines()[-1]


def modes(folder: Path) -> dict[bool, set[int]]:
    """The modes of folders (True), itself included, and of files (False)."""
    found: dict[bool, set[int]] = {True: {stat.S_IMODE(folder.stat().st_mode)}, False: set()}
    for path in folder.rglob("*"):
        found[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    return found
