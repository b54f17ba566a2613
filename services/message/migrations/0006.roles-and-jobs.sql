-- Roles that were created. `scope` is `RoleScope`. The built-in ones are nowhere: a role of their name counts instead of them.
CREATE TABLE roles (
    instance_id TEXT NOT NULL,
    scope INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, scope, name)
) WITHOUT ROWID;

-- `ordinal` is the place in the list that clients see.
CREATE TABLE role_permissions (
    instance_id TEXT NOT NULL,
    scope INTEGER NOT NULL,
    role_name TEXT NOT NULL,
    permission TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (instance_id, scope, role_name, permission)
) WITHOUT ROWID;

CREATE INDEX role_assignments_by_role ON role_assignments (instance_id, role_name);

-- Deletions of rooms whose progress somebody wants to know; done when `room_remains` and `releases` have nothing of the room.
CREATE TABLE jobs (
    instance_id TEXT NOT NULL,
    id TEXT NOT NULL,
    room_key INTEGER NOT NULL,
    room_uid TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (instance_id, id)
) WITHOUT ROWID;

CREATE INDEX jobs_by_age ON jobs (created_at);
