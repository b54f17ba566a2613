"""Texts that are found again wherever they turn up."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from google.protobuf import symbol_database
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

_DEPTH = 4
"""How many messages deep a request is filled in: some types hold themselves."""


class Markers:
    """Makes texts that stand for secrets, and looks for them."""

    def __init__(self) -> None:
        self._prefix = f"hush{secrets.token_hex(4)}n"
        self._kinds: list[str] = []
        self._kept: dict[str, str] = {}

    def __call__(self, kind: str) -> str:
        """A new text: letters and digits only, so that no encoding but Base64 changes it."""
        self._kinds.append(kind)
        return f"{self._prefix}{len(self._kinds) - 1}z"

    def keep(self, kind: str, secret: str) -> str:
        """Looks for a secret that exists already; for a token's payload and signature, if it is one."""
        for part in secret.split(".")[1:] or [secret]:
            self._kept[part] = kind
        return secret

    def url(self, kind: str) -> str:
        """A link with a signature."""
        return f"https://example.com/{self(f'path of {kind}')}?X-Signature={self(f'signature of {kind}')}"

    def data(self, kind: str) -> dict[str, Any]:
        """An object with texts in all places."""
        value = {self(f"inner key of {kind}"): self(f"inner value of {kind}")}
        return {self(f"key of {kind}"): self(f"value of {kind}"), "list": [self(f"item of {kind}"), value]}

    def request(self, method: MethodDescriptor) -> Message:
        """A request with a text in every field that can hold one."""
        request: Message = symbol_database.Default().GetSymbol(method.input_type.full_name)()
        self._fill(request, method.full_name, _DEPTH)
        return request

    def found_in(self, log: str) -> list[str]:
        """The lines that have any of the texts or secrets, each with the kind of what it has."""
        return [f"{kind}: {line}" for line in log.splitlines() for kind in self._kinds_in(line)]

    def _kinds_in(self, line: str) -> Iterator[str]:
        for number in re.findall(self._prefix + r"(\d+)", line):
            yield self._kinds[int(number)]
        for form in _in_base64(self._prefix):
            if form in line:
                yield "something in Base64"
        for secret, kind in self._kept.items():
            if secret in line:
                yield kind

    def _fill(self, message: Any, path: str, depth: int) -> None:
        if isinstance(message, Struct):
            message.update(self.data(path))
            return
        for field in message.DESCRIPTOR.fields:
            value = self._value(field, f"{path}.{field.name}", depth)
            if value is None:
                continue
            if field.is_repeated:
                getattr(message, field.name).append(value)
            elif field.message_type is not None:
                getattr(message, field.name).CopyFrom(value)
            else:
                setattr(message, field.name, value)

    def _value(self, field: FieldDescriptor, path: str, depth: int) -> Any:
        """What to put into the field; None for nothing."""
        if field.type == FieldDescriptor.TYPE_STRING:
            return self(path)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self(path).encode()
        if field.message_type is None or not depth:
            return None
        nested = symbol_database.Default().GetSymbol(field.message_type.full_name)()
        self._fill(nested, path, depth - 1)
        return nested


def _in_base64(text: str) -> Iterator[str]:
    """What is sure to be in the Base64 of anything that holds the text, wherever it begins there."""
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + text.encode()).decode().rstrip("=")
        yield encoded[(0, 2, 3)[shift] : len(encoded) - 1]
