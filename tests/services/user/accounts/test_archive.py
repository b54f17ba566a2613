"""Users and accounts out and in again, over real gRPC."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from roomline.v1.account_service_pb2 import UpdateProfileRequest
from roomline.v1.archive_pb2 import AccountRecord, ArchiveRecord, UserRecord
from roomline.v1.room_pb2 import Room
from roomline.v1.user_pb2 import User
from roomline.v1.user_service_pb2 import DeleteUserRequest, ListUsersRequest, UpdateUserRequest

from services.user.passwords import NO_PASSWORD
from tests.services.user.accounts.people import login, register
from tests.services.user.conftest import Backend, House, Tenant
from tests.support.archives import CONFLICT, REDUCED, REFUSED, TAKEN, THERE, Archive, lines
from tests.support.refusals import refuses


def archive(house: House, instance_id: str = "one") -> Archive:
    return Archive(house.channel, house.service(instance_id))


def uid(number: int) -> str:
    return f"01890000-0000-7000-8000-{number:012d}"


def user(user_id: str, number: int, seconds: int = 1000, **account: str) -> ArchiveRecord:
    """A record of a user, with an account if there is anything to say of one."""
    at = Timestamp(seconds=seconds)
    record = UserRecord(user=User(id=user_id, uid=uid(number), name=user_id, created_at=at, updated_at=at))
    if account:
        record.account.CopyFrom(AccountRecord(**account))  # type: ignore[arg-type]
    return ArchiveRecord(user=record)


async def ids(house: House, tenant: Tenant) -> list[str]:
    answer = await house.users.ListUsers(ListUsersRequest(page_size=100), metadata=tenant.server())
    return [one.id for one in answer.users]


async def test_users_come_back_as_they_were(house: House, ann: Tenant) -> None:
    await house.create(ann, "zoe", "bob")
    custom_data = Struct()
    custom_data.update({"z": [1, None, {"deep": True}], "a": "text"})
    changed = User(id="bob", name="Bob", avatar_url="https://example.org/b.png", custom_data=custom_data)
    await house.users.UpdateUser(UpdateUserRequest(user=changed), metadata=ann.server())
    records = await archive(house).export()
    two = await house.tenant("two")
    await archive(house, "two").take_all(records)
    assert lines(await archive(house, "two").export()) == lines(records)
    assert await ids(house, two) == await ids(house, ann)
    assert await archive(house, "two").outcomes(*records) == [THERE] * 3
    assert lines(await archive(house, "two").export()) == lines(records)


async def test_whoever_had_an_account_logs_in_again(house: House, ann: Tenant) -> None:
    await login(house)
    (record,) = await archive(house).export()
    assert record.user.account.password_hash.startswith("$argon2id$")
    await house.users.DeleteUser(DeleteUserRequest(id=record.user.user.id), metadata=ann.server())
    with refuses("ACCOUNT_NOT_FOUND"):
        await login(house)
    await archive(house).take_all([record])
    device = await login(house)
    await device.call()
    assert device.claims["sub"] == record.user.user.id


async def test_the_archive_of_one_user_has_no_password(house: House, ann: Tenant) -> None:
    await house.create(ann, "bob")
    everybody = await archive(house).export()
    mine = next(record for record in everybody if record.user.HasField("account"))
    mine.user.account.password_hash = ""
    assert await archive(house).export(mine.user.user.id) == [mine]
    with refuses("USER_NOT_FOUND"):
        await archive(house).export("nobody")


@pytest.mark.parametrize(
    ("password_hash", "outcome"),
    [
        ("", TAKEN),
        ("hunter2", REDUCED),
        ("$argon2id$v=19$m=2147483647,t=3,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", REDUCED),
        ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", REDUCED),
    ],
)
@pytest.mark.usefixtures("ann")
async def test_without_a_good_hash_nobody_logs_in(house: House, password_hash: str, outcome: int) -> None:
    record = user("bob", 1, email="bob@example.org", password_hash=password_hash)
    (result,) = await archive(house).take(record)
    assert result.outcome == outcome
    assert ("password" in result.detail) == (outcome == REDUCED)
    for guess in (password_hash, NO_PASSWORD, "correct horse battery"):
        with refuses("PASSWORD_INVALID"):
            await login(house, "bob@example.org", guess or "x")
    (kept,) = await archive(house).export("bob")
    assert kept.user.account.email == "bob@example.org"


@pytest.mark.usefixtures("ann")
async def test_nobody_gets_the_address_of_somebody_else(house: House) -> None:
    (result,) = await archive(house).take(user("bob", 1, email="ANN@example.org"))
    assert (result.outcome, "e-mail" in result.detail) == (REDUCED, True)
    (bob,) = await archive(house).export("bob")
    assert not bob.user.HasField("account")
    await login(house)


async def test_what_is_there_stays(house: House, tenant: Tenant) -> None:
    target = archive(house)
    first = user("bob", 1)
    await target.take_all([first])
    same_id, same_uid, renamed = user("bob", 2), user("rob", 1), user("bob", 1)
    renamed.user.user.name = "another name"
    assert await target.outcomes(same_id, same_uid, renamed) == [CONFLICT, CONFLICT, THERE]
    assert await target.export() == [first]
    assert await ids(house, tenant) == ["bob"]


async def test_a_bad_record_is_refused_alone(house: House, tenant: Tenant) -> None:
    capital, timeless, long, nameless = user("a", 1), user("b", 2), user("c" * 161, 3), user("", 4)
    capital.user.user.uid = capital.user.user.uid.replace("0189", "ABCD")
    timeless.user.user.ClearField("updated_at")
    odd = user("d", 5, email="no address")
    foreign = ArchiveRecord(room={"room": Room(id="r", uid=uid(6))})  # type: ignore[arg-type]
    records = [capital, timeless, long, nameless, odd, foreign, ArchiveRecord(), user("good", 7)]
    results = await archive(house).take(*records)
    assert [result.outcome for result in results] == [REFUSED] * 7 + [TAKEN]
    assert ["uid" in results[0].detail, "updated_at" in results[1].detail, "160" in results[2].detail] == [True] * 3
    assert "room" in results[5].detail
    assert await ids(house, tenant) == ["good"]


async def test_users_of_one_moment_keep_their_order(house: House, tenant: Tenant) -> None:
    records = [user(name, number) for number, name in enumerate(("zoe", "amy", "max"))]
    await archive(house).take_all(records)
    assert await archive(house).export() == records
    assert await ids(house, tenant) == ["zoe", "amy", "max"]


@pytest.mark.thorough
async def test_an_id_whose_user_is_still_being_deleted(house: House, backend: Backend, tenant: Tenant) -> None:
    await house.create(tenant, "bob")
    await backend.down()
    await house.users.DeleteUser(DeleteUserRequest(id="bob"), metadata=tenant.server())
    with refuses("DELETION_PENDING"):
        await archive(house).take(user("bob", 1), user("ann", 2))
    assert await ids(house, tenant) == []
    await backend.up()
    async with asyncio.timeout(30):
        await backend.purged.get()  # it has noticed: connections are made anew only now and then
    await archive(house).take_all([user("bob", 1), user("ann", 2)])
    assert await ids(house, tenant) == ["bob", "ann"]


async def test_an_instance_that_there_is_not(house: House) -> None:
    with refuses("INSTANCE_NOT_FOUND"):
        await archive(house, "none").take(user("bob", 1))


@pytest.mark.usefixtures("ann")
async def test_a_new_account_after_an_import(house: House) -> None:
    await archive(house).take_all([user("bob", 1, email="bob@example.org")])
    with refuses("EMAIL_TAKEN"):
        await register(house, "Bob@example.org")
    await register(house, "eve@example.org")


async def test_a_server_sets_the_password_that_did_not_come_along(house: House, ann: Tenant) -> None:
    await archive(house).take_all([user("bob", 1, email="bob@example.org")])
    request = UpdateProfileRequest(new_password="another good one")
    await house.accounts.UpdateProfile(request, metadata=ann.server("bob"))
    device = await login(house, "bob@example.org", "another good one")
    await device.call()
