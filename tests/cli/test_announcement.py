"""The block that `roomline up` prints."""

import io
import os
from pathlib import Path

from rich.console import Console

from services.supervisor.announcement import announce
from services.supervisor.deployment import Run
from services.supervisor.identity import Identity

RUN = Run(
    http="http://127.0.0.1:8080",
    https="",
    grpc={"user": "127.0.0.1:50051"},
    instance_locator="",
    key="",
    ca_file="",
    pids={"supervisor": 1},
)


def printed(dev: Identity | None, *, has_instances: bool) -> str:
    console = Console(file=io.StringIO(), width=40)
    announce(console, RUN, Path("a folder"), dev, has_instances=has_instances)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_commands_are_there_to_be_copied() -> None:
    assert "\n  There is no instance yet. Make one with:  roomline instance create --data-dir 'a folder'\n" in printed(
        None, has_instances=False
    )
    assert "roomline instance create" not in printed(None, has_instances=True)
    assert "roomline token --user alice --data-dir 'a folder' " in printed(Identity.make(), has_instances=True)


def test_a_reader_that_goes_away_stops_nothing() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as standard_output:
        announce(Console(file=standard_output), RUN, Path("data"), None, has_instances=False)
        standard_output.write("what comes later")  # and is flushed by close
