"""Tokens for the clients of an instance."""

import time

from services.common.tokens import user_token
from services.supervisor.identity import Identity


def client_token(identity: Identity, user_id: str, lifetime: int, *, su: bool) -> str:
    """Signed with the identity's key, valid for `lifetime` seconds; `user_id` may be empty with `su`."""
    return user_token(identity.instance_id, identity.key_id, identity.secret, user_id, time.time(), lifetime, su=su)
