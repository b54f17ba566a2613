-- One row per instance: the numbers taken last. They only rise, also when the instance is wiped.
CREATE TABLE logs (
    instance_id TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    room_key INTEGER NOT NULL
) WITHOUT ROWID;

-- What changed, in commit order. Message events carry ids only: content lives in one place and can be wiped.
CREATE TABLE events (
    instance_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    event BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, position)
) WITHOUT ROWID;

-- `key` never comes back, so that an id can be used anew while the deleted room's messages are still being removed.
CREATE TABLE rooms (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    key INTEGER NOT NULL,
    uid TEXT NOT NULL,
    name TEXT NOT NULL,
    created_by_id TEXT NOT NULL,
    private INTEGER NOT NULL,
    custom_data BLOB,
    push_notification_title_override TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_message_at INTEGER,
    message_count INTEGER NOT NULL DEFAULT 0,
    member_count INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX rooms_by_key ON rooms (instance_id, key);
CREATE UNIQUE INDEX rooms_by_uid ON rooms (instance_id, uid);

-- `joined_position` is the place in the log of the change that added the member; `ordinal` the place within that change.
CREATE TABLE members (
    instance_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    joined_position INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, room_key, user_id)
) WITHOUT ROWID;

CREATE INDEX members_by_user ON members (instance_id, user_id, room_key);

CREATE TABLE messages (
    instance_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    id INTEGER NOT NULL,
    uid TEXT NOT NULL,
    user_id TEXT NOT NULL,
    content BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    edited_at INTEGER,
    unsent_at INTEGER,
    expires_at INTEGER,
    PRIMARY KEY (instance_id, room_key, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX messages_by_id ON messages (instance_id, id);
CREATE UNIQUE INDEX messages_by_uid ON messages (instance_id, uid);

CREATE TABLE cursors (
    instance_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, room_key, user_id)
) WITHOUT ROWID;

CREATE INDEX cursors_by_user ON cursors (instance_id, user_id, room_key);

-- `room_id` is empty for a role in global scope.
CREATE TABLE role_assignments (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    role_name TEXT NOT NULL,
    PRIMARY KEY (instance_id, user_id, room_id)
) WITHOUT ROWID;

CREATE INDEX role_assignments_by_room ON role_assignments (instance_id, room_id);

-- Users deleted a moment ago: what was decided about them before the purge must not be carried out after it.
CREATE TABLE purged_users (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    purged_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id)
) WITHOUT ROWID;

-- Deleted rooms whose messages are still to be removed, a piece at a time.
CREATE TABLE room_remains (
    instance_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    PRIMARY KEY (instance_id, room_key)
) WITHOUT ROWID;
