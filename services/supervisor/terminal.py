"""What is safe to show on a terminal."""


def printable(text: str) -> str:
    """Without what a terminal would obey: others than the operator have written it."""
    return "".join(one if one.isprintable() else "?" for one in text)
