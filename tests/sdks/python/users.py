"""Users: create, read, list, update, delete."""

import time

from tests.sdks.python.checks import Sdk, ids_of, make_users, raising, same, timeless

CUSTOM_DATA = {"email": "ham@example.com", "age": 42, "nested": {"list": [1, "two"]}}


def case_create_with_every_field(sdk: Sdk) -> None:
    user = sdk.create_user("ham", "Ham", avatar_url="https://example.com/ham.jpg", custom_data=CUSTOM_DATA)
    expected = {
        "id": "ham",
        "name": "Ham",
        "avatar_url": "https://example.com/ham.jpg",
        "custom_data": CUSTOM_DATA,
    }
    same(timeless(user), expected)
    same(sdk.get_user("ham"), user)


def case_create_sends_null_for_what_is_not_given(sdk: Sdk) -> None:
    same(timeless(sdk.create_user("ham", "Ham")), {"id": "ham", "name": "Ham"})


def case_create_with_a_taken_id_is_refused(sdk: Sdk) -> None:
    make_users(sdk, "ham")
    with raising("PusherBadRequest", "services/chatkit/user_already_exists"):
        sdk.create_user("ham", "Somebody else")


def case_create_a_batch_from_a_bare_array(sdk: Sdk) -> None:
    batch = [
        {"id": "zoe", "name": "Zoe", "custom_data": CUSTOM_DATA},
        {"id": "ann", "name": "Ann", "avatar_url": "https://example.com/ann.jpg"},
        {"id": "may", "name": "May"},
    ]
    same([timeless(user) for user in sdk.batch_create_user(batch)], batch)


def case_update_replaces_what_is_given(sdk: Sdk) -> None:
    sdk.create_user("ham", "Ham", avatar_url="https://example.com/1", custom_data=CUSTOM_DATA)
    change = {"name": "Hamilton", "avatar_url": "https://example.com/2", "custom_data": {"only": "this"}}
    same(sdk.update_user("ham", **change), None)
    same(timeless(sdk.get_user("ham")), {"id": "ham", **change})


def case_update_of_nothing_sends_no_body(sdk: Sdk) -> None:
    user = sdk.create_user("ham", "Ham", custom_data=CUSTOM_DATA)
    same(sdk.update_user("ham"), None)
    same(timeless(sdk.get_user("ham")), timeless(user))


def case_ids_that_the_sdk_leaves_to_be_encoded(sdk: Sdk) -> None:
    for user_id in ("with some spaces", "one+one", "Ⓐ ё", "👩🏽‍🚀"):
        sdk.create_user(user_id, "Somebody")
        sdk.update_user(user_id, name="Renamed")
        same(timeless(sdk.get_user(user_id)), {"id": user_id, "name": "Renamed"})
        same(sdk.get_user_rooms(user_id), [])


def case_unknown_ids_are_not_found(sdk: Sdk) -> None:
    for call in (sdk.get_user, sdk.delete_user, sdk.get_user_rooms):
        with raising("PusherNotFound"):
            call("nobody")
    with raising("PusherNotFound"):
        sdk.update_user("nobody", name="Anybody")


def case_list_in_the_order_of_creation_from_a_time_and_up_to_a_limit(sdk: Sdk) -> None:
    make_users(sdk, "zoe", "ann")
    time.sleep(1.05 - time.time() % 1)  # timestamps show whole seconds
    make_users(sdk, "may")
    everybody = sdk.get_users()
    same(ids_of(everybody), ["zoe", "ann", "may"])
    same(ids_of(sdk.get_users(limit=2)), ["zoe", "ann"])
    same(ids_of(sdk.get_users(from_ts=everybody[0]["created_at"])), ["zoe", "ann", "may"])
    same(ids_of(sdk.get_users(from_ts=everybody[2]["created_at"], limit=2)), ["may"])


def case_by_ids_with_one_id(sdk: Sdk) -> None:
    make_users(sdk, "zoe", "ann")
    same(ids_of(sdk.get_users_by_id("ann")), ["ann"])
    same(sdk.get_users_by_id("nobody"), [])


def case_by_ids_with_a_list(sdk: Sdk) -> None:
    # The SDK sends the list's repr as one id.
    for ids in (["zoe", "ann"], [f"{number:036}" for number in range(6)]):
        make_users(sdk, *ids)
        same(sorted(ids_of(sdk.get_users_by_id(ids))), sorted(ids))


def case_delete(sdk: Sdk) -> None:
    make_users(sdk, "ham", "eve")
    same(sdk.delete_user("ham"), None)
    with raising("PusherNotFound"):
        sdk.get_user("ham")
    same(ids_of(sdk.get_users()), ["eve"])


def case_delete_all(sdk: Sdk) -> None:
    make_users(sdk, "ham", "eve", "zoe")
    same(sdk.delete_all_users(), True)
    same(sdk.get_users(), [])
