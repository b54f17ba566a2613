"""`roomline instance`, with a server on the data folder and without one."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import roomline, roomline_here
from tests.support.server import Running, running_server


def made(data_dir: Path, *options: str) -> tuple[str, str]:
    """Locator and key of a new instance."""
    created = roomline("instance", "create", "--data-dir", data_dir, *options)
    assert created.returncode == 0
    locator, key = (line.split()[-1] for line in created.stdout.splitlines())
    return locator, key


def test_with_a_server(dev_server: Running) -> None:
    data_dir = dev_server.data_dir
    locator, key = made(data_dir, "--id", "first", "--allow-reset")
    assert locator == "v1:local:first"
    as_json = roomline("instance", "list", "--json", "--data-dir", data_dir).stdout
    (one,) = (one for one in json.loads(as_json) if one["id"] == "first")
    assert (one["locator"], one["allow_reset"], one["test_token_provider"]) == (locator, True, False)
    table = roomline("instance", "list", "--data-dir", data_dir).stdout
    assert locator in table
    rotated = [
        roomline("instance", "rotate-key", name, "--grace", "60", "--data-dir", data_dir).stdout.strip()
        for name in ("first", locator)
    ]
    assert len({key, *rotated}) == 3
    assert all(len(one.split(":")) == 2 for one in (key, *rotated))
    assert not any(one.split(":")[1] in as_json + table for one in (key, *rotated))  # keys are shown once


def test_without_a_server(tmp_path: Path) -> None:
    locator, key = made(tmp_path, "--key", "mine:se=cr/et")
    instance_id = locator.removeprefix("v1:local:")
    assert len(instance_id) == 36
    assert key == "mine:se=cr/et"
    rotated = roomline("instance", "rotate-key", locator, "--data-dir", tmp_path).stdout.strip()
    assert len(rotated.split(":")) == 2
    (one,) = json.loads(roomline("instance", "list", "--json", "--data-dir", tmp_path).stdout)
    assert (one["id"], one["allow_reset"], one["test_token_provider"]) == (instance_id, False, False)


@pytest.mark.thorough
def test_switches_and_limits_are_changed(tmp_path: Path) -> None:
    made(tmp_path, "--id", "mine", "--cluster", "us1", "--allow-reset")

    def update(*options: str) -> str:
        return roomline("instance", "update", "mine", "--data-dir", tmp_path, *options).stdout

    shown = update("--test-token-provider", "--limit", "message_bytes=10000", "--limit", "media_bytes=5000000000")
    assert "v1:us1:mine" in shown
    assert "message_bytes=10000, media_bytes=5000000000" in shown
    update("--no-allow-reset", "--limit", "media_bytes=0")
    (one,) = json.loads(roomline("instance", "list", "--json", "--data-dir", tmp_path).stdout)
    assert (one["allow_reset"], one["test_token_provider"]) == (False, True)
    assert one["limits"] == {"message_bytes": 10000}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name a switch or a limit"),
        (("--limit", "nonsense=5"), "--limit takes NAME=NUMBER, where NAME is one of message_bytes,"),
        (("--limit", "message_bytes"), "--limit takes NAME=NUMBER"),
        (("--limit", "message_parts=99999999999"), "--limit takes NAME=NUMBER"),
        (("--limit", "DESCRIPTOR=5"), "--limit takes NAME=NUMBER"),
    ],
)
def test_changes_that_make_no_sense(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    refused = roomline_here("instance", "update", "mine", "--data-dir", tmp_path / "data", *options)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert message in refused.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.thorough
def test_a_limit_that_is_too_much_is_refused_by_the_service(tmp_path: Path) -> None:
    made(tmp_path, "--id", "mine")
    refused = roomline("instance", "update", "mine", "--data-dir", tmp_path, "--limit", "message_parts=17")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "message_parts" in refused.stderr


def test_refusals_are_one_line(dev_server: Running) -> None:
    made(dev_server.data_dir, "--id", "twice")
    again = roomline("instance", "create", "--data-dir", dev_server.data_dir, "--id", "twice")
    assert (again.returncode, again.stderr) == (1, "roomline: An instance with the id twice already exists\n")
    unknown = roomline("instance", "rotate-key", "nobody", "--data-dir", dev_server.data_dir)
    assert (unknown.returncode, unknown.stderr) == (1, "roomline: The requested instance does not exist\n")


def test_refusals_without_a_server_are_one_line_too(tmp_path: Path) -> None:
    unknown = roomline("instance", "rotate-key", "nobody", "--data-dir", tmp_path)
    assert (unknown.returncode, unknown.stderr) == (1, "roomline: The requested instance does not exist\n")


def test_a_malformed_key_is_refused_at_once(tmp_path: Path) -> None:
    malformed = roomline_here("instance", "create", "--data-dir", tmp_path / "data", "--key", "malformed")
    assert (malformed.returncode, malformed.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow  # starts twice
def test_rotating_the_development_key_is_remembered(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        rotated = roomline("instance", "rotate-key", first.instance_locator, "--data-dir", first.data_dir)
        key = rotated.stdout.strip()
        assert key != first.key
    with running_server(tmp_path) as second:
        assert (second.instance_locator, second.key) == (first.instance_locator, key)
