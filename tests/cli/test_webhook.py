"""`roomline webhook`, with a server on the data folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import roomline, roomline_here
from tests.support.server import Running, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that lets webhooks stay on this machine."""
    folder = tmp_path_factory.mktemp("webhook")
    with running_server(folder, env={"ROOMLINE_OUTBOUND_ALLOW_PRIVATE": "true"}) as running:
        yield running


def listed(data_dir: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(roomline("webhook", "list", "--json", "--data-dir", data_dir).stdout)
    return found


@pytest.mark.thorough
def test_a_webhook_from_its_creation_to_its_end(server: Running) -> None:
    data_dir = server.data_dir
    created = roomline(
        *(
            "webhook",
            "create",
            "http://127.0.0.1:9/hook",
            "--data-dir",
            data_dir,
            "--instance",
            server.instance_locator,
        ),
        *("--event", "message_sent", "--event", "room_created", "--description", "to our CRM"),
    )
    assert (created.returncode, created.stderr) == (0, "Keep the secret: it is not shown again.\n")
    webhook_id, secret = (line.split()[-1] for line in created.stdout.splitlines())
    (one,) = listed(data_dir)
    assert (one["id"], one["url"], one["description"]) == (webhook_id, "http://127.0.0.1:9/hook", "to our CRM")
    assert one["event_kinds"] == ["message_sent", "room_created"]

    rotated = roomline("webhook", "rotate-secret", webhook_id, "--data-dir", data_dir).stdout.strip()
    assert secret.startswith("whsec_")
    assert rotated.startswith("whsec_")
    assert rotated != secret

    def update(*options: str) -> str:
        return roomline("webhook", "update", webhook_id, "--data-dir", data_dir, *options).stdout

    shown = update("--url", "http://127.0.0.1:9/other", "--disable")
    assert "disabled" in shown
    assert "http://127.0.0.1:9/other" in shown
    assert "message_sent, room_created" in shown
    assert "Description  bell?\n" in update("--description", "bell\a")
    assert "enabled" in update("--enable", "--all-events", "--description", "to our CRM")
    (one,) = listed(data_dir)
    assert one.get("event_kinds", []) == []
    assert one["description"] == "to our CRM"
    table = roomline("webhook", "list", "--data-dir", data_dir).stdout
    assert webhook_id in table
    assert secret not in table
    assert rotated not in table

    assert roomline("webhook", "delete", webhook_id, "--data-dir", data_dir).returncode == 0
    assert listed(data_dir) == []
    again = roomline("webhook", "delete", webhook_id, "--data-dir", data_dir)
    assert (again.returncode, again.stderr) == (1, "roomline: The requested webhook does not exist.\n")
    assert "no webhook yet" in roomline("webhook", "list", "--data-dir", data_dir).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", "http://169.254.169.254/"), "its address is not public"),
        (("create", "http://127.0.0.1/", "--event", "nothing"), "webhook.event_kinds[0]"),
        (("create", "http://127.0.0.1/", "--instance", "nothing"), "there is no instance nothing"),
        (("update", "nothing", "--disable"), "webhook does not exist"),
        (("rotate-secret", "nothing"), "webhook does not exist"),
    ],
)
def test_refusals_are_one_line(server: Running, arguments: tuple[str, ...], message: str) -> None:
    refused = roomline("webhook", *arguments, "--data-dir", server.data_dir)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert message in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("list",), 1, "no server runs on"),
        (("update", "some"), 2, "name something to change"),
        (("update", "some", "--event", "message_sent", "--all-events"), 2, "not both"),
        (("create", "https://example.org/\udcff"), 2, "not UTF-8"),
        (("update", "some", "--event", "\udcff"), 2, "not UTF-8"),
    ],
)
def test_without_a_server(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    refused = roomline_here("webhook", *arguments, "--data-dir", tmp_path)
    assert (refused.returncode, refused.stdout) == (code, "")
    assert message in refused.stderr
