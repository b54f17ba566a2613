"""Who calls, by the token that a request brings in a header or a cookie (spec §1 Auth). Nothing is verified here."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.errors import RoomlineError

if TYPE_CHECKING:
    from gateway.request import Request

COOKIE = "access_token"

_SAFE_METHODS = {"GET", "HEAD"}


def authorization(request: Request, *, changes: bool) -> str:
    """The value of the header, or one made of the cookie; empty if there is neither.

    `changes` says that the call changes something, whatever its method. A browser sends cookies along with what any
    page asks for: then they count only for a page of our own (fault 21).
    """
    header = request.header(b"authorization")
    if header:
        return header
    token = _cookie(request.header(b"cookie"))
    if not token or ((changes or request.method not in _SAFE_METHODS) and not _from_own_page(request)):
        return ""
    return f"Bearer {token}"


def subject(request: Request) -> str:
    """The id of the user whose token it is. Raises TOKEN_INVALID, and ACTOR_REQUIRED if it names nobody.

    Unverified: it only fills in what the call that carries the token says anyway, and what the service checks.
    """
    user_id = claims(dict(request.metadata).get("authorization", "")).get("sub")
    if user_id is None or user_id == "":
        raise RoomlineError(ErrorReason.ERROR_REASON_ACTOR_REQUIRED)
    if not isinstance(user_id, str):
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
    return user_id


def claims(authorization: str) -> dict[str, Any]:
    """The unverified claims of a bearer token. Raises TOKEN_INVALID."""
    parts = authorization.rpartition(" ")[2].split(".")
    try:
        found = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (IndexError, binascii.Error, ValueError) as error:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID) from error
    if type(found) is not dict:
        raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
    return found


def _cookie(header: str) -> str:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return ""


def _from_own_page(request: Request) -> bool:
    origin = _origin(request.header(b"origin"))
    return origin is not None and origin in {_origin(request.links.base_url), _origin(request.links.here)}


def _origin(url: str) -> tuple[str, str, int | None] | None:
    """Scheme, host and port of a URL; None if it has no host, as an origin of `null` has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
