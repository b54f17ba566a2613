-- SHA-256 of the present bytes, so that an upload that is repeated can be told from another one; NULL for what was uploaded
-- before there were digests.
ALTER TABLE attachments ADD COLUMN digest BLOB;

-- Uploaders take turns: whose pictures nobody has looked at.
CREATE INDEX attachments_unseen_by_user ON attachments (instance_id, user_id, look_at) WHERE look_at IS NOT NULL;
