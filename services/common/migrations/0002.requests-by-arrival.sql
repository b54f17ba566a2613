-- Rows in the order in which they arrive, which is that of age: a commit for many users changes few pages, and the oldest
-- are found without an index.
CREATE TABLE requests_by_arrival (
    instance_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    response BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, actor, request_id)
);
INSERT INTO requests_by_arrival SELECT * FROM requests ORDER BY created_at;
DROP TABLE requests;
ALTER TABLE requests_by_arrival RENAME TO requests;
