"""`roomline up`, black box: starts that end, fail, or serve one test alone."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from services.supervisor.dev_tls import dev_tls
from tests.cli.commands import command, roomline, runs, wait_until
from tests.cli.servers import get, started
from tests.support.server import START_SECONDS, ready_file_of, stop


@pytest.mark.thorough
def test_without_any_instance_it_says_how_to_make_one(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--host", "localhost", "--port", "0", "--grpc-port", "0", "--ready-file", ready_file)
    process = subprocess.Popen(command("up", "--data-dir", tmp_path / "data", *options), stdout=subprocess.PIPE)
    try:
        wait_until(lambda: ready_file.exists() or process.poll() is not None, START_SECONDS)
        assert json.loads(ready_file.read_text())["http"].startswith("http://127.0.0.1:")
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"roomline instance create" in output
    assert b"https://" not in output


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
        wait_until(lambda: ready_file.exists() or process.poll() is not None, START_SECONDS)
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


@pytest.mark.slow  # test_announcement.py has the same on a console alone
def test_a_reader_of_the_block_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--port", "0", "--tls-port", "0", "--grpc-port", "0", "--ready-file", ready_file)
    with subprocess.Popen(
        command("up", "--dev", "--data-dir", tmp_path / "data", *options), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        wait_until(lambda: ready_file.exists() or process.poll() is not None, START_SECONDS)
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
