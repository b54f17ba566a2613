"""The page `/docs` in a browser: it shows every call, tries one, and needs nothing that its policy forbids."""

from pathlib import Path

import pytest

from tests.openapi.browser import open_page
from tests.openapi.test_document import operations, read
from tests.sdks.installs import find_chromium
from tests.support.server import Running

pytestmark = [
    pytest.mark.slow(reason="starts browsers"),
    pytest.mark.timeout(300),
]

HEALTH = "#operations-Server-health"
ANSWER = f"{HEALTH} .live-responses-table .response .highlight-code"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_can_be_read_and_tried(scheme: str, dev_server: Running, tmp_path: Path) -> None:
    base = dev_server.http if scheme == "http" else dev_server.https
    with open_page(find_chromium(), tmp_path) as page:
        page.open(f"{base}/docs#/Server/health")
        page.click(f"{HEALTH} .try-out__btn")
        page.click(f"{HEALTH} .execute")
        answer = page.wait_for(
            f"document.querySelector('{HEALTH} .live-responses-table .response .highlight-code')?.innerText"
        )
        shown = page.wait_for("document.querySelectorAll('.opblock').length")
        assert '"status": "ok"' in answer
        assert shown == len([*operations(read())])
        assert page.console == []
