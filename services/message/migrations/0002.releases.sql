-- Attachments that messages have let go, and rooms that are gone with theirs (`uid` is the room's, `attachment_id` empty),
-- until the media service has answered that it knows.
CREATE TABLE releases (
    instance_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    attachment_id TEXT NOT NULL,
    PRIMARY KEY (instance_id, uid, attachment_id)
) WITHOUT ROWID;
