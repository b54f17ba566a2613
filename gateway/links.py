"""Absolute URLs in answers."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ATTACHMENT = re.compile(r"/attachments/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_MAX_URL = 8192


class Links(NamedTuple):
    """What URLs in an answer begin with."""

    base_url: str
    """Where the client reaches the gateway, without a slash at the end."""
    instance_id: str
    here: str = ""
    """Where this request reached it, which can be somewhere else."""

    def absolute(self, reference: str) -> str:
        """The URL of a reference: one that begins with a slash is the gateway's, any other is absolute already."""
        return self.base_url + reference if reference.startswith("/") else reference

    def refresh(self, room_id: str, attachment_id: str) -> str:
        """Where an attachment's download URL is refreshed (spec §6.3)."""
        instance_id, room, attachment = (quote(part, safe="") for part in (self.instance_id, room_id, attachment_id))
        return f"{self.base_url}/services/chatkit/v6/{instance_id}/rooms/{room}/attachments/{attachment}"

    def attachment_id(self, url: str) -> str:
        """The id in the URL of one of our own attachments; empty for any other URL.

        Ours is every port of our hosts: plain and TLS listeners have different ones, and a proxy has its own. The
        signature is not looked at: whoever uses the attachment in a message has to be allowed to anyway.
        """
        if len(url) > _MAX_URL:
            return ""
        try:
            address = urlsplit(url)
            own = {urlsplit(base).hostname for base in (self.base_url, self.here)} - {None}
            if address.scheme not in {"http", "https"} or address.hostname not in own:
                return ""
        except ValueError:  # such as a bracket that is not closed
            return ""
        match = _ATTACHMENT.fullmatch(address.path)
        return match[1] if match and "signature" in parse_qs(address.query) else ""


def base_url(scheme: str, host: str, server: tuple[str, int]) -> str:
    """Where a client reached us, by its `Host`; by our own address if it sent none, or nonsense."""
    if not _HOST.fullmatch(host):
        address, port = server
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{scheme}://{host}"
