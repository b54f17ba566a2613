"""`roomline up`, black box: two servers that several tests look at, the session's and one with options of its own."""

import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from roomline.v1.media_service_pb2 import GetAvatarRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from tests.cli.commands import KEY, LOCATOR, roomline, runs, wait_until
from tests.cli.servers import get, log_of
from tests.support.server import Running, ready_file_of, running_server

GRPC_PORTS = range(20000, 30000, 3)
"""Where to look for three free ports in a row: below those that the system hands out."""


@pytest.fixture(scope="module")
def server(dev_server: Running) -> Running:
    return dev_server


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on IPv6, with an instance and gRPC ports that the command line names."""
    options = ("--instance", LOCATOR, "--key", KEY, "--host", "::1", "--grpc-port", str(free_ports()))
    with running_server(tmp_path_factory.mktemp("own"), *options) as running:
        yield running


def free_ports() -> int:
    """The first of three ports in a row that are free, most likely."""
    for base in GRPC_PORTS:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + 3):
                stack.enter_context(socket.socket(socket.AF_INET6)).bind(("::1", port))
            return base
    raise RuntimeError("no free ports")


def test_everything_answers(server: Running) -> None:
    assert get(f"{server.http}/healthz") == 200
    assert get(f"{server.https}/healthz", server.ca_file) == 200
    assert set(server.grpc) == {"user", "message", "media"}
    for address in server.grpc.values():
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)


def test_a_service_says_which_methods_it_does_not_serve(server: Running) -> None:
    with grpc.insecure_channel(server.grpc["user"]) as channel, pytest.raises(grpc.RpcError) as refused:
        MediaServiceStub(channel).GetAvatar(GetAvatarRequest(), timeout=10)
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


def test_an_instance_of_one_s_own_is_taken_over(own: Running) -> None:
    assert (own.instance_locator, own.key) == (LOCATOR, KEY)
    listed = json.loads(roomline("instance", "list", "--json", "--data-dir", own.data_dir).stdout)
    flags = [(one["locator"], one["test_token_provider"], one["allow_reset"]) for one in listed]
    assert flags == [(LOCATOR, True, True)]


def test_ipv6(own: Running) -> None:
    assert own.http.startswith("http://[::1]:")
    assert all(address.startswith("[::1]:") for address in own.grpc.values())
    assert get(f"{own.https}/healthz", own.ca_file) == 200


def test_grpc_ports_follow_each_other(own: Running) -> None:
    ports = [int(own.grpc[name].rpartition(":")[2]) for name in ("user", "message", "media")]
    assert ports[0] in GRPC_PORTS
    assert ports == [*range(ports[0], ports[0] + 3)]


def test_the_printed_curl_works(own: Running) -> None:
    lines = log_of(own).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("curl "))
    done = subprocess.run(["sh", "-c", "\n".join(lines[first : first + 3])], capture_output=True, text=True, check=True)
    created = json.loads(done.stdout)
    assert (created["id"], created["name"]) == ("alice", "Alice")


def test_a_child_comes_back_at_its_port_and_the_ready_file_says_so(own: Running) -> None:
    ready_file = ready_file_of(own.data_dir)
    for name in ("user", "gateway"):
        before = Running.read(ready_file, own.data_dir)
        os.kill(before.pids[name], signal.SIGKILL)
        wait_until(lambda: Running.read(ready_file, own.data_dir).pids[name] != before.pids[name])  # noqa: B023
        after = Running.read(ready_file, own.data_dir)
        assert {**after.pids, name: 0} == {**before.pids, name: 0}
        assert (after.http, after.grpc) == (before.http, before.grpc)
        assert get(f"{after.http}/healthz") == 200
