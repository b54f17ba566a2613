"""Absolute URLs in answers."""

import re
from typing import NamedTuple
from urllib.parse import quote

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Links(NamedTuple):
    """What URLs in an answer begin with."""

    base_url: str
    """Where the client reaches the gateway, without a slash at the end."""
    instance_id: str

    def absolute(self, reference: str) -> str:
        """The URL of a reference: one that begins with a slash is the gateway's, any other is absolute already."""
        return self.base_url + reference if reference.startswith("/") else reference

    def refresh(self, room_id: str, attachment_id: str) -> str:
        """Where an attachment's download URL is refreshed (spec §6.3)."""
        instance_id, room, attachment = (quote(part, safe="") for part in (self.instance_id, room_id, attachment_id))
        return f"{self.base_url}/services/chatkit/v6/{instance_id}/rooms/{room}/attachments/{attachment}"


def base_url(scheme: str, host: str, server: tuple[str, int]) -> str:
    """Where a client reached us, by its `Host`; by our own address if it sent none, or nonsense."""
    if not _HOST.fullmatch(host):
        address, port = server
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{scheme}://{host}"
