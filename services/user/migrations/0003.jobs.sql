-- Deletions of users whose progress somebody wants to know; done when no pending deletion has the job any more.
CREATE TABLE jobs (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE INDEX jobs_by_age ON jobs (created_at);

ALTER TABLE deletions ADD COLUMN job_id TEXT;

CREATE INDEX deletions_by_job ON deletions (instance_id, job_id) WHERE job_id IS NOT NULL;
