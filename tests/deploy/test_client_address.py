"""Who a client is, for the gateway behind nginx: what it says of itself counts for nothing."""

from tests.deploy.clients import Front
from tests.deploy.nginx import Nginx
from tests.support.server import Running
from tests.wire.chat_api.client import Api, person
from tests.wire.client import path_of

TRIES = 5
"""Wrong passwords from one address before there is a pause."""


def test_addresses_cannot_be_made_up(front: Front, behind: Running, nginx: Nginx) -> None:
    anna = person(front, "Anna")
    wrong = {"email": anna.email, "password": "not the password"}
    for number in range(TRIES):
        spoofed = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        assert Api(front).call("POST", "auth/login", wrong, spoofed).status == 401
    spoofed = {"X-Forwarded-For": "198.51.100.1, 127.0.0.1", "X-Real-IP": "198.51.100.1"}
    assert Api(front).call("POST", "auth/login", wrong, spoofed).status == 429
    with Front(behind, nginx, source="127.0.0.2") as elsewhere:
        assert Api(elsewhere).call("POST", "auth/login", wrong, {"X-Forwarded-For": "127.0.0.1"}).status == 401


def test_the_scheme_cannot_be_made_up(front: Front, alice: str, room: str) -> None:
    body = {"content_type": "image/png", "content_length": 1, "name": "x"}
    spoofed = {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}
    caller = front.su(alice)
    answer = caller.call("POST", path_of("rooms", room, "attachments"), body, headers=spoofed).read(201)
    assert answer["upload_url"].startswith(f"https://{front.netloc}/")
