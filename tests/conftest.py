"""What all tests have in common."""

import logging
import os

import pytest
import structlog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves slow tests out of the everyday run, and says so; with REQUIRE_ALL=1 nothing is left out."""
    if os.environ.get("REQUIRE_ALL") == "1":
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with REQUIRE_ALL=1"))
