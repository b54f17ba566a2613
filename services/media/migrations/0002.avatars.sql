-- The pictures of users. `blob` is the key of the bytes, which count towards the user's quotas like those of a file.
CREATE TABLE avatars (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id)
) WITHOUT ROWID;
