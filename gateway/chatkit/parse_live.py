"""What subscriptions are asked for (spec §10.4, §10.9). Nothing is refused: what makes no sense counts as absent."""

from gateway.chatkit import parse

DEFAULT_MESSAGES = 20


def last_event_id(value: str) -> int | None:
    """The id of the last message that the client has; None if it has none, or says something else."""
    number = parse.integer(value)
    return number if number is not None and number >= 0 else None


def message_limit(value: str | None, most: int) -> int:
    """How many messages to begin with: 20 by default."""
    number = parse.integer(value) if value is not None else None
    return min(DEFAULT_MESSAGES if number is None or number < 0 else number, most)
