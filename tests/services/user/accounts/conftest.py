"""A user service with accounts for the instance `one`."""

import pytest

from services.common.settings import Settings
from tests.services.user.accounts.people import Device, login, register
from tests.services.user.conftest import House, Tenant


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Those of the other tests, with accounts."""
    return settings.model_copy(update={"chat_api_instance": "one"})


@pytest.fixture
async def ann(house: House) -> Tenant:
    """The instance with accounts, which may be reset; Ann has one."""
    tenant = await house.tenant(allow_reset=True)
    await register(house)
    return tenant


@pytest.fixture
async def device(house: House, ann: Tenant) -> Device:
    """A session of Ann's."""
    return await login(house)
