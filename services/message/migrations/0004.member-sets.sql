-- With a condition on `kind` SQLite would look at all rooms of a kind, instead of those with one set.
DROP INDEX rooms_by_member_set;
CREATE INDEX rooms_by_member_set ON rooms (instance_id, member_set, kind, key) WHERE member_set IS NOT NULL;
