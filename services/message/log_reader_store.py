"""What the message service's stores promise to those that the log is told to, as `store.py` does about the rest."""

from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """How far a consumer of a log has come. Times are microseconds since the Unix epoch."""

    epoch: str
    """Of the positions: see `EventStore.renew_epoch`."""
    position: int
    """It has everything up to here."""
    batch_end: int
    """The end of what is being told to it, 0 for nothing."""
    lost: int
    """How many places of the log it never got, since it began."""
    told_at: int | None
    """When it last took something."""
    failing_since: int | None
    problem: str
    """Why, as of the last try; empty while nothing fails."""


class LogReaderStore(Protocol):
    """Progress that survives restarts. A consumer is named by its instance and by a name that is its own there.

    Consumers begin and end in the transactions that make and remove what they work for.
    """

    async def progress(self, instance_id: str, consumer: str) -> Progress | None:
        """How far it has come; None if there is no such consumer."""

    async def telling(self, instance_id: str, consumer: str, after: int, end: int) -> None:
        """Notes what it is told from now on: everything after one position, up to another one.

        If `after` is beyond what it has, the places in between are lost.
        """

    async def told(self, instance_id: str, consumer: str, end: int, left_out: int = 0) -> None:
        """Notes that it has everything up to a position, but for so many events that are lost."""

    async def failed(self, instance_id: str, consumer: str, problem: str) -> None:
        """Notes that it did not take what it was told."""
