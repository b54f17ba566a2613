"""Messages, which this SDK knows in the `text` dialect only."""

from typing import Any

from tests.sdks.python.checks import Sdk, ids_of, make_room, make_users, raising, same, timeless

DOG = "https://example.com/pics/dog"


def send_five(sdk: Sdk, room_id: str) -> list[Any]:
    texts = ("one", "two", "three", "four", "five")
    return [sdk.send_message("alice", room_id, text)["message_id"] for text in texts]


def case_send_with_the_sender_in_the_body(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice", "bob")
    answer = sdk.send_message("bob", room_id, "hello")
    same([(name, type(value)) for name, value in answer.items()], [("message_id", int)])
    expected = {"id": answer["message_id"], "user_id": "bob", "room_id": room_id, "text": "hello"}
    same([timeless(message) for message in sdk.get_room_messages(room_id)], [expected])


def case_send_with_a_link(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    sdk.send_message("alice", room_id, "look", attachment={"resource_link": DOG, "type": "image"})
    [message] = sdk.get_room_messages(room_id)
    same(message["text"], "look")
    same(message["attachment"], {"resource_link": DOG, "type": "image", "name": "dog"})


def case_only_members_may_send(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    make_users(sdk, "carol")
    with raising("PusherForbidden", "services/chatkit/forbidden/not_a_member"):
        sdk.send_message("carol", room_id, "let me in")


def case_the_size_limit_is_told_by_its_name(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    with raising("PusherBadStatus", "message_size_limit_exceeded"):
        sdk.send_message("alice", room_id, "x" * 16384)


def case_list_pages_both_ways(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    one, two, three, four, five = send_five(sdk, room_id)

    def page(**options: object) -> list[Any]:
        return ids_of(sdk.get_room_messages(room_id, **options))

    same(page(), [five, four, three, two, one])
    same(page(limit=2), [five, four])
    same(page(limit=2, initial_id=four), [three, two])
    same(page(limit=2, direction="newer"), [one, two])
    same(page(limit=2, direction="newer", initial_id=two), [three, four])


def case_delete(sdk: Sdk) -> None:
    room_id = make_room(sdk, "alice")
    one, two, three, four, five = send_five(sdk, room_id)
    same(sdk.delete_message(three), None)
    with raising("PusherNotFound"):
        sdk.delete_message(three)
    same(ids_of(sdk.get_room_messages(room_id)), [five, four, two, one])
