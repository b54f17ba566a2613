"""Which URLs are our own (spec §5.6)."""

import pytest

from gateway.links import Links

ID = "0190a5b0-7c00-7000-8000-000000000001"
PATH = f"/attachments/{ID}?signature=a.b.c"
LINKS = Links("https://chat.example", "one", "http://127.0.0.1:8080")


@pytest.mark.parametrize(
    "base", ["https://chat.example", "https://CHAT.example:8443", "http://127.0.0.1:8080", "http://127.0.0.1"]
)
def test_an_attachment_of_ours_on_any_port(base: str) -> None:
    assert LINKS.attachment_id(base + PATH) == ID
    assert LINKS.attachment_id(base + PATH + "&thumbnail=128#part") == ID


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example" + PATH,
        "https://chat.example.evil.example" + PATH,
        "https://chat.example@evil.example" + PATH,
        "https://localhost" + PATH,
        "ftp://chat.example" + PATH,
        "//chat.example" + PATH,
        PATH,
        f"https://chat.example/attachments/{ID}",
        f"https://chat.example/attachments/{ID}?x=signature",
        f"https://chat.example/attachments/{ID}/more?signature=x",
        f"https://chat.example/more/attachments/{ID}?signature=x",
        f"https://chat.example/attachments/{ID[:-1]}?signature=x",
        "https://chat.example/attachments/5?signature=x",
        f"https://chat.example/?/attachments/{ID}?signature=x",
        "https://[::1" + PATH,
        f"https://chat.example{PATH}{'x' * 9000}",
        "",
        "nonsense",
    ],
)
def test_any_other_url_is_a_link(url: str) -> None:
    assert LINKS.attachment_id(url) == ""


def test_an_ipv6_address() -> None:
    assert Links("http://[::1]:8080", "one").attachment_id(f"http://[::1]{PATH}") == ID
