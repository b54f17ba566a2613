"""The original Node server SDK (`@pusher/chatkit-server`) against a running server, one test per case.

The cases are in `node/*.js`. They run once, in one process, when the first test asks for an outcome.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sdks.outcomes import Outcomes
from tests.support.server import Running

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.timeout(300),  # the first case waits for the SDK's installation, over the network
    pytest.mark.xdist_group("node-sdk"),  # one run of the script serves every case
]

SCRIPTS = Path(__file__).parent / "node"
CASES = [
    name
    for script in sorted(SCRIPTS.glob("*.js"))
    for name in re.findall(r'^test\("(.+)", async \(\) => \{$', script.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def outcomes(node_sdk: Path, server: Running, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    report = tmp_path_factory.mktemp("node-sdk") / "report.jsonl"
    command = [
        *("node", "--test-force-exit"),
        *("--test-reporter", str(SCRIPTS / "reporter.js"), "--test-reporter-destination", str(report)),
        str(SCRIPTS / "run.js"),
    ]
    env = {
        "NODE_PATH": str(node_sdk),
        "NODE_EXTRA_CA_CERTS": str(server.ca_file),
        "CHATKIT_INSTANCE_LOCATOR": server.instance_locator,
        "CHATKIT_INSTANCE_KEY": server.key,
        "CHATKIT_HOST": "localhost",
        "CHATKIT_PORT": str(urlsplit(server.https).port),
    }
    return Outcomes.of(command, report, cwd=SCRIPTS, env=env)


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, outcomes: Outcomes) -> None:
    outcomes.check(case)


def test_every_reported_case_is_named_here(outcomes: Outcomes) -> None:
    assert set(outcomes.errors) <= set(CASES)
