"""What makes accounts costly, made cheap: hashes of passwords, and RSA keys."""

from collections.abc import Iterator
from itertools import cycle

from argon2 import PasswordHasher
from joserfc.jwk import RSAKey

from services.user.account_keys import new_rsa_key

CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

_POOL = 3
"""More than tests need at once: an instance has two or three keys at most."""


def _keys() -> Iterator[RSAKey]:
    made = [new_rsa_key()]
    yield made[0]
    while len(made) < _POOL:
        made.append(new_rsa_key())
        yield made[-1]
    yield from cycle(made)


_KEYS = _keys()


def pooled_key() -> RSAKey:
    """A private key, another one each time; after a few it begins again."""
    return next(_KEYS)
