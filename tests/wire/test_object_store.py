"""What the wire tests ask of attachments and files, with the files in an object store instead of a folder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.object_store import Bucket, running_object_store
from tests.support.server import running_server

FOLDER = Path(__file__).parent
PROXIED = [
    "test_attachments.py",
    "test_attachment_parts.py",
    "test_attachment_lifetime.py",
    "test_downloads.py",
    "test_files.py",
]
DIRECT = ["test_attachments.py", "test_attachment_parts.py", "test_files.py"]
"""The others are about how the gateway serves bytes, which it does not do here."""
NOT_DIRECT = "not an_upload_may_be_repeated and not a_link_to_an_attachment_of_v3_is_that_attachment"
"""A URL of the store's own is that of one upload, and is not known as ours in a v2 message."""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_object_store() as endpoint:
        yield endpoint


@pytest.mark.slow
@pytest.mark.parametrize(("direct", "modules"), [(False, PROXIED), (True, DIRECT)], ids=["proxied", "direct"])
def test_the_same_holds(store: str, tmp_path: Path, direct: bool, modules: list[str]) -> None:
    bucket = Bucket(store)
    settings = {"ROOMLINE_MEDIA_URL": bucket.url, "ROOMLINE_MEDIA_DIRECT": str(direct), **bucket.environment}
    with running_server(tmp_path, env=settings) as running:
        here = {
            "ROOMLINE_WIRE_URL": running.http,
            "ROOMLINE_WIRE_LOCATOR": running.instance_locator,
            "ROOMLINE_WIRE_KEY": running.key,
            "ROOMLINE_WIRE_STORE": store if direct else "",
        }
        tests = [*(str(FOLDER / name) for name in modules), "-k", NOT_DIRECT if direct else ""]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, **here}
        inner = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert inner.returncode == 0, inner.stdout[-4000:]
    assert bucket.objects()
    bucket.close()
