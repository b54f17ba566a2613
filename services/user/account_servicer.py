"""Serves `AccountService`: registration, logins and sessions, and users as accounts (chat API spec §1, §8)."""

from collections.abc import Iterable
from dataclasses import dataclass

from roomline.v1 import account_service_pb2_grpc
from roomline.v1.account_pb2 import Account
from roomline.v1.account_service_pb2 import (
    BatchGetAccountsRequest,
    BatchGetAccountsResponse,
    GetPublicKeysRequest,
    GetPublicKeysResponse,
    ListAccountsRequest,
    ListAccountsResponse,
    LoginRequest,
    LoginResponse,
    LogoutRequest,
    LogoutResponse,
    RefreshRequest,
    RefreshResponse,
    RegisterRequest,
    RegisterResponse,
    UpdateProfileRequest,
    UpdateProfileResponse,
)
from roomline.v1.error_reason_pb2 import ErrorReason

from services.common.call import Level, current_caller
from services.common.errors import RoomlineError
from services.common.idempotency import request_key
from services.common.interceptors import Context
from services.common.pagination import decode_page_token, encode_page_token, page_size
from services.common.rules import required
from services.common.timestamps import fill
from services.user.account_keys import AccountKeys
from services.user.account_store import REGISTRATION_ACTOR, AccountStore, NewAccount, ProfileChange, StoredPassword
from services.user.directory import Directory
from services.user.email_address import email_key
from services.user.passwords import Passwords
from services.user.presence import PresenceBoard
from services.user.sessions import Sessions
from services.user.store import Age
from services.user.throttle import Throttle, address_of_peer, counted_address

DEFAULT_PAGE = 200
MAX_PAGE = 1000


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the operator decides about accounts."""

    instance_id: str
    """The instance whose users have accounts; empty for none."""
    registration_open: bool
    login_strict: bool
    """Do not tell an unknown e-mail address from a wrong password."""


class AccountServicer(account_service_pb2_grpc.AccountServiceServicer):
    """Serves `AccountService`."""

    def __init__(
        self,
        rules: AccountRules,
        accounts: AccountStore,
        sessions: Sessions,
        keys: AccountKeys,
        directory: Directory,
        passwords: Passwords,
        throttle: Throttle,
        presence: PresenceBoard,
    ) -> None:
        self._rules = rules
        self._accounts = accounts
        self._sessions = sessions
        self._keys = keys
        self._directory = directory
        self._passwords = passwords
        self._throttle = throttle
        self._presence = presence

    async def Register(self, request: RegisterRequest, context: Context) -> RegisterResponse:
        instance_id = await self._instance()
        caller = current_caller()
        by_server = caller.level is Level.SERVER and caller.instance_id == instance_id
        if not self._rules.registration_open and not by_server:
            raise RoomlineError(ErrorReason.ERROR_REASON_REGISTRATION_CLOSED)
        compared = email_key(request.email)
        key = request_key(caller, request, leave_out=("password", "remote_address"))
        if key is not None:
            key = key._replace(instance_id=instance_id, actor=REGISTRATION_ACTOR + compared)
        first = await self._accounts.registered(key)
        if first is not None:
            return first
        self._passwords.check_length(request.password, "password")
        if not by_server:
            self._throttle.registration(_address(request.remote_address, context))
        if (
            await self._accounts.password_of_email(instance_id, compared) is not None
        ):  # before the hash, which costs much
            raise RoomlineError(ErrorReason.ERROR_REASON_EMAIL_TAKEN)
        password = await self._passwords.hash(request.password)
        new = NewAccount(request.email, request.first_name, request.last_name, password)
        return await self._accounts.register(instance_id, new, key)

    async def Login(self, request: LoginRequest, context: Context) -> LoginResponse:
        instance_id = await self._instance()
        compared = email_key(request.email)
        with self._throttle.attempt(compared, _address(request.remote_address, context)):
            pair = None
            while pair is None:  # tried again if the hash changed since it was verified
                verified = await self._verified(instance_id, compared, request.password)
                rehashed = await self._passwords.rehash(request.password, verified.hash)
                pair = await self._sessions.start(instance_id, verified, rehashed)
        return LoginResponse(
            access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in
        )

    async def Refresh(self, request: RefreshRequest, context: Context) -> RefreshResponse:
        pair = await self._sessions.refresh(await self._instance(), request.refresh_token)
        return RefreshResponse(
            access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in
        )

    async def Logout(self, request: LogoutRequest, context: Context) -> LogoutResponse:
        caller = current_caller()
        if not caller.session_id:
            raise RoomlineError(ErrorReason.ERROR_REASON_TOKEN_INVALID)
        await self._sessions.end(caller.instance_id, caller.session_id)
        return LogoutResponse()

    async def ListAccounts(self, request: ListAccountsRequest, context: Context) -> ListAccountsResponse:
        after = Age(*decode_page_token(request.page_token, int, int)) if request.page_token else Age(0, 0)
        limit = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        instance_id = current_caller().instance_id
        accounts, following = await self._accounts.page(instance_id, after, limit)
        self._fill_last_seen(instance_id, accounts)
        return ListAccountsResponse(
            accounts=accounts, next_page_token=encode_page_token(*following) if following else ""
        )

    async def BatchGetAccounts(self, request: BatchGetAccountsRequest, context: Context) -> BatchGetAccountsResponse:
        instance_id = current_caller().instance_id
        accounts = await self._accounts.get(instance_id, request.user_uids, request.user_ids)
        self._fill_last_seen(instance_id, accounts)
        return BatchGetAccountsResponse(accounts=accounts)

    async def UpdateProfile(self, request: UpdateProfileRequest, context: Context) -> UpdateProfileResponse:
        caller = current_caller()
        user_id = caller.actor()
        key = request_key(caller, request, leave_out=("old_password", "new_password"))
        response = await self._accounts.updated(key)  # also of a change of the password, which is not the old one now
        if response is None:
            change = await self._change(caller.instance_id, user_id, request)
            response = await self._directory.ending(
                self._accounts.update(caller.instance_id, user_id, change, caller.session_id, key)
            )
        self._fill_last_seen(caller.instance_id, [response.account])
        return response

    async def GetPublicKeys(self, request: GetPublicKeysRequest, context: Context) -> GetPublicKeysResponse:
        return GetPublicKeysResponse(jwks=self._keys.key_set())

    def _fill_last_seen(self, instance_id: str, accounts: Iterable[Account]) -> None:
        """Puts in what is not stored."""
        presence = self._presence.of(instance_id)
        for account in accounts:
            seen = presence.last_seen(account.user_id)
            if seen is not None:
                fill(account.last_seen, seen)

    async def _instance(self) -> str:
        """The instance whose users have accounts. Raises ACCOUNTS_DISABLED if there is none."""
        instance_id = self._rules.instance_id
        if not instance_id or await self._directory.get(instance_id) is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ACCOUNTS_DISABLED)
        return instance_id

    async def _verified(self, instance_id: str, compared: str, password: str) -> StoredPassword:
        """What the password of a login was found to match. Raises ACCOUNT_NOT_FOUND or PASSWORD_INVALID."""
        stored = await self._accounts.password_of_email(instance_id, compared)
        matches = await self._passwords.matches(password, stored.hash if stored else None)
        if stored is None and not self._rules.login_strict:
            raise RoomlineError(ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND)
        if stored is None or not matches:
            raise RoomlineError(ErrorReason.ERROR_REASON_PASSWORD_INVALID)
        return stored

    async def _change(self, instance_id: str, user_id: str, request: UpdateProfileRequest) -> ProfileChange:
        first_name = request.first_name if request.HasField("first_name") else None
        last_name = request.last_name if request.HasField("last_name") else None
        if first_name == "":
            raise required("first_name")
        if not request.HasField("new_password"):
            if request.HasField("old_password"):
                raise required("new_password")
            return ProfileChange(first_name, last_name)
        self._passwords.check_length(request.new_password, "new_password")
        verified = None
        if request.HasField("old_password"):
            verified = await self._allowed(instance_id, user_id, request.old_password)
        elif current_caller().is_user:
            raise required("old_password")
        return ProfileChange(first_name, last_name, await self._passwords.hash(request.new_password), verified)

    async def _allowed(self, instance_id: str, user_id: str, password: str) -> str:
        """The hash that the user's password was found to match. Raises ACCOUNT_NOT_FOUND or PASSWORD_INVALID."""
        stored = await self._accounts.password_of_user(instance_id, user_id)
        if stored is None:
            raise RoomlineError(ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND)
        with self._throttle.attempt(stored.email_key, ""):
            if not await self._passwords.matches(password, stored.hash):
                raise RoomlineError(ErrorReason.ERROR_REASON_PASSWORD_INVALID)
        return stored.hash


def _address(said: str, context: Context) -> str:
    """Where a call comes from: what one of our own processes says, or the address of whoever calls."""
    if current_caller().level is Level.SERVICE:
        return counted_address(said)
    return address_of_peer(context.peer())
