"""Ports: taken for the supervisor's whole life, so that a restarted child finds its own again."""

from __future__ import annotations

import errno
import ipaddress
import socket
import time
from dataclasses import dataclass

from services.supervisor.command_error import CommandError, UsageError

RETRY_SECONDS = 5.0
"""How long a taken port is tried again: the processes of a killed supervisor may still be ending."""
POLL_SECONDS = 0.05

_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True)
class Reservation:
    """A bound port. Its socket never listens, so it takes no connection from the child that listens there."""

    host: str
    port: int
    socket: socket.socket

    @property
    def bind_address(self) -> str:
        """`host:port` to listen at."""
        return join_address(self.host, self.port)

    @property
    def reached_at(self) -> str:
        """The address at which this machine reaches the listener."""
        return _REACHED_AT.get(self.host, self.host)

    @property
    def address(self) -> str:
        """`reached_at` with the port."""
        return join_address(self.reached_at, self.port)

    def close(self) -> None:
        """Gives the port back."""
        self.socket.close()


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str) -> str:
    """The address to listen at for an address or a name; IPv4 if a name has both. Raises CommandError."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CommandError(f"--host {host} is neither an address nor a known name") from error
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    return ipaddress.ip_address(address).is_loopback


def reserve(host: str, port: int, option: str, retry_seconds: float = RETRY_SECONDS) -> Reservation:
    """Takes the port, or a free one for 0. `option` is the command's option that sets it, for the message.

    Raises CommandError if it is still taken after `retry_seconds`, or cannot be had at all.
    """
    if port > 65535:
        raise UsageError(f"{option} needs ports up to {port}; the highest is 65535")
    deadline = time.monotonic() + retry_seconds
    while True:
        try:
            bound = _take(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise _refusal(error, host, port, option) from error
            time.sleep(POLL_SECONDS)
        else:
            return Reservation(host, bound.getsockname()[1], bound)


def _take(host: str, port: int) -> socket.socket:
    try:
        # Bound alone, shared afterwards: in this order no two supervisors can hold one port.
        bound = _bind(host, port)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        # Perhaps only closed connections of the last run linger. Against those, and nothing else, SO_REUSEADDR helps.
        _bind(host, port, socket.SO_REUSEADDR).close()
        bound = _bind(host, port, socket.SO_REUSEPORT)
    return bound


def _bind(host: str, port: int, option: int | None = None) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if option is not None:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _refusal(error: OSError, host: str, port: int, option: str) -> CommandError:
    if error.errno == errno.EADDRINUSE:
        return CommandError(
            f"port {port} on {host} is taken by another program: "
            f"choose another with {option}, or {option} 0 for a free one"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return CommandError(f"{host} is not an address of this machine: choose another with --host")
    return CommandError(f"cannot listen at {join_address(host, port)} ({option}): {error.strerror}")
