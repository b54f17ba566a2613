"""`roomline instance`, with a server on the data folder and without one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import roomline
from tests.support.server import running_server


@pytest.fixture(params=["running", "offline"], scope="module")
def data_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder: Path = tmp_path_factory.mktemp("instance")
    if request.param == "running":
        with running_server(folder) as running:
            yield running.data_dir
    else:
        yield folder / "data"


def listed(data_dir: Path) -> dict[str, dict[str, object]]:
    return {one["id"]: one for one in json.loads(roomline("instance", "list", "--json", "--data-dir", data_dir).stdout)}


def test_create_shows_locator_and_key_once(data_dir: Path) -> None:
    created = roomline("instance", "create", "--data-dir", data_dir, "--id", "first", "--allow-reset")
    assert created.returncode == 0
    locator, key = (line.split()[-1] for line in created.stdout.splitlines())
    assert locator == "v1:local:first"
    assert len(key.split(":")) == 2
    one = listed(data_dir)["first"]
    assert (one["locator"], one["allow_reset"], one["test_token_provider"]) == (locator, True, False)
    table = roomline("instance", "list", "--data-dir", data_dir)
    assert "v1:local:first" in table.stdout
    assert key.split(":")[1] not in table.stdout + json.dumps(one)


def test_an_id_is_made_if_none_is_given(data_dir: Path) -> None:
    before = listed(data_dir).keys()
    assert roomline("instance", "create", "--data-dir", data_dir).returncode == 0
    assert len(listed(data_dir).keys() - before) == 1


def test_a_key_can_be_taken_over(data_dir: Path) -> None:
    created = roomline("instance", "create", "--data-dir", data_dir, "--key", "mine:se=cr/et")
    assert created.stdout.splitlines()[1].split()[-1] == "mine:se=cr/et"


def test_refusals_are_one_line(data_dir: Path) -> None:
    create = ("instance", "create", "--data-dir", data_dir, "--id", "twice")
    assert roomline(*create).returncode == 0
    again = roomline(*create)
    assert (again.returncode, again.stderr) == (1, "roomline: An instance with the id twice already exists\n")
    unknown = roomline("instance", "rotate-key", "nobody", "--data-dir", data_dir)
    assert (unknown.returncode, unknown.stderr) == (1, "roomline: The requested instance does not exist\n")
    malformed = roomline("instance", "create", "--data-dir", data_dir, "--key", "malformed")
    assert (malformed.returncode, malformed.stderr.count("\n")) == (2, 1)


def test_rotate_key_takes_id_or_locator(data_dir: Path) -> None:
    roomline("instance", "create", "--data-dir", data_dir, "--id", "turning")
    keys = [
        roomline("instance", "rotate-key", name, "--grace", "60", "--data-dir", data_dir).stdout.strip()
        for name in ("turning", "v1:local:turning")
    ]
    assert len(set(keys)) == 2
    assert all(len(key.split(":")) == 2 for key in keys)


@pytest.mark.slow  # starts twice
def test_rotating_the_development_key_is_remembered(tmp_path: Path) -> None:
    with running_server(tmp_path) as first:
        rotated = roomline("instance", "rotate-key", first.instance_locator, "--data-dir", first.data_dir)
        key = rotated.stdout.strip()
        assert key != first.key
    with running_server(tmp_path) as second:
        assert (second.instance_locator, second.key) == (first.instance_locator, key)
