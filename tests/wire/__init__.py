"""Black-box tests of the Chatkit JSON dialect: they know a URL, a locator and a key, nothing else."""

import pytest

pytest.register_assert_rewrite("tests.wire.client")
