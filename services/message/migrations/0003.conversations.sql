-- `kind` is `RoomKind`, 0 for a room made by `CreateRoom`. `member_set` says which users are in a room of a kind, whatever their
-- order; empty where no set of users leads to the room.
ALTER TABLE rooms ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN member_set BLOB;

CREATE UNIQUE INDEX rooms_by_pair ON rooms (instance_id, member_set) WHERE kind = 1;
CREATE INDEX rooms_by_member_set ON rooms (instance_id, kind, member_set, key) WHERE kind > 0;

-- Messages up to this id are absent for the member. `archived` is the id of the newest message when the member archived the room
-- (at least 1), 0 if it is not archived: a newer message ends it without a write.
ALTER TABLE members ADD COLUMN hidden_before INTEGER NOT NULL DEFAULT 0;

-- Messages that users have taken out of their own view.
CREATE TABLE hidden (
    instance_id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    message_id INTEGER NOT NULL,
    PRIMARY KEY (instance_id, room_key, user_id, message_id)
) WITHOUT ROWID;

CREATE INDEX hidden_by_user ON hidden (instance_id, user_id);

-- Both hold only messages that still have to disappear by themselves.
CREATE INDEX messages_by_expiry ON messages (expires_at) WHERE expires_at IS NOT NULL AND unsent_at IS NULL;
CREATE INDEX messages_by_room_and_expiry ON messages (instance_id, room_key, expires_at)
    WHERE expires_at IS NOT NULL AND unsent_at IS NULL;
