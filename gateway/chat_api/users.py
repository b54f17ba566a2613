"""Users as accounts (spec §0 rows 4, 4b, 29)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roomline.v1.account_service_pb2 import ListAccountsRequest, UpdateProfileRequest
from roomline.v1.account_service_pb2_grpc import AccountServiceStub

from gateway.chat_api import parse, render
from gateway.chat_api.endpoint import Kind
from gateway.response import Header, Response, json_response

if TYPE_CHECKING:
    import grpc
    from roomline.v1.account_service_pb2_grpc import AccountServiceAsyncStub

    from gateway.chat_api.people import Accounts
    from gateway.chat_api.routes import Routes
    from gateway.request import Request


class Users:
    """`users.*`."""

    def __init__(self, user: grpc.aio.Channel, accounts: Accounts) -> None:
        self._stub: AccountServiceAsyncStub = AccountServiceStub(user)
        self._accounts = accounts

    def routes(self) -> Routes:
        """Methods, paths and what is special about them."""
        return [
            ("GET", "/users.list", self.page, Kind.PLAIN),
            ("GET", "/users.info", self.info, Kind.PLAIN),
            ("POST", "/users.setProfile", self.set_profile, Kind.PLAIN),
        ]

    async def page(self, request: Request) -> Response:
        """The users of the instance, oldest first. If there are more, `X-Cursor-After` is what `after` takes."""
        message = ListAccountsRequest(
            page_size=parse.limit(request, default=parse.MAX_LIMIT), page_token=request.query_value("after") or ""
        )
        answer = await request.call(self._stub.ListAccounts, message)
        headers: list[Header] = [(b"access-control-expose-headers", b"X-Cursor-After")]
        if answer.next_page_token:
            headers.append((b"x-cursor-after", answer.next_page_token.encode()))
        return json_response([render.user(account) for account in answer.accounts], headers=headers)

    async def info(self, request: Request) -> Response:
        """One user; `null` if there is none."""
        uid = parse.query_uuid(request, "uid")
        account = (await self._accounts.people(request, "", uids=[uid])).by_uid(uid)
        return json_response(render.ok(user=render.user(account) if account else None))

    async def set_profile(self, request: Request) -> Response:
        """Changes the caller's names or password."""
        change = parse.profile(await parse.body(request))
        message = UpdateProfileRequest(
            first_name=change.first_name,
            last_name=change.last_name,
            old_password=change.old_password,
            new_password=change.new_password,
            request_id=request.new_id(),
        )
        answer = await request.call(self._stub.UpdateProfile, message)
        return json_response(render.ok(user=render.user(answer.account)))
