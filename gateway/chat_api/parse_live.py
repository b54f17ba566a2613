"""Where a client wants its events to go on (spec §7)."""

import re

from gateway.live.user_stream import Place

NOWHERE = Place("-", 0)
"""A place that no log ever had: to go on from there is to begin anew."""

_PLACE = re.compile(r"([0-9a-f]{32}):([0-9]{1,18})", re.ASCII)


def place(event_id: str) -> Place | None:
    """The place that an event's id names; None for no id, `NOWHERE` for one that is not ours."""
    if not event_id:
        return None
    found = _PLACE.fullmatch(event_id)
    return Place(found[1], int(found[2])) if found else NOWHERE
