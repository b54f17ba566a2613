"""The page and the worker of docs/api.md in a browser, from the registration to the notification that is shown."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.openapi.browser import Page, open_page
from tests.sdks.installs import find_chromium
from tests.support.browser import PUBLIC_KEY, Browser
from tests.support.receiver import receiver
from tests.support.server import running_server
from tests.wire.chat_api.client import person
from tests.wire.chat_api.test_push import SETTINGS
from tests.wire.client import Server

pytestmark = [
    pytest.mark.slow(reason="starts a browser and a server"),
    pytest.mark.timeout(300),
    pytest.mark.skipif("ROOMLINE_WIRE_URL" in os.environ, reason="needs a server with settings of its own"),
]

DOCS = Path(__file__).parents[3] / "docs" / "api.md"
SECONDS = 60.0
TRIES, TRY_SECONDS = 20, 3

NOTIFICATIONS = (
    "(worker.getNotifications().then(all => window.all = all.map(({title, body, tag}) => ({title, body, tag}))),"
    " (window.all.length || Date.now() > window.end) && JSON.stringify(window.all))"
)
"""An expression: what is shown, as JSON, as soon as there is something or the time is over."""

PAGE = """<!doctype html><title>A chat</title><link rel="icon" href="data:,"><script type="module">
const token = %s;
PushManager.prototype.subscribe = async (options) => {
  const { active } = await navigator.serviceWorker.getRegistration();
  if (!active) throw new Error("no active worker");
  window.options = options;
  return { toJSON: () => (%s) };
};
%s
window.worker = worker;
</script>"""
"""The way to the browser vendor's push service is the only part that is not real."""


def scripts() -> tuple[str, str]:
    """What the documentation has a page and its worker do."""
    page, worker = re.findall(r"```js\n(.*?)```", DOCS.read_text().partition("### Web push")[2], re.DOTALL)
    return page, worker


@contextmanager
def site(files: dict[str, tuple[str, str]], api: str) -> Iterator[str]:
    """A web site with these files, by path: type and text. It hands calls of the API on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in files:
                content_type, text = files[self.path]
                self._answer(200, content_type, text.encode())
            else:
                self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes | None) -> None:
            names = ("Authorization", "Content-Type")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            with closing(HTTPConnection(api.removeprefix("http://"), timeout=SECONDS)) as connection:
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                self._answer(answer.status, answer.headers["Content-Type"], answer.read())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def shown(page: Page, origin: str, data: object) -> list[Any]:
    """The notifications that are there once a push was handed to the page's worker.

    It is handed over again if nothing comes: the browser drops it while it still stores the worker.
    """
    (registration,) = page.heard["ServiceWorker.workerRegistrationUpdated"]["registrations"]
    push = {"origin": origin, "registrationId": registration["registrationId"], "data": json.dumps(data)}
    found: list[Any] = []
    for _ in range(TRIES):
        page.call("ServiceWorker.deliverPushMessage", **push)
        page.call("Runtime.evaluate", expression=f"window.end = Date.now() + {TRY_SECONDS * 1000}; window.all = []")
        found = json.loads(page.wait_for(NOTIFICATIONS))
        if found:
            break
    return found


async def test_a_page_as_documented_is_told(tmp_path: Path) -> None:
    page_script, worker = scripts()
    async with receiver() as service:
        with (
            running_server(tmp_path / "server", env=SETTINGS) as running,
            Server(running.http, running.instance_locator, running.key, running.ca_file) as server,
        ):
            ada, bea = person(server, "Ada"), person(server, "Bea", "Brown")
            browser = Browser(f"{service.url}/send")
            html = PAGE % (json.dumps(ada.token), json.dumps(browser.as_json()), page_script)
            files = {"/": ("text/html", html), "/worker.js": ("text/javascript", worker)}
            (tmp_path / "profile").mkdir()
            with site(files, running.http) as origin, open_page(find_chromium(), tmp_path / "profile") as page:
                page.call("Browser.grantPermissions", permissions=["notifications"], origin=origin)
                page.call("ServiceWorker.enable")
                page.open(f"{origin}/")
                options = page.wait_for("window.worker && window.options")
                assert options == {"userVisibleOnly": True, "applicationServerKey": PUBLIC_KEY}

                bea.say(ada.open(bea.id)["id"], "see you at nine")
                (posted,) = await service.until(bool)
                pushed = browser.read(posted)
                room_id = pushed["data"]["chatkit"]["roomId"]
                assert shown(page, origin, pushed) == [
                    {"title": "Bea Brown", "body": "see you at nine", "tag": room_id}
                ]
                assert page.console == []
