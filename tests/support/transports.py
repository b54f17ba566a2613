"""How services are reached."""

import pytest

PIPE_AND_PLAIN = [pytest.param(True, id="pipe"), pytest.param(False, id="plain", marks=pytest.mark.thorough)]
"""Whether over the pipe, for fixtures of tests that are about something else (those of tests/pipe are about this)."""
