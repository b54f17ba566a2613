"""What ends a command."""


class CommandError(Exception):
    """A reason to stop that a person can act on: one line, which the command shows on standard error.

    `details`, such as the end of a log, are shown above it.
    """

    exit_code = 1

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class UsageError(CommandError):
    """Options that make no sense, or none together."""

    exit_code = 2


class StoppedError(CommandError):
    """Ctrl-C, in the middle of something that can be gone on with."""

    exit_code = 130
