"""Deletes attachments on demand: the rows, what is still on its way to or from them, and the bytes soon after."""

from roomline.v1.media_service_pb2 import DeleteAttachmentRequest, DeleteAttachmentResponse, ReleaseAttachmentsRequest

from services.common.call import Caller
from services.media.downloads import Downloads
from services.media.maintenance import Maintenance
from services.media.store import AttachmentStore, CleanupStore, UseStore
from services.media.uploads import Uploads


class Removals:
    """Everything here may be repeated. When a call returns, its rows are gone, and downloads find nothing."""

    def __init__(
        self,
        attachments: AttachmentStore,
        uses: UseStore,
        cleanup: CleanupStore,
        uploads: Uploads,
        downloads: Downloads,
        maintenance: Maintenance,
    ) -> None:
        self._attachments = attachments
        self._uses = uses
        self._cleanup = cleanup
        self._transfers = (uploads, downloads)
        self._maintenance = maintenance

    async def delete(self, caller: Caller, request: DeleteAttachmentRequest) -> DeleteAttachmentResponse:
        """Deletes one. Raises ATTACHMENT_NOT_FOUND, ATTACHMENT_IN_USE."""
        response = await self._attachments.delete(caller, request)
        await self._removed(caller.instance_id)
        return response

    async def release(self, instance_id: str, request: ReleaseAttachmentsRequest) -> None:
        """Ends uses, and deletes what nothing uses any more."""
        try:
            if request.uses:
                await self._uses.release(instance_id, request.uses)
            for room_uid in request.room_uids:
                await self._uses.release_room(instance_id, room_uid)
        finally:
            await self._removed(instance_id)

    async def purge(self, instance_id: str, user_id: str) -> None:
        """Deletes a user's uploads that no message uses or, for an empty id, all of the instance, bytes included."""
        try:
            if user_id:
                await self._cleanup.purge_user(instance_id, user_id)
            else:
                await self._cleanup.purge_instance(instance_id)
        finally:
            await self._removed(instance_id)
        if not user_id:
            await self._maintenance.collect(instance_id)

    async def expired(self) -> None:
        """Ends uploads and downloads of what time has removed, in any instance."""
        for instance_id in {place[0] for transfers in self._transfers for place in transfers.in_progress()}:
            await self._removed(instance_id)

    async def _removed(self, instance_id: str) -> None:
        """Ends uploads and downloads of what is gone, and has the bytes deleted."""
        self._maintenance.left_garbage()
        for transfers in self._transfers:
            running = [attachment_id for place, attachment_id in transfers.in_progress() if place == instance_id]
            there = {stored.attachment.id for stored in await self._attachments.batch(instance_id, running)}
            for attachment_id in running:
                if attachment_id not in there:
                    await transfers.stop(instance_id, attachment_id)
