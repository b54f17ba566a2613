-- How far those have come to whom the log is told, such as webhooks: they have everything up to `position`. `batch_end` is the end of
-- what is being told, 0 for none: a repetition is told as the same. `lost` counts places in the log that they never got.
CREATE TABLE log_readers (
    instance_id TEXT NOT NULL,
    consumer TEXT NOT NULL,
    position INTEGER NOT NULL,
    batch_end INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    told_at INTEGER,
    failing_since INTEGER,
    problem TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (instance_id, consumer)
) WITHOUT ROWID;

-- Receivers of events over HTTP. `event_kinds` is a JSON list, empty for all. Deliveries are signed with `secret` and, until that time, with
-- the one before it.
CREATE TABLE webhooks (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    description TEXT NOT NULL,
    event_kinds TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    secret BLOB NOT NULL,
    former_secret BLOB,
    former_secret_until INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;
