-- Answers by request id (AIP-155), so that a repeated call gets the first answer.
CREATE TABLE requests (
    instance_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    response BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, actor, request_id)
) WITHOUT ROWID;

CREATE INDEX requests_by_age ON requests (created_at);
