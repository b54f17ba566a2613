"""What the `roomline` command says of itself, and of options and settings that make no sense."""

from importlib import metadata
from pathlib import Path

import pytest

from tests.cli.commands import KEY, LOCATOR, roomline, roomline_here


@pytest.mark.parametrize(
    "arguments",
    [
        *(("import", "--help"), ("import", "chatkit", "--help"), ("import", "archive", "--help"), ("export", "--help")),
        ("--help",),
        ("up", "--help"),
        ("instance", "--help"),
        ("token", "--help"),
        ("instance", "update", "--help"),
    ],
)
def test_help(arguments: tuple[str, ...]) -> None:
    shown = roomline_here(*arguments)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: roomline")


def test_version() -> None:
    shown = roomline_here("--version")
    assert (shown.returncode, shown.stdout) == (0, f"roomline {metadata.version('roomline-server')}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dev", "--host", "0.0.0.0"), "--dev lets everybody in"),
        (("--dev", "--host", "::"), "--dev lets everybody in"),
        (("--instance", LOCATOR), "go together"),
        (("--key", KEY), "go together"),
        (("--instance", "v1:us1", "--key", KEY), "no instance locator"),
        (("--instance", LOCATOR, "--key", "no-colon"), "key is malformed"),
        (("--port", "70000"), "65535"),
        (("--nonsense",), "--nonsense"),
        (("--ready-file", "/no/such/folder/ready.json"), "/no/such/folder is no folder"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    refused = roomline_here("up", "--data-dir", tmp_path / "data", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert not (tmp_path / "data").exists()


def test_a_setting_is_named_when_it_is_wrong(tmp_path: Path) -> None:
    refused = roomline_here("up", env={"ROOMLINE_TLS_PORT": "many", "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "ROOMLINE_TLS_PORT" in refused.stderr


def test_settings_that_do_not_fit_together_are_told(tmp_path: Path) -> None:
    overlapping = roomline("up", "--port", "50052", "--data-dir", tmp_path)
    assert (overlapping.returncode, overlapping.stdout, overlapping.stderr.count("\n")) == (2, "", 1)
    assert "must not overlap" in overlapping.stderr
    lonely = roomline("up", env={"ROOMLINE_TLS_KEY": "/key.pem", "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (lonely.returncode, lonely.stderr.count("\n")) == (2, 1)
    missing = {"ROOMLINE_TLS_KEY": "/key.pem", "ROOMLINE_TLS_CERTIFICATE": "/none.pem"}
    unreadable = roomline("up", env={**missing, "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (unreadable.returncode, unreadable.stderr.count("\n")) == (1, 1)
    assert "/none.pem" in unreadable.stderr
