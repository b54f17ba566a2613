"""The document of the API, and the page that shows it."""

import re

import pytest

from gateway.openapi import document
from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, Client
from tests.gateway.conftest import running_gateway

PATHS = ["/openapi.json", "/docs", "/docs/page.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"]


@pytest.fixture
def anybody(gateway: Gateway) -> Client:
    return Client(gateway.port, authorization=None)


@pytest.mark.parametrize("path", PATHS)
async def test_anybody_may_read_and_keep_it(anybody: Client, backend: Backend, path: str) -> None:
    reply = await anybody.get(path)
    assert reply.status == 200
    assert len(reply.body) > 100
    assert reply.headers["cache-control"].startswith("public, ")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["access-control-allow-origin"] == "*"
    again = await anybody.request("GET", path, headers={"If-None-Match": reply.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    head = await anybody.request("HEAD", path)
    assert (head.status, head.headers["content-length"]) == (200, str(len(reply.body)))
    assert backend.calls == []


async def test_the_document_has_what_is_served(anybody: Client, settings: Settings, backend: Backend) -> None:
    reply = await anybody.get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.body == document(chat_api=False)
    assert not any(path.startswith("/api/") for path in reply.json["paths"])
    with_chat_api = settings.model_copy(update={"chat_api_instance": INSTANCE})
    async with running_gateway(with_chat_api, backend) as gateway:
        reply = await Client(gateway.port).get("/openapi.json")
    assert "/api/v1/chat.postMessage" in reply.json["paths"]


async def test_the_page_runs_nothing_but_its_own_files(anybody: Client) -> None:
    page = await anybody.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    text = page.body.decode()
    assert re.findall(r"<script(?! src=)|<style|\son\w+=|\sstyle=", text) == []
    for path in re.findall(r'(?:src|href)="([^"]+)"', text):
        assert (await anybody.get(path)).status == 200, path


@pytest.mark.parametrize("path", ["/docs/nothing.js", "/docs/..%2Fpage.js", "/docs/__init__.py", "/docs/page.js/x"])
async def test_there_is_nothing_else(anybody: Client, path: str) -> None:
    assert (await anybody.get(path)).error == (404, "not_found/route")
