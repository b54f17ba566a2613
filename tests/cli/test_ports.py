"""Ports are reserved without taking a connection from whoever listens there."""

import socket
from collections.abc import Iterator

import pytest

from services.supervisor.command_error import CommandError, UsageError
from services.supervisor.ports import Reservation, is_loopback, join_address, reserve, resolve


@pytest.fixture
def reservation() -> Iterator[Reservation]:
    reserved = reserve("127.0.0.1", 0, "--port")
    yield reserved
    reserved.close()


def listener(port: int, *options: int) -> socket.socket:
    listening = socket.socket()
    for option in options:
        listening.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def test_a_reservation_takes_no_connection(reservation: Reservation) -> None:
    with listener(reservation.port, socket.SO_REUSEPORT) as child:
        child.settimeout(5)
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", reservation.port), timeout=5):
                child.accept()[0].close()


def test_nobody_answers_while_only_the_reservation_is_there(reservation: Reservation) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reservation.port), timeout=5)


def test_a_reserved_port_is_kept_from_others(reservation: Reservation) -> None:
    for options in ((), (socket.SO_REUSEADDR,)):
        with pytest.raises(OSError, match="in use"):
            listener(reservation.port, *options)


@pytest.mark.parametrize("options", [(), (socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)])
def test_a_taken_port_is_named_with_the_way_out(options: tuple[int, ...]) -> None:
    with listener(0, *options) as other:
        port = other.getsockname()[1]
        with pytest.raises(CommandError, match=rf"port {port} .*--tls-port 0"):
            reserve("127.0.0.1", port, "--tls-port", retry_seconds=0)


def test_two_supervisors_cannot_reserve_one_port(reservation: Reservation) -> None:
    with pytest.raises(CommandError, match="taken"):
        reserve("127.0.0.1", reservation.port, "--port", retry_seconds=0)


def test_connections_that_linger_do_not_take_the_port() -> None:
    with listener(0, socket.SO_REUSEADDR, socket.SO_REUSEPORT) as earlier:  # as gRPC and uvicorn listen
        port = earlier.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            earlier.accept()[0].close()  # the side that closes first keeps the port in TIME_WAIT
            assert client.recv(1) == b""
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind(("127.0.0.1", port))
    reserve("127.0.0.1", port, "--port", retry_seconds=0).close()


def test_a_port_that_gets_free_meanwhile_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    other = listener(0)
    port = other.getsockname()[1]
    monkeypatch.setattr("services.supervisor.ports.time.sleep", lambda _: other.close())
    reserve("127.0.0.1", port, "--port", retry_seconds=5).close()


def test_ports_end_somewhere() -> None:
    with pytest.raises(UsageError, match="65535"):
        reserve("127.0.0.1", 65536, "--grpc-port")


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(CommandError, match="not an address of this machine"):
        reserve("192.0.2.1", 0, "--port")


def test_hosts_become_addresses() -> None:
    assert resolve("localhost") == "127.0.0.1"
    assert resolve("::1") == "::1"
    assert resolve("0.0.0.0") == "0.0.0.0"
    with pytest.raises(CommandError, match=r"no-such-host\.invalid"):
        resolve("no-such-host.invalid")


def test_loopback_addresses() -> None:
    assert is_loopback("127.0.0.2")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("::")
    assert not is_loopback("192.0.2.1")


def test_addresses_are_told_as_they_are_reached(reservation: Reservation) -> None:
    assert join_address("::1", 80) == "[::1]:80"
    assert reservation.address == reservation.bind_address == f"127.0.0.1:{reservation.port}"
    everywhere = Reservation("0.0.0.0", 80, reservation.socket)
    assert (everywhere.bind_address, everywhere.address) == ("0.0.0.0:80", "127.0.0.1:80")
    assert Reservation("::", 80, reservation.socket).address == "[::1]:80"
