"""A list of strings as Python prints it: pusher-chatkit-server for Python sends `id=['a', "it's"]` (spec §3, U5)."""

import re

_ESCAPE = r"\\(?:[\\'\"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
_STRING = re.compile(rf"'(?:[^'\\]|{_ESCAPE})*'|\"(?:[^\"\\]|{_ESCAPE})*\"")
_ESCAPES = re.compile(_ESCAPE)
_CHARACTERS = {"n": "\n", "r": "\r", "t": "\t"}


def python_list(text: str) -> list[str]:
    """The strings, in their order; none if the text is anything else, or has characters that no id can have."""
    if not (text.startswith("[") and text.endswith("]")):
        return []
    found: list[str] = []
    position = 1
    while match := _STRING.match(text, position):
        found.append(match[0][1:-1])
        position = match.end()
        if position == len(text) - 1:
            return _unescaped(found)
        if not text.startswith(", ", position):
            return []
        position += 2
    return []


def _unescaped(strings: list[str]) -> list[str]:
    try:
        strings = [_ESCAPES.sub(_character, string) for string in strings]
        "".join(strings).encode()
    except ValueError:  # beyond Unicode, or half of a surrogate pair
        return []
    return [] if any("\0" in string for string in strings) else strings


def _character(escape: re.Match[str]) -> str:
    kind, digits = escape[0][1], escape[0][2:]
    return chr(int(digits, 16)) if digits else _CHARACTERS.get(kind, kind)
