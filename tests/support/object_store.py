"""A real S3 server in this process, on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

_NUMBERS = count()


class Bucket:
    """A bucket of its own. `environment` is what a client needs to reach it."""

    def __init__(self, endpoint: str) -> None:
        self.name = f"media-{next(_NUMBERS)}"
        self.url = f"s3://{self.name}/some/folder"
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "hush",
            "AWS_REGION": "us-east-1",
        }
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="somebody",
            aws_secret_access_key="hush",
            region_name="us-east-1",
        )
        self._client.create_bucket(Bucket=self.name)

    def objects(self) -> list[str]:
        """The keys of what is in it."""
        return [found["Key"] for found in self._client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def unfinished(self) -> list[str]:
        """The keys of uploads that have neither been completed nor aborted."""
        return [found["Key"] for found in self._client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]

    def close(self) -> None:
        """Hangs up."""
        self._client.close()


@contextmanager
def running_object_store() -> Iterator[str]:
    """An S3 server for the time of the block; where it is."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
