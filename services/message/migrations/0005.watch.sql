-- Which log this is: its positions mean nothing in another one. Whoever restores a backup gives it another (`EventStore.renew_epoch`).
CREATE TABLE epochs (
    id TEXT PRIMARY KEY
) WITHOUT ROWID;

INSERT INTO epochs VALUES (lower(hex(randomblob(16))));

-- The last place in the log of an instance whose event was removed, and the place at which the instance was reset last.
CREATE TABLE log_trims (
    instance_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    reset_position INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

INSERT INTO log_trims (instance_id, position) SELECT l.instance_id,
    coalesce((SELECT min(e.position) - 1 FROM events e WHERE e.instance_id = l.instance_id), l.position) FROM logs l;

-- Memberships that have ended, while the log reaches back to them: who resumes gets the events of the time it was there.
CREATE TABLE past_members (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    joined_position INTEGER NOT NULL,
    left_position INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id, room_key, joined_position)
) WITHOUT ROWID;

CREATE INDEX past_members_by_end ON past_members (instance_id, left_position);

CREATE INDEX hidden_by_message ON hidden (instance_id, message_id);
