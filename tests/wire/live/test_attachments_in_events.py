"""Messages with attachments, as room subscriptions tell them (spec §5.7, §10.9)."""

from typing import Any

import pytest

from tests.wire.client import V2, V6, Server, inline, path_of
from tests.wire.files import DATA, at, attach, post_file
from tests.wire.live.client import Subscriber

V7 = "chatkit/v7"


def without_urls(message: dict[str, Any]) -> dict[str, Any]:
    """What does not change from one look to the next: URLs are signed anew, and end later."""
    found: dict[str, Any] = {**message}
    if "attachment" in found:
        found["attachment"] = {**found["attachment"], "resource_link": ""}
    for part in found.get("parts", ()):
        if "attachment" in part:
            part["attachment"] |= {"download_url": "", "expiration": ""}
    return found


def link_of(message: dict[str, Any]) -> str:
    if "attachment" in message:
        return str(message["attachment"]["resource_link"])
    return str(message["parts"][1]["attachment"]["download_url"])


@pytest.mark.parametrize("api", [V2, V6, V7])
def test_an_attachment_comes_with_all_that_is_known_of_it(
    server: Server, live: Subscriber, alice: str, room: str, api: str
) -> None:
    attachments = [attach(server, room, alice, name="a file", custom_data={"a": 1}) for _ in range(2)]
    first = server.send(room, alice, inline("look"), attachments[0].part_of("application/json"))
    with live.user(path_of("rooms", room), alice, api=api) as subscription:
        second = server.send(room, alice, inline("again"), attachments[1].part_of("image/png"))
        for message in (first, second):
            told = subscription.data("new_message")
            assert at(server, link_of(told)).body == DATA
            assert without_urls(told) == without_urls(server.message(room, message, api))


@pytest.mark.parametrize("api", [V2, V6])
def test_a_v2_file(server: Server, live: Subscriber, alice: str, room: str, api: str) -> None:
    with live.user(path_of("rooms", room), alice, api=api) as subscription:
        file = post_file(server, room, alice, "picture.gif", mime="image/gif")
        message = server.send_text(room, alice, "look", **file)
        told = subscription.data("new_message")
        assert at(server, link_of(told)).body == DATA
        assert without_urls(told) == without_urls(server.message(room, message, api))
