"""Imports and exports that are killed, or whose server is: started again they come to the same end (fault 2)."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.chatkit_export import FileHost, Value, attachment, file_host, inline, message, room, user, write
from tests.cli.commands import clean_environment, command, roomline
from tests.cli.whole_instance import client, export, fill, new_instance, same_bytes
from tests.faults.chance import CHANCE
from tests.faults.deployment import Deployment, deployed
from tests.faults.invariants import check_databases

ALLOWED = {"ROOMLINE_OUTBOUND_ALLOW_PRIVATE": "true"}
LONGEST_SECONDS = 1.5
"""How long after a sign of life the end comes, at most."""
KILLS = 8
END_SECONDS = 120.0
FILES = {f"f{number}": bytes([number]) * 50_000 for number in range(40)}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A server whose development instance has something of everything, and many messages."""
    with deployed(tmp_path) as running:
        with client(running.running) as connection:
            fill(connection)
        yield running
    check_databases(running.data_dir)


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host(**FILES) as running:
        yield running


@pytest.fixture
def chatkit_files(host: FileHost, tmp_path: Path) -> list[str]:
    """An export of Chatkit's with more than one batch of messages, and files."""
    users = [user(f"user{number}", number) for number in range(20)]
    rooms = [room(f"room{number}", [f"user{number}", "user0"], 30 + number) for number in range(5)]
    messages: list[Value] = [
        message(number, f"room{number % 5}", f"user{number % 20}", 100 + number // 3, inline(f"text {number} " * 20))
        for number in range(6000)
    ]
    for number, (name, data) in enumerate(FILES.items()):
        messages[number * 50]["parts"].append(attachment(f"{host.url}/{name}", len(data), name))
    CHANCE.shuffle(messages)
    (tmp_path / "files").mkdir()
    return [str(path) for path in write(tmp_path / "files", users, rooms, messages, lines=CHANCE.random() < 0.5)]


def running(deployment: Deployment, *words: object) -> subprocess.Popen[bytes]:
    """The command, on its way; its errors can be read."""
    arguments = command(*words, "--data-dir", deployment.data_dir)
    environment = {**clean_environment(), **ALLOWED}
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def disturb(process: subprocess.Popen[bytes], disturbance: Callable[[], object]) -> None:
    """Does something to the command, or to the server, a moment after some line of its progress."""
    assert process.stderr is not None
    for _ in range(CHANCE.randint(1, 8)):  # the first line comes when the server and the instance are found
        if not process.stderr.readline():
            break
    time.sleep(CHANCE.uniform(0, LONGEST_SECONDS))  # any moment will do
    disturbance()


def kill_again_and_again(deployment: Deployment, *words: object) -> None:
    """Starts the command and kills it, several times, and lets it come to its end at last."""
    for _ in range(KILLS):
        with running(deployment, *words) as process:
            disturb(process, process.kill)
    done = roomline(*words, "--data-dir", deployment.data_dir, env=ALLOWED)
    assert done.returncode == 0, done.stderr
    assert "lost" not in done.stdout


@contextlib.contextmanager
def undisturbed(deployment: Deployment, tmp_path: Path, *words: object) -> Iterator[Path]:
    """What an import leads to that nobody disturbs, as an archive."""
    with new_instance(deployment.running, "undisturbed"):
        done = roomline(*words, "--instance", "undisturbed", "--data-dir", deployment.data_dir, env=ALLOWED)
        assert done.returncode == 0, done.stderr
        export(deployment.running, tmp_path / "undisturbed", "--instance", "undisturbed")
        yield tmp_path / "undisturbed"


def test_a_chatkit_import_that_is_killed(deployment: Deployment, chatkit_files: list[str], tmp_path: Path) -> None:
    words = ("import", "chatkit", *chatkit_files)
    with undisturbed(deployment, tmp_path, *words) as wanted, new_instance(deployment.running, "killed"):
        kill_again_and_again(deployment, *words, "--instance", "killed")
        export(deployment.running, tmp_path / "killed", "--instance", "killed")
        same_bytes(wanted, tmp_path / "killed")


def test_an_archive_import_that_is_killed(deployment: Deployment, chatkit_files: list[str], tmp_path: Path) -> None:
    import_everything(deployment, chatkit_files)
    export(deployment.running, tmp_path / "dev")
    with new_instance(deployment.running, "killed"):
        kill_again_and_again(deployment, "import", "archive", tmp_path / "dev", "--instance", "killed")
        export(deployment.running, tmp_path / "killed", "--instance", "killed")
        same_bytes(tmp_path / "dev", tmp_path / "killed")


def test_an_export_that_is_killed(deployment: Deployment, chatkit_files: list[str], tmp_path: Path) -> None:
    import_everything(deployment, chatkit_files)
    export(deployment.running, tmp_path / "wanted")
    for _ in range(KILLS):
        with running(deployment, "export", tmp_path / "killed", "--instance", "dev") as process:
            disturb(process, process.kill)
        if (tmp_path / "killed" / "manifest.json").exists():
            break
    else:
        export(deployment.running, tmp_path / "killed")
    same_bytes(tmp_path / "wanted", tmp_path / "killed")


@pytest.mark.parametrize("what", ["children", "all"])
def test_a_server_that_is_killed(deployment: Deployment, chatkit_files: list[str], tmp_path: Path, what: str) -> None:
    words = ("import", "chatkit", *chatkit_files)

    def kill() -> None:
        if what == "all":
            deployment.kill_all()
            deployment.start()
        else:
            deployment.kill_children(CHANCE.choice(("user", "message", "media")))

    with undisturbed(deployment, tmp_path, *words) as wanted, new_instance(deployment.running, "killed"):
        for _ in range(3):
            with running(deployment, *words, "--instance", "killed") as process:
                disturb(process, kill)
                _, told = process.communicate(timeout=END_SECONDS)
                assert process.returncode == 0, told.decode()
        export(deployment.running, tmp_path / "killed", "--instance", "killed")
        same_bytes(wanted, tmp_path / "killed")


def import_everything(deployment: Deployment, chatkit_files: list[str]) -> None:
    """Brings the export of Chatkit's into the development instance, beside what is there."""
    options = ("--instance", "dev", "--data-dir", deployment.data_dir)
    done = roomline("import", "chatkit", *chatkit_files, *options, env=ALLOWED)
    assert done.returncode == 0, done.stderr
