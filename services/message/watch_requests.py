"""What field rules cannot say of a `WatchRequest`."""

from collections.abc import Container

from roomline.v1.event_service_pb2 import WatchRequest

from services.common.rules import invalid, required


def check(request: WatchRequest, in_use: Container[int]) -> None:
    """Raises FIELD_REQUIRED or FIELD_INVALID for a topic without content, or with an id that is in use."""
    ids: set[int] = set()
    for index, topic in enumerate(request.add):
        path = f"add[{index}]"
        kind = topic.WhichOneof("topic")
        if kind is None:
            raise required(f"{path}.topic")
        if kind == "instance" and not topic.instance:
            raise invalid(f"{path}.instance", "true")
        if topic.id in in_use or topic.id in ids:
            raise invalid(f"{path}.id", "an id that no other topic of the stream has")
        ids.add(topic.id)
