"""People, and what they have made."""

import zlib

import pytest

from tests.wire.chat_api.client import Api, Person, person
from tests.wire.client import Server


@pytest.fixture
def nobody(server: Server) -> Api:
    """A caller without a token."""
    return Api(server)


@pytest.fixture(scope="module")
def anna(server: Server) -> Person:
    return person(server, "Anna")


@pytest.fixture(scope="module")
def ben(server: Server) -> Person:
    return person(server, "Ben")


@pytest.fixture(scope="module")
def carl(server: Server) -> Person:
    return person(server, "Carl")


@pytest.fixture(scope="module")
def eve(server: Server) -> Person:
    """Somebody who is in no conversation of the others."""
    return person(server, "Eve")


@pytest.fixture(scope="module")
def direct(anna: Person, ben: Person) -> str:
    """The direct conversation of Anna and Ben."""
    return str(anna.open(ben.id)["id"])


@pytest.fixture(scope="module")
def group(anna: Person, ben: Person, carl: Person) -> str:
    """A group of the three, opened by Anna."""
    return str(anna.open(ben.id, carl.id)["id"])


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = b"\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
        + chunk(b"IEND", b"")
    )
