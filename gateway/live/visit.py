"""A client that subscribes to something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.live.instance_watch import InstanceWatch
from gateway.live.outlet import Outlet, Subscription
from gateway.request import Request
from services.common.call import Caller


class Visit(NamedTuple):
    """Who subscribes, and what it can follow."""

    request: Request
    caller: Caller
    watch: InstanceWatch

    end_with: Callable[[str], None]
    """Has what is opened end when the user of this id is deleted, whose own it is, whoever has opened it.

    What a user opens itself ends with it in any case.
    """

    @property
    def user_id(self) -> str:
        """Whose access what is opened depends on; empty for servers, which may do everything."""
        return self.caller.user_id if self.caller.is_user else ""


Open = Callable[[Visit, Outlet], Awaitable[Subscription]]
"""As `Subscribe`, for those that have been admitted."""
