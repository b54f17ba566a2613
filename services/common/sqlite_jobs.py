"""Jobs on SQLite, for every service whose migrations make a table `jobs` with `instance_id`, `id` and `created_at`."""

from roomline.v1.job_pb2 import Job

from services.common.ids import Clock
from services.common.jobs import KEEP_MICROSECONDS, job_of
from services.common.sqlite import Database

FORGET_ROWS = 2000
"""How many jobs are forgotten at once, so that no other writer waits long."""


class SqliteJobs:
    """Keeps the promises of `JobStore`.

    `is_left` is the SQL that says whether something is left to do for the job `j`.
    """

    def __init__(self, database: Database, clock: Clock, is_left: str) -> None:
        self._database = database
        self._clock = clock
        self._is_left = is_left

    async def get(self, instance_id: str, job_id: str) -> Job:
        """See `JobStore`."""
        query = f"SELECT {self._is_left} FROM jobs j WHERE j.instance_id = ? AND j.id = ?"
        row = await self._database.read(lambda connection: connection.execute(query, (instance_id, job_id)).fetchone())
        return job_of(job_id, row)

    async def forget(self) -> None:
        """See `JobStore`."""
        statement = (
            "DELETE FROM jobs WHERE (instance_id, id) IN (SELECT j.instance_id, j.id FROM jobs j"
            f" WHERE j.created_at < ? AND NOT {self._is_left} LIMIT ?)"
        )
        bounds = self._clock() - KEEP_MICROSECONDS, FORGET_ROWS
        while await self._database.write(lambda connection: connection.execute(statement, bounds).rowcount):
            pass
