"""The Chatkit API of a cluster, and those who call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.gateway.client import Client, Reply
from tests.support.cluster import Cluster


@dataclass(frozen=True)
class Chatkit:
    """A gateway in front of a cluster."""

    cluster: Cluster
    port: int

    def user(self, user_id: str, instance_id: str = "one") -> Caller:
        """A caller with a user token."""
        return Caller(self.port, "Bearer " + self.cluster.token(user_id, instance_id=instance_id))

    def server(self, user_id: str = "", instance_id: str = "one") -> Caller:
        """A caller with a server token."""
        return Caller(self.port, "Bearer " + self.cluster.token(user_id, su=True, instance_id=instance_id))


@dataclass(frozen=True)
class Caller:
    """Somebody with a token."""

    port: int
    authorization: str

    async def __call__(
        self, method: str, path: str, body: Any = None, *, api: str = "chatkit/v6", instance_id: str = "one"
    ) -> Reply:
        """Calls a path of an instance."""
        client = Client(self.port, authorization=self.authorization)
        return await client.request(method, f"/services/{api}/{instance_id}{path}", body)
