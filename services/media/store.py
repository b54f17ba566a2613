"""What the media service's stores promise. One test suite holds every backend to it.

Every method works inside the instance given and never sees another one. Every writing method is one transaction, unless
it says that it works in pieces; what it returns is on disk. An attachment is removed together with its uses, thumbnails
and place in the quotas, and its bytes become garbage in the same transaction.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from roomline.v1.attachment_pb2 import Attachment, AttachmentUse
from roomline.v1.instance_pb2 import InstanceLimits
from roomline.v1.media_service_pb2 import (
    ClaimAttachmentsRequest,
    DeleteAttachmentRequest,
    DeleteAttachmentResponse,
    ReserveAttachmentRequest,
)

from services.common.call import Caller

PAGE_BYTES = 8 * 1024 * 1024
"""How much a page of attachments has at most, unless a single one has more."""


class Stored(NamedTuple):
    """An attachment, and what only the media service knows of it."""

    instance_id: str
    attachment: Attachment
    """Without `download_url` and `expiration`, which are made at each reading."""
    room_uid: str | None
    """None for one that belongs to its uploader."""
    blob: str | None
    """The key of its present bytes."""
    sized: bool
    """An upload must have exactly the attachment's `size`."""
    digest: bytes | None = None
    """SHA-256 of its present bytes; also None for those of before there were digests."""


class Bounds(NamedTuple):
    """Which part of a list is wanted: newest first, from below the id on; an empty id begins with the newest."""

    before_id: str = ""
    created_before: int = 2**62
    """Later than any time, unless told otherwise."""
    size: int = 100
    bytes: int = PAGE_BYTES
    """It ends after the first attachment with which it has more."""


class Thumbnail(NamedTuple):
    """A small picture of an attachment's present bytes."""

    size: int
    """The pixels of its longer side."""
    blob: str
    bytes: int


class StoredAvatar(NamedTuple):
    """The picture of a user."""

    user_id: str
    blob: str
    size: int
    updated_at: int


class Claimed(NamedTuple):
    """What a claim got."""

    message_uid: str
    attachments: list[Stored]
    claimed_at: int | None
    """None if one of them was claimed for that message before."""


class Use(NamedTuple):
    """A message that uses an attachment."""

    instance_id: str
    message_uid: str
    attachment_id: str


class OpenClaim(NamedTuple):
    """A use of which nobody knows yet whether its message exists."""

    use: Use
    room_uid: str


class Garbage(NamedTuple):
    """Bytes that nothing points to any more."""

    key: str
    torn: bool
    """They were never written to their end."""


class SigningKey(NamedTuple):
    """A secret behind signed URLs."""

    id: str
    secret: str
    permanent: bool
    created_at: int
    retired_at: int | None = None


class AttachmentStore(Protocol):
    """Attachments."""

    async def reserve(self, caller: Caller, request: ReserveAttachmentRequest, room_uid: str | None) -> Stored:
        """Makes one of the caller's, exactly once per request id. Raises QUOTA_EXCEEDED, REQUEST_ID_REUSED."""

    async def reserved(self, caller: Caller, request: ReserveAttachmentRequest) -> Stored | None:
        """What this request has made before, if it was carried out. Raises REQUEST_ID_REUSED."""

    async def get(self, instance_id: str, attachment_id: str) -> Stored:
        """One attachment. Raises ATTACHMENT_NOT_FOUND."""

    async def batch(self, instance_id: str, attachment_ids: Collection[str]) -> list[Stored]:
        """Those of the attachments that are there, in any order."""

    async def of_user(self, instance_id: str, user_id: str, bounds: Bounds) -> list[Stored]:
        """A user's uploads."""

    async def in_room(self, instance_id: str, room_uid: str, bounds: Bounds) -> list[Stored]:
        """The attachments that messages of the room use."""

    async def uses(self, instance_id: str, attachment_id: str, before_message_uid: str, size: int) -> list[str]:
        """The uids of the messages that use an attachment, newest first, from below the one given on, if any is."""

    async def uses_in_room(self, instance_id: str, room_uid: str, attachment_ids: Collection[str]) -> list[Use]:
        """Who uses these attachments in a room."""

    async def delete(self, caller: Caller, request: DeleteAttachmentRequest) -> DeleteAttachmentResponse:
        """Removes it; a user's own only. Raises ATTACHMENT_NOT_FOUND, ATTACHMENT_IN_USE, REQUEST_ID_REUSED."""

    async def thumbnail(self, instance_id: str, attachment_id: str, size: int) -> Thumbnail:
        """A thumbnail. Raises ATTACHMENT_NOT_FOUND."""


class UseStore(Protocol):
    """Which messages use which attachments."""

    async def claim(self, instance_id: str, request: ClaimAttachmentsRequest) -> Claimed:
        """Ties all of the attachments to a message, or raises ATTACHMENT_UNUSABLE.

        If the same user has claimed one of them in the same room with the same request id, and nobody knows yet whether
        that message exists, they are tied to that message.
        """

    async def unclaim(self, instance_id: str, message_uid: str, attachment_ids: Sequence[str], claimed_at: int) -> None:
        """Takes back that claim, whose message was refused, where nobody has renewed it since."""

    async def release(self, instance_id: str, uses: Sequence[AttachmentUse]) -> None:
        """Ends uses that messages really had, and removes what nothing uses any more, though a use be gone already."""

    async def release_room(self, instance_id: str, room_uid: str) -> None:
        """Removes what was reserved in a room, and ends what was used in it, in pieces."""

    async def unconfirmed(self, before: int, after: Use | None, size: int) -> list[OpenClaim]:
        """Claims older than that time of which nobody knows whether their message exists; ordered by `Use`."""

    async def settle(self, confirmed: Sequence[Use], ended: Sequence[Use], before: int) -> None:
        """Notes which of those messages exist; the other claims end. A claim renewed since that time stays as it is."""


class UploadStore(Protocol):
    """Bytes on their way in. A key is in the store before the first of its bytes is in the object store."""

    async def begin(self, upload: Stored, key: str) -> Stored | None:
        """Announces an object for the attachment. Raises ATTACHMENT_NOT_FOUND.

        If it has bytes and a message uses it, it takes no others: nothing is announced, and it is returned.
        """

    async def grow(self, key: str, need: int, wish: int, limits: InstanceLimits) -> int:
        """Takes `wish` bytes from the quotas for an unfinished object or, if that is too much, what is left.

        Returns how many. Raises QUOTA_EXCEEDED if that is less than `need`, ATTACHMENT_NOT_FOUND if it was given up.
        """

    async def finish(self, upload: Stored, key: str, size: int, digest: bytes, detected_type: str) -> Stored:
        """Points the attachment at the written object; the earlier one becomes garbage, and its thumbnails too.

        A picture is then one that nobody has looked at. If the attachment takes no other bytes by now, the new object
        is garbage; raises ATTACHMENT_IN_USE unless it has the same digest. Raises ATTACHMENT_NOT_FOUND, likewise.
        """

    async def abandon(self, key: str) -> None:
        """Makes an object garbage unless it is in use, and gives back what it took from the quotas."""


class PictureStore(Protocol):
    """Pictures that nobody has looked at, from when their upload is finished on, and what is then seen."""

    async def next(self, most: int, after: Stored | None = None) -> Stored | None:
        """A picture whose turn it is, and counts the look; not one that `most` looks have not settled already.

        Uploaders take turns: it is one of the next uploader's after that of the picture given, his oldest.
        """

    async def put_off(self, picture: Stored, until: int) -> bool:
        """Takes back a look that says nothing of the picture; the next comes then. False if it is gone or settled."""

    async def begin_thumbnail(self, picture: Stored, key: str) -> None:
        """Announces an object that belongs to the picture's bytes. Raises ATTACHMENT_NOT_FOUND if those are gone."""

    async def settle(
        self, picture: Stored, width: int | None, height: int | None, thumbnails: Sequence[Thumbnail]
    ) -> bool:
        """Notes what was seen. False if the picture's bytes are gone: then the thumbnails are garbage."""

    async def drop(self, picture: Stored, thumbnails: Sequence[Thumbnail]) -> None:
        """Makes garbage of thumbnails that are not settled."""


class AvatarStore(Protocol):
    """The pictures of users. They count towards the quotas like files."""

    async def get(self, instance_id: str, user_id: str) -> StoredAvatar:
        """A user's picture. Raises ATTACHMENT_NOT_FOUND."""

    async def begin(self, instance_id: str, user_id: str, key: str) -> None:
        """Announces an object."""

    async def put(self, instance_id: str, user_id: str, key: str, size: int, limits: InstanceLimits) -> StoredAvatar:
        """Makes the written object the user's picture; the earlier one becomes garbage.

        Raises QUOTA_EXCEEDED, and ATTACHMENT_NOT_FOUND if the object was given up; then nothing has changed.
        """

    async def restore(self, instance_id: str, avatar: StoredAvatar) -> bool:
        """Makes the written object the picture of a user who has none, whatever the quotas are.

        False if the user has one: then the object is garbage. Raises ATTACHMENT_NOT_FOUND if it was given up.
        """

    async def remove(self, instance_id: str, user_id: str) -> None:
        """Removes a user's picture, if there is one."""

    async def abandon(self, instance_id: str, key: str) -> None:
        """Makes an object garbage unless it is in use."""


class CleanupStore(Protocol):
    """What is to be removed."""

    async def garbage(self, instance_id: str | None, after_key: str, size: int) -> list[Garbage]:
        """Some garbage, ordered by key, from above the key on; of one instance or of all."""

    async def gone(self, keys: Collection[str]) -> None:
        """Forgets garbage whose bytes are gone."""

    async def give_up(self, before: int) -> None:
        """Abandons what has been written since before that time, in pieces."""

    async def expire(self, before: int) -> None:
        """Removes attachments that nothing has used since before that time, in pieces."""

    async def purge_instance(self, instance_id: str) -> None:
        """Removes all attachments and avatars of the instance and all that is remembered of it, in pieces."""

    async def purge_user(self, instance_id: str, user_id: str) -> None:
        """Removes a user's avatar and attachments that no message uses, in pieces; the others are nobody's then.

        So a later user of the same id has nothing of them.
        """


class KeyStore(Protocol):
    """The secrets behind signed URLs. Of the permanent and of the other ones, one is not retired."""

    async def all(self) -> list[SigningKey]:
        """All that there are."""

    async def rotate(self, new: SigningKey, permanent: SigningKey, renew_before: int, drop_before: int) -> None:
        """Adds the permanent key if there is none, and the new one if the present one was made before `renew_before`.

        The present one is retired then. Drops keys that were retired before `drop_before`.
        """
