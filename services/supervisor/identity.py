"""An instance and one of its keys, as an SDK is given them."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field

from services.common.ids import secret
from services.supervisor.command_error import CommandError, UsageError

DEV_CLUSTER = "local"
DEV_INSTANCE = "dev"
_LOCATOR = re.compile(r"v1:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?:[^:\s/]{1,160}")
_KEY = re.compile(r"[^:\s/]{1,160}:\S{1,512}")


@dataclass(frozen=True)
class Identity:
    """An instance locator (`v1:cluster:id`) and a key (`id:secret`, split at the first colon)."""

    locator: str
    key: str = field(repr=False)

    @classmethod
    def parse(cls, locator: str, key: str) -> Identity:
        """Raises CommandError if either is malformed; the message never holds the key."""
        if not _LOCATOR.fullmatch(locator):
            raise UsageError(f"{locator!r} is no instance locator: it looks like v1:local:ID")
        split_key(key)
        return cls(locator, key)

    @classmethod
    def make(cls) -> Identity:
        """The development instance, with a new key. Its id is easy to type."""
        return cls(f"v1:{DEV_CLUSTER}:{DEV_INSTANCE}", f"{uuid.uuid4()}:{secret()}")

    @classmethod
    def from_json(cls, text: str, source: str) -> Identity:
        """Reads what `to_json` wrote; `source` names it if it is damaged (CommandError)."""
        try:
            stored = json.loads(text)
            return cls.parse(stored["instance_locator"], stored["key"])
        except (ValueError, KeyError, TypeError, CommandError) as error:
            raise CommandError(f"{source} is damaged; remove it, and a new instance is made") from error

    def to_json(self) -> str:
        """For `from_json`. Holds the key: for private files only."""
        return json.dumps({"instance_locator": self.locator, "key": self.key}, indent=2)

    @property
    def cluster(self) -> str:
        """The middle part of the locator."""
        return self.locator.split(":")[1]

    @property
    def instance_id(self) -> str:
        """The last part of the locator."""
        return self.locator.split(":")[2]

    @property
    def key_id(self) -> str:
        """The first part of the key."""
        return split_key(self.key)[0]

    @property
    def secret(self) -> str:
        """The second part of the key."""
        return split_key(self.key)[1]


def split_key(key: str) -> tuple[str, str]:
    """Id and secret of a key. Raises CommandError, which does not hold the key, if it is malformed."""
    if not _KEY.fullmatch(key):
        raise UsageError("the key is malformed: it looks like KEYID:SECRET, without spaces")
    key_id, _, key_secret = key.partition(":")
    return key_id, key_secret


def instance_id_of(name: str) -> str:
    """The id in an instance locator, or the id itself."""
    return name.split(":")[2] if _LOCATOR.fullmatch(name) else name
