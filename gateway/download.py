"""A file on its way out: from the media service into an answer, whole or a range of it (RFC 9110 §13, §14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import grpc
from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import DownloadAttachmentRequest, DownloadAttachmentResponse, DownloadHead

from gateway import ranges
from gateway.response import INERT, Header, Response
from gateway.stream import Stream
from services.common import file_headers
from services.common.errors import RoomlineError
from services.common.rules import invalid

if TYPE_CHECKING:
    from gateway.request import Request

Method = grpc.aio.UnaryStreamMultiCallable[DownloadAttachmentRequest, DownloadAttachmentResponse]
Call = grpc.aio.UnaryStreamCall[DownloadAttachmentRequest, DownloadAttachmentResponse]

_MAX_DIGITS = 9
_ALWAYS: tuple[Header, ...] = (
    *INERT,
    # Scripts that may read it may know what they read.
    (b"access-control-expose-headers", b"Accept-Ranges, Content-Disposition, Content-Range, ETag"),
    (b"accept-ranges", b"bytes"),
)


class Shown(NamedTuple):
    """How a file is shown."""

    content_type: str
    disposition: str
    """`attachment` or `inline`."""
    cache_control: bytes
    headers: Sequence[Header] = ()
    """What else belongs to it."""


Show = Callable[[DownloadHead], Shown]
"""Decides how a file is shown; raises if it shall not be."""


async def download(request: Request, method: Method, message: DownloadAttachmentRequest, show: Show) -> Response:
    """The file that the message names or, with `thumbnail` in the query, a small picture of it."""
    message.thumbnail = _thumbnail(request)
    conditions = _conditions(request)
    looks_first = bool(conditions.range) or request.method == "HEAD"
    if looks_first:
        message.length = 0
    head, shown, call = await _open(request, method, message, show)
    etag = ranges.strong_etag(head.etag)
    selection = ranges.select(conditions, etag, head.size)
    if looks_first and request.method == "GET" and selection.length:
        call.cancel()
        message.offset, message.length = selection.offset, selection.length
        looked_at = head.etag
        head, shown, call = await _open(request, method, message, show)
        if head.etag != looked_at:
            call.cancel()  # other bytes were uploaded in between
            raise RoomlineError(ErrorReason.ERROR_REASON_SERVICE_UNAVAILABLE, service="media")
    elif selection.status in {304, 416}:
        call.cancel()
    if selection.status == 416:
        raise RoomlineError(ErrorReason.ERROR_REASON_RANGE_INVALID, size=head.size)
    headers = [*_headers(head, shown), *_ALWAYS, *shown.headers]
    if etag:
        headers.append((b"etag", etag.encode()))
    if selection.status == 206:
        headers.append((b"content-range", ranges.content_range(selection, head.size).encode()))
    return Response(
        selection.status,
        headers=headers,
        cache_control=shown.cache_control,
        stream=Stream(selection.length, _chunks(call, request.limits.idle_seconds), call.cancel),
    )


async def _open(
    request: Request, method: Method, message: DownloadAttachmentRequest, show: Show
) -> tuple[DownloadHead, Shown, Call]:
    """Begins a download; bytes that are still being uploaded are waited for, as long as the client waits."""
    call: Call = method(message, metadata=request.metadata)
    try:
        head = await request.while_here(_head(call, request.limits.call_seconds))
        return head, show(head), call
    except BaseException:
        call.cancel()
        raise


def _thumbnail(request: Request) -> int:
    text = request.query_value("thumbnail")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise invalid("thumbnail", "a size in pixels")
    return int(text)


def _conditions(request: Request) -> ranges.Conditions:
    return ranges.Conditions(
        request.header(b"range") if request.method == "GET" else "",  # no other method has ranges
        request.header(b"if-range"),
        request.header(b"if-none-match"),
    )


def _headers(head: DownloadHead, shown: Shown) -> tuple[Header, ...]:
    return (
        (b"content-type", file_headers.content_type(shown.content_type).encode()),
        (b"content-disposition", file_headers.content_disposition(shown.disposition, head.attachment.name).encode()),
    )


async def _head(call: Call, seconds: float) -> DownloadHead:
    try:
        async with asyncio.timeout(seconds):
            first = await call.read()
    except TimeoutError:
        raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from None
    if not isinstance(first, DownloadAttachmentResponse) or not first.HasField("head"):
        raise RoomlineError(ErrorReason.ERROR_REASON_INTERNAL)
    return first.head


async def _chunks(call: Call, seconds: float) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(seconds):
                step = await call.read()
        except TimeoutError:
            raise RoomlineError(ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED) from None
        if not isinstance(step, DownloadAttachmentResponse):
            return
        yield step.chunk
