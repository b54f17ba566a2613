"""URLs of attachments: references relative to the gateway's address or, for downloads, presigned ones of the store."""

from collections.abc import Sequence

from roomline.v1.attachment_pb2 import Attachment

from services.common.ids import MICROSECONDS, Clock
from services.common.timestamps import to_proto
from services.media.blobs import Blobs
from services.media.signatures import DOWNLOAD_SECONDS, UPLOAD_SECONDS, Method, Signatures
from services.media.store import Stored


class Links:
    """Makes URLs. With `direct` downloads go to the store where it can sign URLs."""

    def __init__(self, signatures: Signatures, blobs: Blobs, clock: Clock, *, direct: bool) -> None:
        self._signatures = signatures
        self._blobs = blobs
        self._clock = clock
        self._direct = direct and blobs.can_sign

    async def complete(self, found: Sequence[Stored]) -> list[Attachment]:
        """The attachments with download URLs that are valid from now on."""
        expires = self._clock() // MICROSECONDS + DOWNLOAD_SECONDS
        presigned = await self._presigned(found)
        completed = []
        for stored in found:
            attachment = Attachment()
            attachment.CopyFrom(stored.attachment)
            attachment.download_url = presigned.get(stored.blob or "") or self._reference(stored, "GET", expires)
            attachment.expiration.CopyFrom(to_proto(expires * MICROSECONDS))
            completed.append(attachment)
        return completed

    async def complete_one(self, stored: Stored) -> Attachment:
        """As `complete`, for one."""
        return (await self.complete([stored]))[0]

    def upload_url(self, stored: Stored) -> str:
        """Where the bytes go."""
        return self._reference(stored, "PUT", self._clock() // MICROSECONDS + UPLOAD_SECONDS)

    def permanent_url(self, stored: Stored) -> str:
        """Where the bytes are for as long as the attachment is there."""
        return self._reference(stored, "GET", None)

    def _reference(self, stored: Stored, method: Method, expires: int | None) -> str:
        return f"/attachments/{stored.attachment.id}?signature={self._signatures.sign(stored, method, expires)}"

    async def _presigned(self, found: Sequence[Stored]) -> dict[str, str]:
        keys = [stored.blob for stored in found if stored.blob is not None] if self._direct else []
        return await self._blobs.presigned(keys, DOWNLOAD_SECONDS)
