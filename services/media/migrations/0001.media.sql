-- One row per reservation. `size` is what was reserved or, if the reservation left it open (`sized` = 0), what was uploaded.
-- `room_id` and `room_uid` are NULL for an attachment that belongs to its uploader; the uid decides, the id is only shown.
-- `blob` is the key of the present bytes, NULL until there are any. `idle_since` is NULL while a message uses it.
-- `look_at` is when the bytes are to be looked at as a picture, NULL if there is nothing (more) to see; `looks` counts how often
-- that was begun, so that a picture that brings the whole service down is not looked at for ever.
CREATE TABLE attachments (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    room_id TEXT,
    room_uid TEXT,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    caption TEXT,
    custom_data BLOB,
    size INTEGER NOT NULL,
    sized INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    blob TEXT,
    uploaded_at INTEGER,
    detected_type TEXT NOT NULL DEFAULT '',
    width INTEGER,
    height INTEGER,
    look_at INTEGER,
    looks INTEGER NOT NULL DEFAULT 0,
    idle_since INTEGER,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE INDEX attachments_by_user ON attachments (instance_id, user_id, id);
CREATE INDEX attachments_by_room ON attachments (instance_id, room_uid, id) WHERE room_uid IS NOT NULL;
CREATE INDEX attachments_unseen ON attachments (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX attachments_idle ON attachments (idle_since) WHERE idle_since IS NOT NULL;

-- Which messages use an attachment. A claim is a use of which nobody knows yet whether its message exists (`confirmed` = 0).
CREATE TABLE uses (
    instance_id TEXT NOT NULL,
    attachment_id TEXT NOT NULL,
    message_uid TEXT NOT NULL,
    room_uid TEXT NOT NULL,
    user_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    confirmed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, attachment_id, message_uid)
) WITHOUT ROWID;

CREATE INDEX uses_by_room ON uses (instance_id, room_uid, attachment_id);
CREATE INDEX uses_unconfirmed ON uses (claimed_at) WHERE confirmed = 0;

-- Every object in the store, from before its first byte is written until after its last one is gone. `size` is NULL for one
-- that was never written to its end; `counted` are the bytes of the quotas that an unfinished one holds.
CREATE TABLE blobs (
    key TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('writing', 'in use', 'garbage')),
    size INTEGER,
    counted INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX blobs_writing ON blobs (since) WHERE state = 'writing';
CREATE INDEX blobs_garbage ON blobs (key) WHERE state = 'garbage';

-- Small pictures of an attachment's present bytes. `size` is the pixels of the longer side.
CREATE TABLE thumbnails (
    instance_id TEXT NOT NULL,
    attachment_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (instance_id, attachment_id, size)
) WITHOUT ROWID;

-- What counts towards the quotas of a user or, with an empty user_id, of the whole instance: reservations included.
CREATE TABLE usage (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id)
) WITHOUT ROWID;

-- The secrets behind signed URLs. The permanent one signs URLs that have no end, and never changes; of the others the one
-- that is not retired signs.
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    permanent INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER
) WITHOUT ROWID;

CREATE UNIQUE INDEX signing_keys_current ON signing_keys (permanent) WHERE retired_at IS NULL;
