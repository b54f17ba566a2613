"""What services refuse, as a command says it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import grpc

from services.common.errors import Failure, failure_of
from services.supervisor.command_error import CommandError


class CallRefusedError(CommandError):
    """A service has refused a call, in its own words."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.reason = failure.reason


def refusal(failure: Failure, who: str) -> CommandError:
    """A CallRefusedError, unless there is no reason of ours: then `who` has not answered."""
    if failure.reason:
        return CallRefusedError(failure)
    return CommandError(f"{who} does not answer: {failure.code.name.lower()}")


@contextlib.contextmanager
def refusals(who: str) -> Iterator[None]:
    """Has failed calls of the block raise what `refusal` makes of them."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise refusal(failure_of(error), who) from error
