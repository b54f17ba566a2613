"""The SDK's other way to send requests: Tornado's client, with which every method returns a future.

It sends what no other case does: `Accept-Encoding: gzip`, and a connection for each request that closes after it.
What is refused cannot be tried: the SDK raises where nobody awaits, and its future never ends. Neither can writes
without a body, nor deletions with one, which Tornado itself refuses.
"""

import asyncio
import importlib
import os
from typing import Any

from tests.sdks.python.checks import Sdk, make_users, same, timeless

SECONDS = 30.0
HTTPS = 443
MODULES = ("tornado.httpclient", "tornado.simple_httpclient", "tornado.netutil", "pusher_chatkit.backends")


def case_tornado_reads_and_writes(sdk: Sdk) -> None:
    make_users(sdk, "bob")
    same(asyncio.run(asyncio.wait_for(_read_and_write(type(sdk.subject)), SECONDS)), None)


async def _read_and_write(sdk_class: Any) -> None:
    sdk = _tornado_sdk(sdk_class)
    custom_data = {"text": "x" * 4000}  # large enough to be worth compressing
    user = await sdk.create_user("alice", "Alice", custom_data=custom_data)
    same(timeless(user), {"id": "alice", "name": "Alice", "custom_data": custom_data})
    same(await sdk.update_user("alice", name="Ann"), None)
    same((await sdk.get_user("alice"))["name"], "Ann")
    room = await sdk.create_room("my room", "alice", user_ids=["bob"])
    sent = [(await sdk.send_message("bob", room["id"], text))["message_id"] for text in ("one", "two")]
    same(await sdk.delete_message(sent[0]), None)
    same([message["id"] for message in await sdk.get_room_messages(room["id"])], sent[1:])
    same(await sdk.set_user_read_cursors("alice", room["id"], sent[1]), {})
    same((await sdk.get_user_rooms("alice"))[0]["unread_count"], 0)
    same(await sdk.create_global_role("mods", ["room:update"]), None)
    same(await sdk.list_permissions_for_global_role("mods"), ["room:update"])


def _tornado_sdk(sdk_class: Any) -> Any:
    """Return an SDK object whose client, which cannot use a proxy, finds the cluster's host at the tested server."""
    client, simple_client, netutil, backends = map(importlib.import_module, MODULES)
    locator = os.environ["CHATKIT_INSTANCE_LOCATOR"]
    cluster = (f"{locator.split(':')[1]}.pusherplatform.io", HTTPS)
    server = ("127.0.0.1", int(os.environ["CHATKIT_PORT"]))
    client.AsyncHTTPClient.configure(
        simple_client.SimpleAsyncHTTPClient,
        resolver=netutil.OverrideResolver(netutil.DefaultLoopResolver(), {cluster: server}),
        defaults={"ca_certs": os.environ["REQUESTS_CA_BUNDLE"]},
    )
    return sdk_class(locator, os.environ["CHATKIT_INSTANCE_KEY"], backend=backends.TornadoBackend)
