"""How many connections a process may have, and when they are gone."""

import resource
import socket
import sys

import pytest

from gateway.listener import RESERVED_FILES, UNREACHABLE_SECONDS, bind, connection_limit

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "limit", "raised"),
    [
        (1024, 4096, 1000, 2000 + RESERVED_FILES),
        (1024, INFINITY, 1000, 2000 + RESERVED_FILES),
        (1024, 1024, (1024 - RESERVED_FILES) // 2, 1024),
        (100, 100, 1, 100),
        (2000 + RESERVED_FILES, 4096, 1000, None),
        (INFINITY, INFINITY, 1000, None),
    ],
)
def test_the_limit_fits_the_process(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, limit: int, raised: int | None
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _resource: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _resource, new: limits.append(new))
    assert connection_limit(1000, listeners=2) == limit
    assert limits == ([] if raised is None else [(raised, hard)])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
def test_connections_to_nowhere_end() -> None:
    with bind("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            patience = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert patience == UNREACHABLE_SECONDS * 1000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < UNREACHABLE_SECONDS
