"""One page in a headless Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

START_SECONDS = 60.0
STEP_SECONDS = 60.0
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors"),
)
"""Nothing that the browser asks for by itself; certificates of development are nobody's."""


class Page:
    """What the tests do with a page, and what it says in its console."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._id = 0
        self.console: list[str] = []
        """Errors and messages, among them what the Content-Security-Policy has blocked."""
        self.heard: dict[str, Any] = {}
        """What the other events said, by their names; the last one counts."""

    def open(self, url: str) -> None:
        """Opens an address."""
        self.call("Runtime.enable")
        self.call("Log.enable")
        self.call("Page.navigate", url=url)

    def wait_for(self, expression: str) -> Any:
        """The value of an expression, as soon as it is true."""
        look = f"() => {{ const found = {expression}; found ? resolve(found) : setTimeout(look, 50) }}"
        code = f"new Promise(resolve => {{ const look = {look}; look() }})"
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            answer = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
            if "value" in answer.get("result", {}):  # else the page was exchanged meanwhile
                return answer["result"]["value"]
        raise TimeoutError(f"never true: {expression}; the console says {self.console}")

    def click(self, selector: str) -> None:
        """Clicks an element as soon as it is there."""
        self.wait_for(f"(one => one && (one.click(), true))(document.querySelector({json.dumps(selector)}))")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Has the browser do something, and returns its answer."""
        self._id += 1
        self._socket.send(json.dumps({"id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(STEP_SECONDS))
            if message.get("id") == self._id:
                return message.get("result", {})  # type: ignore[no-any-return]
            if message.get("method") in {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}:
                self.console.append(json.dumps(message["params"]))
            elif "method" in message:
                self.heard[message["method"]] = message["params"]


@contextmanager
def open_page(chromium: Path, folder: Path) -> Iterator[Page]:
    """An empty page in a browser of its own, which keeps its files in the folder."""
    command = [str(chromium), *QUIET, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)})
    try:
        with connect(_page_address(process, folder), max_size=None, open_timeout=START_SECONDS) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _page_address(process: subprocess.Popen[bytes], folder: Path) -> str:
    address = folder / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while not (address.exists() and address.read_text().count("\n")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Chromium did not start:\n{(folder / 'log').read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)  # another process's file: there is nothing to await
    port = address.read_text().splitlines()[0]
    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=START_SECONDS) as answer:
        targets = json.load(answer)
    return next(str(target["webSocketDebuggerUrl"]) for target in targets if target["type"] == "page")
