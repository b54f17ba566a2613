"""What follows the events of rooms and users."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gateway.live.happening import Happening


class Follower(ABC):
    """Is told of what concerns the rooms and users that it follows, in the order of the log."""

    after = 0
    """The position of what it began with: it is told of nothing in the log up to there."""

    @abstractmethod
    def receive(self, happening: Happening) -> None:
        """Takes an event, without waiting. It may follow more, or less, when it does."""
