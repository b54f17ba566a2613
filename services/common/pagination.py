"""Page tokens (AIP-158): opaque text that says where the next page begins. They are bound to nothing else."""

import base64
import binascii
from typing import Any

import orjson
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

_INT64 = range(-(1 << 63), 1 << 63)


def encode_page_token(*place: int | str) -> str:
    """The token for a place in a list, such as the sort key of a page's last item."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).rstrip(b"=").decode()


def decode_page_token(token: str, *kinds: type[int] | type[str]) -> tuple[Any, ...]:
    """The place that a token stands for, with one value for each of `kinds`. Raises PAGE_TOKEN_INVALID."""
    try:
        place = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    if not isinstance(place, list) or [type(value) for value in place] != list(kinds):
        raise _invalid()
    if any(isinstance(value, int) and value not in _INT64 for value in place):
        raise _invalid()
    return tuple(place)


def page_size(requested: int, default: int, maximum: int = 100) -> int:
    """How many items a page has: the default for 0, never more than the maximum."""
    return min(requested or default, maximum)


def _invalid() -> RoomlineError:
    return RoomlineError(ErrorReason.ERROR_REASON_PAGE_TOKEN_INVALID)
