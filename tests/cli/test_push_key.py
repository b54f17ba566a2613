"""`roomline push-key`: what it prints turns web push on."""

from __future__ import annotations

import pytest

from services.common.settings import Settings
from services.common.vapid_key import is_private
from services.message.vapid import Vapid
from tests.cli.commands import roomline_here
from tests.support.browser import PRIVATE_KEY, SUBJECT


def printed(*arguments: str) -> dict[str, str]:
    """The settings that the command prints."""
    run = roomline_here("push-key", *arguments)
    assert run.returncode == 0, run.stderr
    return dict(line.split("=", 1) for line in run.stdout.splitlines())


def test_the_settings_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    made = printed("--subject", SUBJECT)
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    key = settings.push_vapid_key.get_secret_value()
    assert settings.push_subject == SUBJECT
    assert len(Vapid(key, settings.push_subject, lambda: 0.0).public_key) == 87


def test_each_key_is_another_one_and_the_subject_can_wait() -> None:
    first, second = printed(), printed()
    assert first["ROOMLINE_PUSH_VAPID_KEY"] != second["ROOMLINE_PUSH_VAPID_KEY"]
    assert first["ROOMLINE_PUSH_SUBJECT"] == "mailto:"
    assert is_private(first["ROOMLINE_PUSH_VAPID_KEY"])


def test_a_subject_that_the_server_would_refuse_is_refused() -> None:
    run = roomline_here("push-key", "--subject", "operator")
    assert (run.returncode, run.stdout) == (2, "")
    assert "ROOMLINE_PUSH_SUBJECT" in run.stderr


@pytest.mark.parametrize(
    ("key", "subject", "named"),
    [
        ("not base64url!", SUBJECT, "ROOMLINE_PUSH_VAPID_KEY"),
        ("AAAA", SUBJECT, "ROOMLINE_PUSH_VAPID_KEY"),
        ("A" * 43, SUBJECT, "ROOMLINE_PUSH_VAPID_KEY"),
        ("_" * 43, SUBJECT, "ROOMLINE_PUSH_VAPID_KEY"),
        (PRIVATE_KEY, "", "ROOMLINE_PUSH_SUBJECT"),
        (PRIVATE_KEY, "operator@example.org", "ROOMLINE_PUSH_SUBJECT"),
        (PRIVATE_KEY, "http://example.org", "ROOMLINE_PUSH_SUBJECT"),
    ],
)
def test_settings_that_cannot_work_are_named_and_not_shown(key: str, subject: str, named: str) -> None:
    run = roomline_here(
        "token", "--user", "ann", env={"ROOMLINE_PUSH_VAPID_KEY": key, "ROOMLINE_PUSH_SUBJECT": subject}
    )
    assert run.returncode == 2
    assert named in run.stderr
    assert key not in run.stderr
