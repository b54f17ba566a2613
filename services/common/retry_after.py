"""The header `Retry-After` of others' answers (RFC 9110 §10.2.3)."""

from datetime import UTC
from email.utils import parsedate_to_datetime


def retry_after(value: str, now: float) -> float:
    """How many seconds to wait, by the number or the date in the header; 0 if it says nothing useful."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
