"""Work that goes on after the call that asked for it was answered, such as the rest of a deletion.

No job has a status of its own: it is done when nothing is left of what it has to do, which the store knows anyway. So
nothing can be lost between the two.
"""

from typing import Protocol

from roomline.v1.error_reason_pb2 import ErrorReason
from roomline.v1.job_pb2 import Job, JobStatus

from services.common.errors import RoomlineError
from services.common.ids import MICROSECONDS

KEEP_MICROSECONDS = 30 * 86400 * MICROSECONDS
"""How long a job that has ended is remembered after it began."""


class JobStore(Protocol):
    """The jobs of a service."""

    async def get(self, instance_id: str, job_id: str) -> Job:
        """The job as it is now. Raises JOB_NOT_FOUND."""

    async def forget(self) -> None:
        """Forgets the jobs that have ended and are old, piece by piece."""


def new_job(job_id: str) -> Job:
    """A job that has just begun."""
    return Job(id=job_id, status=JobStatus.JOB_STATUS_IN_PROGRESS)


def job_of(job_id: str, row: tuple[int] | None) -> Job:
    """The job that a store has found; the row says whether something is left to do. Raises JOB_NOT_FOUND for None."""
    if row is None:
        raise RoomlineError(ErrorReason.ERROR_REASON_JOB_NOT_FOUND)
    (is_left,) = row
    status = JobStatus.JOB_STATUS_IN_PROGRESS if is_left else JobStatus.JOB_STATUS_COMPLETED
    return Job(id=job_id, status=status)
