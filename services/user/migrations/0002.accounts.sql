-- A user who logs in with e-mail address and password.
CREATE TABLE accounts (
    instance_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    email TEXT NOT NULL,  -- as given
    email_key TEXT NOT NULL,  -- what is compared
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    password TEXT NOT NULL,  -- its Argon2 hash
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id),
    FOREIGN KEY (instance_id, user_id) REFERENCES users (instance_id, id) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE UNIQUE INDEX accounts_by_email ON accounts (instance_id, email_key);

-- Sessions that have not ended. Of refresh tokens only digests are kept: of the one that is good, and of the one before it.
CREATE TABLE sessions (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    seal BLOB NOT NULL,  -- the key that tells refresh tokens of the session from made-up ones
    salt BLOB NOT NULL,  -- leads from the previous refresh token to the present one
    present BLOB NOT NULL,
    previous BLOB,
    refreshed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,  -- of the present refresh token
    tokens_end INTEGER NOT NULL,  -- when the last access token ends
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id),
    FOREIGN KEY (instance_id, user_id) REFERENCES accounts (instance_id, user_id) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX sessions_by_user ON sessions (instance_id, user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Sessions that have ended, in this order, for as long as there are access tokens of theirs.
CREATE TABLE ended_sessions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    tokens_end INTEGER NOT NULL
);

CREATE INDEX ended_sessions_by_end ON ended_sessions (tokens_end);

-- Whatever removes a session, its user or its account: its access tokens end with it.
CREATE TRIGGER sessions_end AFTER DELETE ON sessions
BEGIN
    INSERT INTO ended_sessions (instance_id, session_id, tokens_end) VALUES (old.instance_id, old.id, old.tokens_end);
END;

-- The keys that sign access tokens (RS256), PEM.
CREATE TABLE account_keys (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    private_key TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;
