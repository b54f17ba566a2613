"""Nobody keeps a connection for ever by being slow."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from roomline.v1.room_service_pb2 import GetRoomRequest, GetRoomResponse
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import ListUsersResponse

from gateway.patience import Patience
from gateway.server import Gateway
from services.common.settings import Settings
from tests.gateway.backend import Backend
from tests.gateway.client import INSTANCE, PREFIX, Client, Connection
from tests.gateway.conftest import running_gateway

pytestmark = pytest.mark.thorough


LINE = f"GET {PREFIX}/users HTTP/1.1\r\n".encode()
REST = b"Host: x\r\nAuthorization: Bearer x\r\n\r\n"
GET = LINE + REST
POST = f"POST {PREFIX}/users HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 10\r\n\r\n".encode()
AGES = 60.0
QUICK = Patience(head=AGES, body=AGES, idle=AGES, taking=AGES, look=0.01)


@pytest.fixture
def patience() -> Patience:
    return QUICK


@pytest.fixture
async def gateway(settings: Settings, backend: Backend, patience: Patience) -> AsyncIterator[Gateway]:
    async with running_gateway(settings, backend, patience) as running:
        yield running


@pytest.fixture
async def connection(gateway: Gateway) -> AsyncIterator[Connection]:
    opened = await Connection.open(gateway.port)
    yield opened
    await opened.close()


async def drip(connection: Connection, data: bytes, pause: float = 0.02, *, until_eof: bool = True) -> bool:
    """Sends a byte every so many seconds; True if the server ends the connection meanwhile.

    Otherwise than by having sent its last, if not `until_eof`.
    """
    try:
        for byte in data:
            connection.write(bytes([byte]))
            await connection.writer.drain()
            await asyncio.sleep(pause)
            if until_eof and connection.reader.at_eof():
                return True
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("patience", [QUICK._replace(head=0.4)])
class TestHeads:
    """A head has its time, however it arrives."""

    async def test_one_that_never_begins(self, connection: Connection) -> None:
        assert await asyncio.wait_for(connection.reader.read(), 10) == b""

    async def test_one_that_never_ends(self, connection: Connection) -> None:
        connection.write(LINE)
        reply = await connection.reply()
        assert reply.error == (408, "request_timeout")
        assert reply.headers["connection"] == "close"
        assert await connection.reader.read() == b""

    async def test_one_that_comes_in_drops(self, connection: Connection) -> None:
        drops = asyncio.create_task(drip(connection, GET * 20))
        assert (await connection.reply()).error == (408, "request_timeout")
        drops.cancel()

    @pytest.mark.parametrize("start", [b"G", LINE, LINE + b"Host: \xff"])
    async def test_one_after_an_answer(self, connection: Connection, start: bytes) -> None:
        connection.write(GET)
        assert (await connection.reply()).status == 200
        await asyncio.sleep(0.5)  # there is much more time for the first byte
        connection.write(start)
        assert (await connection.reply()).error == (408, "request_timeout")

    async def test_one_behind_a_request_that_is_being_answered(self, connection: Connection, backend: Backend) -> None:
        async def get(_request: GetRoomRequest) -> GetRoomResponse:
            await asyncio.sleep(0.6)
            return GetRoomResponse()

        backend.answers["GetRoom"] = get
        connection.write(GET.replace(b"/users", b"/rooms/r") + LINE)
        reply = await connection.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await connection.reader.read() == b""

    async def test_time_to_answer_does_not_count(self, connection: Connection, backend: Backend) -> None:
        async def get(_request: GetRoomRequest) -> GetRoomResponse:
            await asyncio.sleep(0.6)
            return GetRoomResponse()

        backend.answers["GetRoom"] = get
        for _ in range(2):
            connection.write(GET.replace(b"/users", b"/rooms/r"))
            reply = await connection.reply()
            assert (reply.status, "connection" in reply.headers) == (200, False)


@pytest.mark.parametrize("patience", [QUICK._replace(head=0.1, lingering=0.1)])
async def test_a_client_that_goes_on_after_its_last_answer_is_cut_off(connection: Connection) -> None:
    connection.write(LINE)
    assert (await connection.reply()).error == (408, "request_timeout")
    assert await connection.reader.read() == b""
    assert await drip(connection, b"x" * 2000, until_eof=False)


@pytest.mark.parametrize("patience", [QUICK._replace(idle=0.5)])
class TestIdleConnections:
    """A connection is kept for a while."""

    async def test_one_without_another_request(self, connection: Connection) -> None:
        connection.write(GET)
        assert (await connection.reply()).status == 200
        assert await asyncio.wait_for(connection.reader.read(), 10) == b""

    async def test_empty_lines_are_no_request(self, connection: Connection) -> None:
        connection.write(GET)
        assert (await connection.reply()).status == 200
        assert await drip(connection, b"\r\n" * 100)

    async def test_one_that_goes_on(self, connection: Connection) -> None:
        for _ in range(6):
            connection.write(GET)
            assert (await connection.reply()).status == 200
            await asyncio.sleep(0.15)


@pytest.mark.parametrize("patience", [QUICK._replace(body=0.5)])
class TestBodies:
    """A body may take its time, but not stand still."""

    @pytest.mark.parametrize("start", [b"", b'{"id'])
    async def test_one_that_stands_still(self, connection: Connection, backend: Backend, start: bytes) -> None:
        connection.write(POST + start)
        reply = await connection.reply()
        assert reply.error == (408, "request_timeout")
        assert reply.headers["connection"] == "close"
        assert await connection.reader.read() == b""
        assert backend.calls == []

    async def test_one_that_comes_in_drops(self, connection: Connection) -> None:
        connection.write(POST)
        assert not await drip(connection, b'{"id":"a"}', 0.08)
        assert (await connection.reply()).status == 201

    async def test_one_that_was_refused(self, connection: Connection) -> None:
        connection.write(POST.replace(b"/users", b"/nowhere"))
        assert (await connection.reply()).status == 404
        assert await asyncio.wait_for(connection.reader.read(), 10) == b""

    async def test_one_that_is_taken_as_it_arrives(self, connection: Connection, settings: Settings) -> None:
        path = f"/services/chatkit_files/v1/{INSTANCE}/rooms/r/users/a/files/f"
        form = POST.replace(f"{PREFIX}/users".encode(), path.encode())
        connection.write(form.replace(b"Host: x", b"Content-Type: multipart/form-data; boundary=x"))
        with pytest.raises(TimeoutError):  # it has a longer time, which is a setting
            await asyncio.wait_for(connection.head(), 1)
        assert settings.idle_timeout_seconds > 1


@pytest.mark.parametrize("patience", [QUICK._replace(taking=0.1)])
async def test_an_answer_that_is_not_taken(connection: Connection, backend: Backend, gateway: Gateway) -> None:
    users = [User(id=str(number), name="x" * 100_000) for number in range(30)]
    backend.answers["ListUsers"] = ListUsersResponse(users=users)
    transport = connection.writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    connection.write(GET * 8)
    await asyncio.sleep(1)
    transport.resume_reading()

    async def read_all() -> None:
        for _ in range(8):
            await connection.reply()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await read_all()
    assert (await Client(gateway.port).get("/users")).status == 200


async def test_there_is_a_limit_on_connections(settings: Settings, backend: Backend) -> None:
    settings = settings.model_copy(update={"max_connections": 2})
    async with running_gateway(settings, backend, QUICK) as gateway:
        kept = [await Connection.open(gateway.port) for _ in range(2)]
        one_too_many = await Connection.open(gateway.port)
        reply = await one_too_many.reply()
        assert reply.error == (503, "service_unavailable")
        assert 1 <= int(reply.headers["retry-after"]) <= 5  # not all are to come back at once
        assert await one_too_many.reader.read() == b""
        for connection in kept:
            connection.write(GET)
            assert (await connection.reply()).status == 200
        await kept.pop().close()
        await asyncio.sleep(0.05)
        assert (await Client(gateway.port).get("/users")).status == 200
        for connection in (*kept, one_too_many):
            await connection.close()
