"""Runs last: the cases before have used every public method of the SDK that is installed, whatever its version."""

import inspect

from tests.sdks.python.checks import Sdk, same


def case_every_public_method_has_been_used(sdk: Sdk) -> None:
    methods = {name for name, _ in inspect.getmembers(type(sdk.subject), callable) if not name.startswith("_")}
    same("create_user" in methods, True)
    same(sorted(methods - sdk.used), [])
