-- Browsers that are told of new messages (RFC 8030). `due_at` is when the next of their `pushes` is to be sent; NULL while there
-- is none. `failures` counts the tries in a row that have failed, the first of them at `failing_since`. `taken_position` is that of the
-- last of their `pushes`, sent or not: what is found in the log again is told once.
CREATE TABLE push_subscriptions (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    p256dh BLOB NOT NULL,
    auth BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    due_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    taken_position INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE UNIQUE INDEX push_subscriptions_by_endpoint ON push_subscriptions (instance_id, endpoint);
CREATE INDEX push_subscriptions_by_user ON push_subscriptions (instance_id, user_id, updated_at);
CREATE INDEX push_subscriptions_due ON push_subscriptions (failures > 0, due_at) WHERE due_at IS NOT NULL;

-- What is to be told to a browser: a message by its number. What it says is read when it is sent.
CREATE TABLE pushes (
    instance_id TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    room_key INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, subscription_id, position),
    FOREIGN KEY (instance_id, subscription_id) REFERENCES push_subscriptions (instance_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
