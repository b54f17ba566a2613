"""Where a request comes from, with and without proxies in front."""

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from roomline.v1.media_service_pb2 import ReserveAttachmentResponse

from gateway.proxies import Origin, Proxies, parsed
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, Client
from tests.gateway.conftest import running_gateway

PROXIES = Proxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def scope(peer: str | None, *headers: tuple[str, str], scheme: str = "http") -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"client": None if peer is None else (peer, 5000), "scheme": scheme, "headers": raw}


def forwarded(*values: str, peer: str = "10.0.0.1") -> str:
    """The client's address behind a proxy that sends these lines."""
    return PROXIES.origin(scope(peer, *(("x-forwarded-for", value) for value in values))).address


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.9.9.9"], "192.0.2.1"),
        (["192.0.2.1,10.9.9.9 , fd00::5"], "192.0.2.1"),
        (["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1", "10.9.9.9"], "192.0.2.1"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (['"[2001:db8::1]"'], "2001:db8::1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.9"], "192.0.2.1"),
        (["nonsense, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, nonsense"], "10.0.0.1"),
        (["192.0.2.1, unknown, 10.2.2.2"], "10.0.0.1"),
        (["192.0.2.1,"], "10.0.0.1"),
        (["999.1.1.1"], "10.0.0.1"),
        (["[2001:db8::1"], "2001:db8::1"),
        (["\xb2.0.0.1"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_whom_no_trusted_proxy_was_reached_from(values: list[str], client: str) -> None:
    assert forwarded(*values) == client


@pytest.mark.parametrize("peer", ["192.0.2.7", "2001:db8::7", "11.0.0.1", "", None])
def test_nobody_else_is_believed(peer: str | None) -> None:
    headers = (("x-forwarded-for", "198.51.100.1"), ("x-forwarded-proto", "https"))
    assert PROXIES.origin(scope(peer, *headers)) == Origin(peer or "", "http")
    assert Proxies().origin(scope("10.0.0.1", *headers)) == Origin("10.0.0.1", "http")


def test_a_proxy_is_known_by_either_form_of_its_address() -> None:
    assert forwarded("192.0.2.1", peer="::ffff:10.0.0.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["http, https"], "https"),
        (["https", "http"], "http"),
        (["gopher"], "http"),
        ([""], "http"),
        ([], "http"),
    ],
)
def test_the_scheme_is_what_the_nearest_proxy_says(said: list[str], scheme: str) -> None:
    found = PROXIES.origin(scope("10.0.0.1", *(("x-forwarded-proto", value) for value in said)))
    assert found == Origin("10.0.0.1", scheme)


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=4))
def test_nothing_in_a_header_is_a_mistake_of_ours(values: list[str]) -> None:
    found = forwarded(*values)
    assert found == "10.0.0.1" or parsed(found) is not None


@pytest.mark.parametrize("text", ["", " ", "10.0.0.0/8", "10.0.0.0/8, fd00::/8 ,192.0.2.1"])
def test_the_setting_is_a_list(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINE_TRUSTED_PROXIES", text)
    assert Settings().trusted_proxies == tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.org", "10.0.0.0/8 fd00::/8"])
def test_a_wrong_network_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOMLINE_TRUSTED_PROXIES", text)
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings()


@pytest.mark.parametrize(("trusted", "address"), [("127.0.0.0/8", "192.0.2.1"), ("10.0.0.0/8", "127.0.0.1")])
async def test_logins_count_where_they_come_from(
    settings: Settings, backend: Backend, trusted: str, address: str
) -> None:
    changes = {"chat_api_instance": INSTANCE, "trusted_proxies": (ip_network(trusted),)}
    async with running_gateway(settings.model_copy(update=changes), backend) as gateway:
        headers = {"X-Forwarded-For": "198.51.100.1, 192.0.2.1"}
        login = {"email": "a@example.org", "password": "x"}
        await Client(gateway.port).request("POST", "/api/v1/auth/login", login, headers)
        assert backend.last.request.remote_address == address


async def test_urls_begin_with_the_scheme_that_the_client_spoke(settings: Settings, backend: Backend) -> None:
    settings = settings.model_copy(update={"trusted_proxies": (ip_network("127.0.0.1/32"),)})
    backend.answers["ReserveAttachment"] = ReserveAttachmentResponse(upload_url="/attachments/x")
    async with running_gateway(settings, backend) as gateway:
        body = {"content_type": "image/png", "content_length": 1, "name": "x"}
        for said, scheme in (("https", "https"), ("x", "http")):
            headers = {"X-Forwarded-Proto": said}
            reply = await Client(gateway.port).request("POST", "/rooms/r/attachments", body, headers)
            assert reply.json["upload_url"] == f"{scheme}://localhost/attachments/x"
