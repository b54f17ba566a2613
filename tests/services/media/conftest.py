"""The media service over real gRPC, on a local folder and on a real S3 server, proxied and direct."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.media.house import House
from tests.support.cluster import running_cluster
from tests.support.object_store import Bucket, running_object_store


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """Where an S3 server listens."""
    with running_object_store() as endpoint:
        yield endpoint


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A cluster that keeps files in a local folder."""
    async with running_cluster(tmp_path) as cluster:
        opened = House(cluster)
        await opened.open()
        yield opened


@pytest.fixture(params=["folder", *(pytest.param(one, marks=pytest.mark.thorough) for one in ("s3", "direct"))])
async def any_house(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A cluster for each kind of store."""
    settings: dict[str, Any] = {}
    bucket = None
    if request.param != "folder":
        bucket = Bucket(request.getfixturevalue("object_store"))
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        settings = {"media_url": bucket.url, "media_direct": request.param == "direct"}
    async with running_cluster(tmp_path, **settings) as cluster:
        opened = House(cluster, bucket)
        await opened.open()
        yield opened
    if bucket is not None:
        bucket.close()
