"""A running server and the installed SDKs.

Where an SDK cannot be installed its tests are skipped, or fail if the environment says REQUIRE_ALL=1.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sdks.installs import InstallError, find_chromium, install_browser_sdk, install_node_sdk, install_python_sdk
from tests.support.server import Running


@pytest.fixture(scope="session")
def server(dev_server: Running) -> Running:
    """Return the server that all SDKs talk to; every case empties its instance first."""
    return dev_server


@pytest.fixture(scope="session")
def node_sdk() -> Path:
    """Return the `node_modules` folder with the Node SDK."""
    return _installed("the Node SDK", install_node_sdk)


@pytest.fixture(scope="session")
def browser_sdk() -> Path:
    """Return the `node_modules` folder with the browser SDK."""
    return _installed("the browser SDK", install_browser_sdk)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Return the browser's executable."""
    return _installed("the browser SDK", find_chromium)


@pytest.fixture(scope="session")
def python_sdk() -> Path:
    """Return the interpreter of the environment with the Python SDK."""
    return _installed("the Python SDK", install_python_sdk)


def _installed(what: str, install: Callable[[], Path]) -> Path:
    try:
        return install()
    except InstallError as error:
        reason, output = f"left out: every case of {what}, which cannot be installed here: {error}", error.output
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(f"{reason}\n{output}", pytrace=False)
    pytest.skip(reason)
