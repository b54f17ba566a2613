"""How background work bears failures."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a worker pauses after a failure; the pause doubles. In seconds."""

    first: float = 0.5
    longest: float = 15.0
