-- Guardians with what they log in with, their relations, sessions, signing keys and the audit log.
--
-- The same tables, columns and indexes as in ../postgres. What differs, and why:
--   * STRICT: without it a column takes values of any type;
--   * WITHOUT ROWID: a row is found by its key in one tree instead of two;
--   * flags are 0 or 1 in both, for the one driver reads no other type in both.

-- Rows that are updated to take turns: one import of an organization, one maker of signing keys at a time.
CREATE TABLE named_lock (
    name     TEXT PRIMARY KEY,
    taken_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE school (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    source_key   TEXT NOT NULL,
    name         TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX school_by_source_key ON school (organization, source_key);

CREATE TABLE child (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    source_key   TEXT NOT NULL,
    given_name   TEXT NOT NULL,
    family_name  TEXT NOT NULL,
    school_id    TEXT NOT NULL REFERENCES school (id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX child_by_source_key ON child (organization, source_key);
CREATE INDEX child_by_school ON child (school_id);

-- delivered: as the source wrote it. canonical: what is compared and written to, if it has such a form.
CREATE TABLE guardian (
    id               TEXT PRIMARY KEY,
    organization     TEXT NOT NULL,
    source_key       TEXT NOT NULL,
    given_name       TEXT NOT NULL,
    family_name      TEXT NOT NULL,
    locale           TEXT NOT NULL,
    state            TEXT NOT NULL,
    credential_epoch INTEGER NOT NULL,
    email_delivered  TEXT,
    email_canonical  TEXT,
    mobile_delivered TEXT,
    mobile_canonical TEXT,
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX guardian_by_source_key ON guardian (organization, source_key);

-- is_spare: taken because the delivered name was another guardian's; no import drops it. The key has the name before the
-- portal: a login asks for one name at two portals.
CREATE TABLE guardian_login (
    organization TEXT NOT NULL,
    portal       TEXT NOT NULL,
    login_name   TEXT NOT NULL,
    guardian_id  TEXT NOT NULL REFERENCES guardian (id),
    kind         TEXT NOT NULL,
    is_spare     INTEGER NOT NULL,
    PRIMARY KEY (organization, login_name, portal)
) STRICT, WITHOUT ROWID;
CREATE INDEX guardian_login_by_guardian ON guardian_login (guardian_id, portal);

-- National ids: sealed, found by a keyed digest. A number that was replaced stays with the time of its end.
CREATE TABLE guardian_identifier (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    organization TEXT NOT NULL,
    guardian_id  TEXT NOT NULL REFERENCES guardian (id),
    scheme       TEXT NOT NULL,
    blind_index  BLOB NOT NULL,
    sealed       BLOB NOT NULL,
    key_id       TEXT NOT NULL,
    source       TEXT NOT NULL,
    added_ms     INTEGER NOT NULL,
    retired_ms   INTEGER
) STRICT;
CREATE UNIQUE INDEX guardian_identifier_active ON guardian_identifier (organization, blind_index) WHERE retired_ms IS NULL;
CREATE INDEX guardian_identifier_by_guardian ON guardian_identifier (guardian_id);

-- confirmed_by: 'source', 'staff', or nobody.
CREATE TABLE child_link (
    guardian_id  TEXT NOT NULL REFERENCES guardian (id),
    child_id     TEXT NOT NULL REFERENCES child (id),
    source       TEXT NOT NULL,
    confirmed_by TEXT,
    confirmed_ms INTEGER,
    PRIMARY KEY (guardian_id, child_id, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX child_link_by_child ON child_link (child_id);

-- A childminder's contract with the organization.
CREATE TABLE contract (
    guardian_id  TEXT NOT NULL REFERENCES guardian (id),
    source       TEXT NOT NULL,
    confirmed_by TEXT,
    confirmed_ms INTEGER,
    PRIMARY KEY (guardian_id, source)
) STRICT, WITHOUT ROWID;

-- origin: 'import', or 'owner' once the guardian has set it. import_fingerprint: digest of what was imported, which
-- outlives a renewal of the hash with other parameters. failures, closed: per lane, of unknown and of known devices.
CREATE TABLE credential (
    guardian_id        TEXT NOT NULL REFERENCES guardian (id),
    portal             TEXT NOT NULL,
    organization       TEXT NOT NULL,
    hash               TEXT NOT NULL,
    hash_parameters    TEXT NOT NULL,
    origin             TEXT NOT NULL,
    import_fingerprint BLOB,
    must_change        INTEGER NOT NULL,
    expires_ms         INTEGER,
    failures_unknown   INTEGER NOT NULL,
    failures_known     INTEGER NOT NULL,
    closed_unknown_ms  INTEGER,
    closed_known_ms    INTEGER,
    set_ms             INTEGER NOT NULL,
    PRIMARY KEY (guardian_id, portal)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_by_hash_parameters ON credential (organization, hash_parameters);

CREATE TABLE session (
    id                  TEXT PRIMARY KEY,
    guardian_id         TEXT NOT NULL REFERENCES guardian (id),
    organization        TEXT NOT NULL,
    portal              TEXT NOT NULL,
    client              TEXT NOT NULL,
    method              TEXT NOT NULL,
    authenticated_ms    INTEGER NOT NULL,
    refreshed_ms        INTEGER NOT NULL,
    idle_expires_ms     INTEGER NOT NULL,
    absolute_expires_ms INTEGER NOT NULL,
    credential_epoch    INTEGER NOT NULL,
    current_digest      BLOB NOT NULL,
    previous_digest     BLOB,
    rotation_salt       BLOB NOT NULL,
    rotated_ms          INTEGER NOT NULL,
    ended_ms            INTEGER,
    end_reason          TEXT,
    user_agent          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_guardian ON session (guardian_id, portal, id);
CREATE INDEX session_by_end ON session (absolute_expires_ms);

-- The feed from which replicas learn that sessions ended.
CREATE TABLE revocation (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    at_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX revocation_by_time ON revocation (at_ms);

-- A ticket is deleted when it is used.
CREATE TABLE change_ticket (
    digest           BLOB PRIMARY KEY,
    organization     TEXT NOT NULL,
    guardian_id      TEXT NOT NULL REFERENCES guardian (id),
    portal           TEXT NOT NULL,
    credential_epoch INTEGER NOT NULL,
    expires_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX change_ticket_by_guardian ON change_ticket (guardian_id);
CREATE INDEX change_ticket_by_end ON change_ticket (expires_ms);

CREATE TABLE signing_key (
    kid                TEXT PRIMARY KEY,
    public_key         BLOB NOT NULL,
    sealed_private     BLOB NOT NULL,
    key_id             TEXT NOT NULL,
    created_ms         INTEGER NOT NULL,
    signs_from_ms      INTEGER NOT NULL,
    published_until_ms INTEGER
) STRICT, WITHOUT ROWID;

-- guardian_id refers to no row: the log outlives the account. consecutive_failures, password_closed: after this failure.
CREATE TABLE audit_event (
    id                   TEXT PRIMARY KEY,
    at_ms                INTEGER NOT NULL,
    organization         TEXT NOT NULL,
    portal               TEXT,
    kind                 TEXT NOT NULL,
    cause                TEXT,
    guardian_id          TEXT,
    session_id           TEXT,
    reference_code       TEXT,
    caller               TEXT NOT NULL,
    address              TEXT,
    user_agent           TEXT NOT NULL,
    known_device         INTEGER NOT NULL,
    consecutive_failures INTEGER,
    password_closed      INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_event_by_reference ON audit_event (organization, reference_code) WHERE reference_code IS NOT NULL;
CREATE INDEX audit_event_by_guardian ON audit_event (organization, guardian_id, at_ms) WHERE guardian_id IS NOT NULL;
CREATE INDEX audit_event_by_time ON audit_event (organization, at_ms);
