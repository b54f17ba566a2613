"""Pages of any origin may call the API (spec §12.1)."""

import pytest

from gateway.server import Gateway
from tests.gateway.backend import Backend
from tests.gateway.client import PREFIX, PROVIDER_PREFIX, Client


def asked(method: str, headers: str, origin: str = "null") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


@pytest.mark.parametrize("path", ["/users", "/rooms/%FF", "/nothing", "/nowhere"])
async def test_a_preflight_needs_no_token(gateway: Gateway, backend: Backend, path: str) -> None:
    client = Client(gateway.port, authorization=None)
    reply = await client.request("OPTIONS", path, headers=asked("SUBSCRIBE", "x-own,authorization"))
    assert (reply.status, reply.body) == (204, b"")
    assert "SUBSCRIBE" in reply.headers["access-control-allow-methods"]
    allowed = reply.headers["access-control-allow-headers"].lower().split(",")
    assert {"x-own", "authorization", "x-sdk-product"} <= {name.strip() for name in allowed}
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-max-age"] == "86400"
    assert backend.calls == []


async def test_only_header_names_are_echoed(client: Client) -> None:
    reply = await client.request("OPTIONS", "/users", headers=asked("GET", 'x"<script>'))
    assert "script" not in reply.headers["access-control-allow-headers"]


async def test_the_token_provider_allows_credentials(client: Client) -> None:
    headers = asked("POST", "x-own", "https://app.example")
    reply = await client.request("OPTIONS", f"{PROVIDER_PREFIX}/token", headers=headers)
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    assert reply.headers["access-control-allow-credentials"] == "true"


async def test_nobody_else_does(client: Client) -> None:
    for path in (f"{PREFIX}/users", "/nowhere"):
        reply = await client.request("GET", path, headers={"Origin": "https://app.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
