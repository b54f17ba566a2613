"""Every case by its name: the functions `case_…` of each area, in the order they are written."""

from collections.abc import Callable

from tests.sdks.python import backends, cursors, messages, roles, rooms, surface, tokens, users
from tests.sdks.python.checks import Sdk

PREFIX = "case_"

CASES: dict[str, Callable[[Sdk], None]] = {
    f"{area.__name__.rpartition('.')[2]}: {name.removeprefix(PREFIX).replace('_', ' ')}": function
    for area in (tokens, users, rooms, cursors, messages, roles, backends, surface)
    for name, function in vars(area).items()
    if name.startswith(PREFIX)
}
