"""The fields of a JSON object of Chatkit's, with their types."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from services.common.timestamps import from_proto, to_proto

MAX_INT64 = 2**63 - 1


class UnusableError(ValueError):
    """Something that cannot be imported; the text says why."""


class DeletedError(UnusableError):
    """Something that is named as deleted."""


class Fields:
    """A JSON object, field by field: what is missing or of another type raises UnusableError; `null` is missing."""

    def __init__(self, value: Any, what: str = "it") -> None:
        if type(value) is not dict:
            raise UnusableError(f"{what} is no object")
        self._value = value
        self._asked: set[str] = set()

    @property
    def unknown(self) -> set[str]:
        """The keys that nobody has asked for."""
        return self._value.keys() - self._asked

    def get(self, name: str) -> Any:
        """The value, whatever it is; None if it is missing."""
        self._asked.add(name)
        return self._value.get(name)

    def text(self, name: str) -> str:
        """A text."""
        return str(self._required(name, self.optional_text(name)))

    def optional_text(self, name: str) -> str | None:
        """A text, or None if it is missing."""
        value = self.get(name)
        if value is not None and type(value) is not str:
            raise UnusableError(f"{name} is no text")
        return value

    def identifier(self, name: str) -> str:
        """An id; the oldest ones were numbers."""
        value = self.get(name)
        return _identifier(name, self._required(name, value))

    def identifiers(self, name: str) -> list[str]:
        """A list of ids, each once."""
        return list(dict.fromkeys(_identifier(name, value) for value in self.items(name)))

    def key(self, name: str) -> str | int:
        """An id that orders: a number if it looks like one."""
        value = self.identifier(name)
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else -1
        return number if 0 <= number <= MAX_INT64 and str(number) == value else value

    def items(self, name: str) -> list[Any]:
        """A list."""
        value = self._required(name, self.get(name))
        if type(value) is not list:
            raise UnusableError(f"{name} is no list")
        return value

    def number(self, name: str) -> int:
        """A whole number from 0 up."""
        value = self._required(name, self.get(name))
        if type(value) is not int or not 0 <= value <= MAX_INT64:
            raise UnusableError(f"{name} is no whole number")
        return value

    def flag(self, name: str) -> bool:
        """Whether it is true."""
        value = self._required(name, self.get(name))
        if type(value) is not bool:
            raise UnusableError(f"{name} is neither true nor false")
        return value

    def time(self, name: str) -> Timestamp:
        """A time (RFC 3339), as exact as we keep times."""
        text = self.text(name)
        time = Timestamp()
        try:
            time.FromJsonString(text.upper())
        except ValueError as error:
            raise UnusableError(f"{name} is no time such as 2019-05-01T10:00:00Z: {text[:64]!r}") from error
        return to_proto(from_proto(time))

    def refuse_deleted(self) -> None:
        """Raises DeletedError if it has a `deleted_at`: what was deleted does not come back."""
        if self.get("deleted_at") is not None:
            raise DeletedError("it was deleted")

    def _required(self, name: str, value: Any) -> Any:
        if value is None:
            raise UnusableError(f"{name} is missing")
        return value


def _identifier(name: str, value: Any) -> str:
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise UnusableError(f"{name}: an id is a text, or a whole number")
    if not value or "\0" in value:
        raise UnusableError(f"{name}: an id is not empty, and has no NUL in it")
    return value
