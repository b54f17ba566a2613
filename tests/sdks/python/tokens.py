"""Tokens the SDK makes for clients."""

from tests.sdks.python.checks import Sdk, make_users, raising, same


def case_authenticate_user_gives_a_token_good_for_that_user(sdk: Sdk) -> None:
    make_users(sdk, "alice", "bob")
    answer = sdk.authenticate_user("alice")
    same((answer["token_type"], answer["expires_in"]), ("bearer", 86400))
    token = {"token": answer["access_token"]}
    same(sdk.client.get("api", "/users/alice/rooms", token=token), [])
    with raising("PusherBadAuth", "services/chatkit_authorizer/authorization/invalid_token_subject"):
        sdk.client.get("api", "/users/bob/rooms", token=token)


def case_a_forged_token_is_refused(sdk: Sdk) -> None:
    forged = {"token": sdk.generate_token(su=True)["token"] + "x"}
    with raising("PusherBadAuth", "authentication/jwt/invalid"):
        sdk.client.get("api", "/users", token=forged)


def case_no_token_is_refused(sdk: Sdk) -> None:
    with raising("PusherBadAuth", "authentication/missing_token"):
        sdk.client.get("api", "/users")
