-- Times are microseconds since the Unix epoch.

CREATE TABLE instances (
    id TEXT NOT NULL PRIMARY KEY,
    cluster TEXT NOT NULL,
    flags BLOB NOT NULL,  -- roomline.v1.InstanceFlags
    limits BLOB NOT NULL,  -- roomline.v1.InstanceLimits
    user_sequence INTEGER NOT NULL DEFAULT 0,  -- of the user that was made last
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE instance_keys (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    secret TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

-- No foreign key to instances: the users of a deleted instance are removed after it, piece by piece.
CREATE TABLE users (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    uid TEXT NOT NULL,
    sequence INTEGER NOT NULL,  -- orders users that were made at the same time
    name TEXT NOT NULL,
    avatar_url TEXT,
    custom_data BLOB,  -- google.protobuf.Struct
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX users_by_uid ON users (instance_id, uid);
CREATE UNIQUE INDEX users_by_age ON users (instance_id, created_at, sequence);

-- What is gone here and still has to go elsewhere.
CREATE TABLE deletions (
    instance_id TEXT NOT NULL,
    kind TEXT NOT NULL,  -- user or instance
    id TEXT NOT NULL,  -- of the user; empty for an instance
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, kind, id)
) WITHOUT ROWID;
