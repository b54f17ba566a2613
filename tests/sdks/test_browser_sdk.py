"""The original browser SDK (`@pusher/chatkit-client`) in headless Chromium against a running server, one test per case.

The cases are in `browser/cases/*.js`. They run once, in one browser, when the first test asks for an outcome.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sdks.outcomes import Outcomes
from tests.support.server import Running
from tests.wire.client import Server

RUN_SECONDS = 400.0

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.slow,  # a minute and more: the SDK itself waits before it tries again, and lets others stop typing
    pytest.mark.timeout(700),  # the first case waits for the SDK's installation, over the network, and for all cases
    pytest.mark.xdist_group("browser-sdk"),  # one run of the script serves every case
]

SCRIPTS = Path(__file__).parent / "browser"
NAME = re.compile(r'^(?:test\(|const SURFACE = )"(.+)"(?:, async \(\) => \{|;)$', re.MULTILINE)
CASES = [
    name
    for script in [*sorted((SCRIPTS / "cases").glob("*.js")), SCRIPTS / "run.js"]
    for name in NAME.findall(script.read_text())
]


@pytest.fixture(scope="module")
def outcomes(browser_sdk: Path, chromium: Path, server: Running, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    application = Server(server.http, server.instance_locator, server.key)
    folder = tmp_path_factory.mktemp("browser-sdk")
    report = folder / "report.jsonl"
    env = {
        "HOME": str(folder),  # Chromium keeps a configuration there
        "NODE_PATH": str(browser_sdk),
        "CHATKIT_INSTANCE_LOCATOR": server.instance_locator,
        "CHATKIT_SERVER_TOKEN": application.server_token(),
        "CHATKIT_ALICE_TOKEN": application.server_token("alice"),  # the one user that may do everything
        "CHATKIT_PORT": str(urlsplit(server.https).port),
    }
    command = ["node", str(SCRIPTS / "run.js"), str(chromium), str(report)]
    return Outcomes.of(command, report, cwd=SCRIPTS, env=env, seconds=RUN_SECONDS)


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, outcomes: Outcomes) -> None:
    outcomes.check(case)


def test_every_reported_case_is_named_here(outcomes: Outcomes) -> None:
    assert set(outcomes.errors) <= set(CASES)
