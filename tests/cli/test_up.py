"""`roomline up`, black box: one server that several tests look at, and starts of their own for those that end it."""

import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from roomline.v1.media_service_pb2 import GetAttachmentRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from services.supervisor.dev_tls import dev_tls
from tests.cli.commands import command, roomline, runs, wait_until
from tests.support.server import Running, ready_file_of, running_server, start, stop, wait_ready

LOCATOR = "v1:us1:11111111-2222-3333-4444-555555555555"
KEY = "key-id:secret/with=signs"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_server(tmp_path_factory.mktemp("up")) as running:
        yield running


@contextlib.contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], Running]]:
    """A start of one's own, which may be over when the block ends."""
    data_dir = folder / "data"
    process = start(data_dir, *options)
    try:
        yield process, wait_ready(process, data_dir)
    finally:
        stop(process)


def log_of(running: Running) -> str:
    return (running.data_dir.parent / "up.log").read_text()


def get(url: str, ca: Path | None = None) -> int:
    context = ssl.create_default_context(cafile=ca) if ca else None
    with urllib.request.urlopen(url, timeout=10, context=context) as response:  # noqa: S310 - our own server
        return int(response.status)


def test_everything_answers(server: Running) -> None:
    assert get(f"{server.http}/healthz") == 200
    assert get(f"{server.https}/healthz", server.ca_file) == 200
    assert set(server.grpc) == {"user", "message", "media"}
    for address in server.grpc.values():
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)


def test_the_media_service_says_that_its_methods_are_not_served_yet(server: Running) -> None:
    with grpc.insecure_channel(server.grpc["media"]) as channel, pytest.raises(grpc.RpcError) as refused:
        MediaServiceStub(channel).GetAttachment(GetAttachmentRequest(), timeout=10)
    error = refused.value
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert b"METHOD_NOT_SERVED" in dict(error.trailing_metadata())["grpc-status-details-bin"]


def test_every_process_is_named(server: Running) -> None:
    assert set(server.pids) == {"supervisor", "user", "message", "media", "gateway"}
    assert all(map(runs, server.pids.values()))


def test_files_are_private(server: Running) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in server.data_dir.rglob("*")}
    wrong = {str(path): oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}
    assert not wrong
    assert stat.S_IMODE(server.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(ready_file_of(server.data_dir).stat().st_mode) == 0o600


def test_the_certificate_names_this_machine_and_the_sdk_host(server: Running) -> None:
    context = ssl.create_default_context(cafile=server.ca_file)
    port = int(server.https.rpartition(":")[2])
    for name in ("localhost", "127.0.0.1", "::1", "local.pusherplatform.io"):
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with context.wrap_socket(plain, server_hostname=name) as secure:
            assert secure.version()


def test_the_printed_curl_works(server: Running) -> None:
    lines = log_of(server).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("curl "))
    done = subprocess.run(["sh", "-c", "\n".join(lines[first : first + 3])], capture_output=True, text=True, check=True)
    created = json.loads(done.stdout)
    assert (created["id"], created["name"]) == ("alice", "Alice")


def test_the_block_says_what_one_needs(server: Running) -> None:
    log = log_of(server)
    for fact in (server.http, server.https, server.instance_locator, server.key, str(server.ca_file)):
        assert fact in log


def test_secrets_are_not_shown(server: Running) -> None:
    secret = (server.data_dir / "operator.key").read_text().strip()
    assert secret not in log_of(server)
    for name, pid in server.pids.items():
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        # Only the user service checks operators.
        assert (secret.encode() in Path(f"/proc/{pid}/environ").read_bytes()) == (name == "user")


def test_a_folder_serves_one_at_a_time(server: Running) -> None:
    refused = roomline("up", "--dev", "--data-dir", server.data_dir, "--grpc-port", "0")
    assert refused.returncode == 1
    pid = server.pids["supervisor"]
    assert refused.stderr == f"roomline: the data folder {server.data_dir} is in use by process {pid}\n"


def test_a_child_comes_back_at_its_port_and_the_ready_file_says_so(server: Running) -> None:
    ready_file = ready_file_of(server.data_dir)
    for name in ("user", "gateway"):
        before = Running.read(ready_file, server.data_dir)
        os.kill(before.pids[name], signal.SIGKILL)
        wait_until(lambda: Running.read(ready_file, server.data_dir).pids[name] != before.pids[name])  # noqa: B023
        after = Running.read(ready_file, server.data_dir)
        assert {**after.pids, name: 0} == {**before.pids, name: 0}
        assert (after.http, after.grpc) == (before.http, before.grpc)
        assert get(f"{after.http}/healthz") == 200


@pytest.mark.slow  # starts twice
def test_it_stops_cleanly_and_starts_again_with_the_same_instance_and_ca(tmp_path: Path) -> None:
    with started(tmp_path) as (process, first):
        ca = first.ca_file.read_bytes()
        assert stop(process) == 0
        assert not any(map(runs, first.pids.values()))
        assert not (first.data_dir / "run.json").exists()
        assert not ready_file_of(first.data_dir).exists()
    with started(tmp_path) as (_, second):
        assert (second.instance_locator, second.key) == (first.instance_locator, first.key)
        assert second.ca_file.read_bytes() == ca


@pytest.mark.slow  # starts twice
def test_children_end_with_a_killed_supervisor_and_the_next_start_waits_for_them(tmp_path: Path) -> None:
    with started(tmp_path) as (process, first):
        ports = [address.rpartition(":")[2] for address in (first.http, *first.grpc.values())]
        process.kill()
        process.wait()
        with started(tmp_path, "--port", ports[0]) as (_, second):
            assert second.http == first.http
            assert second.instance_locator == first.instance_locator
        assert not any(map(runs, first.pids.values()))


def test_grpc_ports_follow_each_other(tmp_path: Path) -> None:
    base = free_ports(3)
    with started(tmp_path, "--grpc-port", str(base)) as (_, running):
        assert [running.grpc[name] for name in ("user", "message", "media")] == [
            f"127.0.0.1:{base + offset}" for offset in range(3)
        ]


def free_ports(count: int) -> int:
    """The first of some ports in a row that are free, most likely."""
    for base in range(20000, 30000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for offset in range(count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", base + offset))
            return base
    raise RuntimeError("no free ports")


def test_an_instance_of_one_s_own_is_taken_over(tmp_path: Path) -> None:
    with started(tmp_path, "--instance", LOCATOR, "--key", KEY, "--host", "localhost") as (_, first):
        assert (first.instance_locator, first.key) == (LOCATOR, KEY)
        assert first.http.startswith("http://127.0.0.1:")
        listed = json.loads(roomline("instance", "list", "--json", "--data-dir", first.data_dir).stdout)
        flags = [(one["id"], one["test_token_provider"], one["allow_reset"]) for one in listed]
        assert flags == [(first.instance_id, True, True)]


def test_ipv6(tmp_path: Path) -> None:
    with started(tmp_path, "--host", "::1") as (_, running):
        assert running.http.startswith("http://[::1]:")
        assert all(address.startswith("[::1]:") for address in running.grpc.values())
        assert get(f"{running.https}/healthz", running.ca_file) == 200


@pytest.mark.slow  # starts twice
def test_without_development_mode_all_flags_are_off_and_grpc_stays_on_loopback(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with started(tmp_path):
        pass
    ready_file = tmp_path / "production.json"
    options = ("--port", "0", "--tls-port", "0", "--grpc-port", "0", "--host", "0.0.0.0", "--ready-file", ready_file)
    own = dev_tls(tmp_path / "own")
    environment = {"ROOMLINE_TLS_CERTIFICATE": str(own.certificate), "ROOMLINE_TLS_KEY": str(own.key)}
    process = subprocess.Popen(
        command("up", "--data-dir", data_dir, *options), stdout=subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        wait_until(lambda: ready_file.exists() or process.poll() is not None)
        ready = json.loads(ready_file.read_text())
        assert (ready["ca_file"], ready["instance_locator"], ready["key"]) == ("", "", "")
        assert get(f"{ready['http']}/healthz") == 200
        assert get(f"{ready['https']}/healthz", own.ca) == 200
        assert ready["http"].startswith("http://127.0.0.1:")
        assert all(address.startswith("127.0.0.1:") for address in ready["grpc"].values())
        listed = json.loads(roomline("instance", "list", "--json", "--data-dir", data_dir).stdout)
        assert [(one["test_token_provider"], one["allow_reset"]) for one in listed] == [(False, False)]
    finally:
        assert stop(process) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_without_any_instance_it_says_how_to_make_one(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--port", "0", "--grpc-port", "0", "--ready-file", ready_file)
    process = subprocess.Popen(command("up", "--data-dir", tmp_path / "data", *options), stdout=subprocess.PIPE)
    wait_until(lambda: ready_file.exists() or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"roomline instance create" in output
    assert b"https://" not in output


def test_a_reader_of_the_block_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--port", "0", "--tls-port", "0", "--grpc-port", "0", "--ready-file", ready_file)
    with subprocess.Popen(
        command("up", "--dev", "--data-dir", tmp_path / "data", *options), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        wait_until(lambda: ready_file.exists() or process.poll() is not None)
        ready = json.loads(ready_file.read_text())
        os.kill(ready["pids"]["gateway"], signal.SIGKILL)
        wait_until(lambda: json.loads(ready_file.read_text())["pids"] != ready["pids"])
        assert stop(process) == 0


@pytest.mark.slow  # waits until the start is hopeless
def test_a_child_that_cannot_start_ends_everything_and_shows_its_log(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "user.db").write_bytes(b"this is no database" * 1000)
    began = time.monotonic()
    failed = roomline("up", "--dev", "--data-dir", data_dir, "--port", "0", "--tls-port", "0", "--grpc-port", "0")
    assert time.monotonic() - began < 45
    assert failed.returncode == 1
    assert "the end of the user process's log" in failed.stderr
    assert "not a database" in failed.stderr
    assert failed.stderr.splitlines()[-1] == "roomline: the user process keeps ending as soon as it is started"


@pytest.mark.slow  # a taken port is tried for five seconds
def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.listen()
        refused = roomline("up", "--data-dir", tmp_path / "data", "--port", port, "--grpc-port", "0")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"roomline: port {port} on 127.0.0.1 is taken by another program: "
        "choose another with --port, or --port 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dev", "--host", "0.0.0.0"), "--dev lets everybody in"),
        (("--dev", "--host", "::"), "--dev lets everybody in"),
        (("--instance", LOCATOR), "go together"),
        (("--key", KEY), "go together"),
        (("--instance", "v1:us1", "--key", KEY), "no instance locator"),
        (("--instance", LOCATOR, "--key", "no-colon"), "key is malformed"),
        (("--port", "50052"), "must not overlap"),
        (("--port", "70000"), "65535"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_wrong_usage(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    refused = roomline("up", "--data-dir", tmp_path / "data", *options)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_settings_are_named_when_they_are_wrong(tmp_path: Path) -> None:
    refused = roomline("up", env={"ROOMLINE_TLS_PORT": "many", "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "ROOMLINE_TLS_PORT" in refused.stderr
    lonely = roomline("up", env={"ROOMLINE_TLS_KEY": "/key.pem", "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (lonely.returncode, lonely.stderr.count("\n")) == (2, 1)
    missing = {"ROOMLINE_TLS_KEY": "/key.pem", "ROOMLINE_TLS_CERTIFICATE": "/none.pem"}
    unreadable = roomline("up", env={**missing, "ROOMLINE_DATA_DIR": str(tmp_path)})
    assert (unreadable.returncode, unreadable.stderr.count("\n")) == (1, 1)
    assert "/none.pem" in unreadable.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("up", "--help"), ("instance", "--help"), ("token", "--help"), ("instance", "create", "--help")],
)
def test_help(arguments: tuple[str, ...]) -> None:
    shown = roomline(*arguments)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: roomline")
