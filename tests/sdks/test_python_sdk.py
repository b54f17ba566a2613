"""The original Python server SDK (`pusher-chatkit-server`) against a running server, one test per case.

The cases are in `python/`. They run once, in an environment of the SDK's own, when the first test asks for an
outcome.
"""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sdks.connect_forwarder import connect_forwarder
from tests.sdks.outcomes import Outcomes
from tests.sdks.python.cases import CASES
from tests.support.server import Running

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.timeout(300),  # the first case waits for the SDK's installation, over the network
    pytest.mark.xdist_group("python-sdk"),  # one run of the script serves every case
]

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def outcomes(python_sdk: Path, server: Running, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    report = tmp_path_factory.mktemp("python-sdk") / "report.jsonl"
    url = urlsplit(server.https)
    with connect_forwarder((str(url.hostname), int(url.port or 443))) as proxy:
        env = {
            "HTTPS_PROXY": proxy,
            "REQUESTS_CA_BUNDLE": str(server.ca_file),
            "CHATKIT_INSTANCE_LOCATOR": server.instance_locator,
            "CHATKIT_INSTANCE_KEY": server.key,
            "CHATKIT_PORT": str(url.port),
        }
        command = [str(python_sdk), "-m", "tests.sdks.python.run", str(report)]
        return Outcomes.of(command, report, cwd=CHECKOUT, env=env)


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, outcomes: Outcomes) -> None:
    outcomes.check(case)
