"""Random moments and choices of the fault tests; `conftest.py` seeds them for each test and shows the seed."""

import random

CHANCE = random.Random()  # noqa: S311 - moments, not secrets
