"""Pictures of users (spec §0 rows 19 and 20, §6): uploaded as forms, read by the user's `uid`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.media_service_pb2 import GetAvatarRequest, SetAvatarRequest
from roomline.v1.media_service_pb2_grpc import MediaServiceStub

from gateway import ranges
from gateway.chat_api import parse, render
from gateway.chat_api.credentials import subject
from gateway.chat_api.endpoint import Kind
from gateway.chat_api.errors import FORM, InputError
from gateway.chat_api.form import FileHead, Form
from gateway.chat_api.media import OWN_PAGES, REVALIDATED
from gateway.form_reader import MAX_REST_BYTES
from gateway.response import INERT, Header, Response, json_response
from gateway.upload import check_size, upload
from services.common import file_headers
from services.common.errors import RoomlineError

if TYPE_CHECKING:
    import grpc
    from roomline.v1.account_pb2 import Account
    from roomline.v1.media_service_pb2_grpc import MediaServiceAsyncStub

    from gateway.chat_api.people import Accounts
    from gateway.chat_api.routes import Routes
    from gateway.request import Request

_MAX_TAGS = 16
_MAX_TAG = 128
"""Entity tags of a request that are passed on: what the contract takes."""


class Avatars:
    """`media/avatars`."""

    def __init__(self, media: grpc.aio.Channel, accounts: Accounts) -> None:
        self._stub: MediaServiceAsyncStub = MediaServiceStub(media)
        self._accounts = accounts

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("POST", "/media/avatars", self.set, Kind.FORM),
            ("GET", "/media/avatars/{uid}", self.get, Kind.FILE),
        ]

    async def set(self, request: Request) -> Response:
        """Replaces the caller's picture; with `uid` in the query that of another user, which a server's token may."""
        check_size(request, besides=MAX_REST_BYTES)
        form = Form(request.header(b"content-type"), request.chunks())
        account = await self._whose(request)
        files = form.files()
        if await anext(files, None) is None:
            raise InputError(FORM, "missing field `file`")
        await upload(request, self._stub.SetAvatar, SetAvatarRequest(user_id=account.user_id), _only(form, files))
        return json_response(render.avatar(account.user_uid))

    async def get(self, request: Request) -> Response:
        """The picture of a user; `not_found` for one who has none, and for nobody."""
        uid = parse.path_uuid(request, "uid")
        account = None if uid is None else (await self._accounts.people(request, "", uids=[uid])).by_uid(uid)
        if account is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ATTACHMENT_NOT_FOUND)
        conditions = ranges.Conditions(if_none_match=request.header(b"if-none-match"))
        known = [tag for tag in ranges.known_tags(conditions.if_none_match) if len(tag) <= _MAX_TAG][:_MAX_TAGS]
        message = GetAvatarRequest(user_id=account.user_id, known_etags=known)
        answer = await request.call(self._stub.GetAvatar, message)
        etag = ranges.strong_etag(answer.avatar.etag)
        headers: list[Header] = [(b"etag", etag.encode()), *INERT, *OWN_PAGES]
        if ranges.select(conditions, etag, answer.avatar.size).status == 304:
            return Response(304, headers=headers, cache_control=REVALIDATED)
        headers += [
            (b"content-type", file_headers.content_type(answer.avatar.content_type).encode()),
            (b"content-disposition", b"inline"),
        ]
        return Response(200, answer.data, headers, REVALIDATED)

    async def _whose(self, request: Request) -> Account:
        """The user whose picture it shall be. Raises USER_NOT_FOUND."""
        uid = parse.query_optional_uuid(request, "uid")
        if uid is None:
            me = subject(request)
            account = (await self._accounts.people(request, me, [me])).get(me)
        else:
            account = (await self._accounts.people(request, "", uids=[uid])).by_uid(uid)
        if account is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_USER_NOT_FOUND)
        return account


async def _only(form: Form, files: AsyncIterator[FileHead]) -> AsyncIterator[bytes]:
    """The bytes of the first file, complete only if the form is and has no other one."""
    async for chunk in form.chunks():
        yield chunk
    if await anext(files, None) is not None:
        raise InputError(FORM, "file: only one is taken")
