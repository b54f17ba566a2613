"""What a message says, and the attachments in it."""

from collections.abc import Iterable, Mapping

from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import SendMessageRequest


def content_of(request: SendMessageRequest) -> Message:
    """What the sender said and nothing else: the part of a message that is stored as it is."""
    content = Message(parts=request.parts)
    if request.HasField("custom_data"):
        content.custom_data.CopyFrom(request.custom_data)
    if request.HasField("reply_to"):
        content.reply_to = request.reply_to
    return content


def attachment_ids(parts: Iterable[Part]) -> list[str]:
    """The attachments of the parts, each one once, in order."""
    return list(dict.fromkeys(part.attachment.id for part in parts if part.HasField("attachment")))


def put_attachments(messages: Iterable[Message], attachments: Mapping[str, Attachment]) -> None:
    """Fills the parts that have an attachment; one that is not among the given ones keeps its id only."""
    for message in messages:
        for part in message.parts:
            if part.HasField("attachment"):
                attachment = attachments.get(part.attachment.id)
                if attachment is not None:
                    part.attachment.CopyFrom(attachment)
