"""What a message says, and the attachments in it."""

from collections.abc import Iterable, Mapping, Sequence

from roomline.v1.attachment_pb2 import Attachment
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.message_pb2 import Message, Part
from roomline.v1.message_service_pb2 import SendMessageRequest

from services.common.limits import check_message_size
from services.common.rules import invalid, required

EMBEDDED = ("javascript:", "data:", "vbscript:")
"""Schemes of URLs that lead nowhere but bring what they show along: whoever opens one runs what the sender wrote."""


def check_parts(limits: InstanceLimits, parts: Sequence[Part]) -> list[str]:
    """Checks what field rules cannot say (spec §5.3). Returns the attachments' ids, each one once.

    Of an attachment only the id counts, and nothing else stays in the part. Raises FIELD_INVALID, FIELD_REQUIRED,
    MESSAGE_TOO_LARGE.
    """
    if len(parts) > limits.message_parts:
        raise invalid("parts", f"at most {limits.message_parts} items")
    size = 0
    attached: list[str] = []
    for index, part in enumerate(parts):
        kind = part.WhichOneof("body")
        if kind is None:
            raise invalid(f"parts[{index}]", "one of content, url and attachment")
        if kind == "content":
            size += len(part.content.encode())
        elif kind == "url" and part.url.lower().startswith(EMBEDDED):
            raise invalid(f"parts[{index}].url", "the URL of something elsewhere")
        elif kind == "attachment":
            attachment_id = part.attachment.id
            if not attachment_id:
                raise required(f"parts[{index}].attachment.id")
            part.attachment.CopyFrom(Attachment(id=attachment_id))
            if attachment_id not in attached:
                attached.append(attachment_id)
    check_message_size(limits, size)
    return attached


def content_of(said: SendMessageRequest | Message) -> Message:
    """What the sender said and nothing else: the part of a message that is stored as it is."""
    content = Message(parts=said.parts)
    if said.HasField("custom_data"):
        content.custom_data.CopyFrom(said.custom_data)
    if said.HasField("reply_to"):
        content.reply_to = said.reply_to
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
