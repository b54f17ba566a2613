"""When two e-mail addresses are the same."""

from unicodedata import normalize


def email_key(address: str) -> str:
    """What is compared: upper and lower case are the same, and so are characters that only look different."""
    return normalize("NFKC", normalize("NFKC", address).casefold())
