-- Guardians with what they log in with, their relations, sessions, signing keys and the audit log.
--
-- The same tables, columns and indexes as in ../sqlite. What differs, and why:
--   * text COLLATE "C": names are compared byte by byte, never by a locale's rules (SQLite does so by itself);
--   * bigint and bytea for INTEGER and BLOB; flags are 0 or 1 in both, for the one driver reads no other type in both;
--   * identity columns for AUTOINCREMENT;
--   * fillfactor: room on the page, so that an update of a counter or a token touches no index.

-- Rows that are updated to take turns: one import of an organization, one maker of signing keys at a time.
CREATE TABLE named_lock (
    name     text COLLATE "C" PRIMARY KEY,
    taken_ms bigint NOT NULL
);

CREATE TABLE school (
    id           text COLLATE "C" PRIMARY KEY,
    organization text COLLATE "C" NOT NULL,
    source_key   text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX school_by_source_key ON school (organization, source_key);

CREATE TABLE child (
    id           text COLLATE "C" PRIMARY KEY,
    organization text COLLATE "C" NOT NULL,
    source_key   text COLLATE "C" NOT NULL,
    given_name   text COLLATE "C" NOT NULL,
    family_name  text COLLATE "C" NOT NULL,
    school_id    text COLLATE "C" NOT NULL REFERENCES school (id)
);
CREATE UNIQUE INDEX child_by_source_key ON child (organization, source_key);
CREATE INDEX child_by_school ON child (school_id);

-- delivered: as the source wrote it. canonical: what is compared and written to, if it has such a form.
CREATE TABLE guardian (
    id               text COLLATE "C" PRIMARY KEY,
    organization     text COLLATE "C" NOT NULL,
    source_key       text COLLATE "C" NOT NULL,
    given_name       text COLLATE "C" NOT NULL,
    family_name      text COLLATE "C" NOT NULL,
    locale           text COLLATE "C" NOT NULL,
    state            text COLLATE "C" NOT NULL,
    credential_epoch bigint NOT NULL,
    email_delivered  text COLLATE "C",
    email_canonical  text COLLATE "C",
    mobile_delivered text COLLATE "C",
    mobile_canonical text COLLATE "C",
    created_ms       bigint NOT NULL,
    updated_ms       bigint NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX guardian_by_source_key ON guardian (organization, source_key);

-- is_spare: taken because the delivered name was another guardian's; no import drops it. The key has the name before the
-- portal: a login asks for one name at two portals.
CREATE TABLE guardian_login (
    organization text COLLATE "C" NOT NULL,
    portal       text COLLATE "C" NOT NULL,
    login_name   text COLLATE "C" NOT NULL,
    guardian_id  text COLLATE "C" NOT NULL REFERENCES guardian (id),
    kind         text COLLATE "C" NOT NULL,
    is_spare     bigint NOT NULL,
    PRIMARY KEY (organization, login_name, portal)
);
CREATE INDEX guardian_login_by_guardian ON guardian_login (guardian_id, portal);

-- National ids: sealed, found by a keyed digest. A number that was replaced stays with the time of its end.
CREATE TABLE guardian_identifier (
    position     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization text COLLATE "C" NOT NULL,
    guardian_id  text COLLATE "C" NOT NULL REFERENCES guardian (id),
    scheme       text COLLATE "C" NOT NULL,
    blind_index  bytea NOT NULL,
    sealed       bytea NOT NULL,
    key_id       text COLLATE "C" NOT NULL,
    source       text COLLATE "C" NOT NULL,
    added_ms     bigint NOT NULL,
    retired_ms   bigint
);
CREATE UNIQUE INDEX guardian_identifier_active ON guardian_identifier (organization, blind_index) WHERE retired_ms IS NULL;
CREATE INDEX guardian_identifier_by_guardian ON guardian_identifier (guardian_id);

-- confirmed_by: 'source', 'staff', or nobody.
CREATE TABLE child_link (
    guardian_id  text COLLATE "C" NOT NULL REFERENCES guardian (id),
    child_id     text COLLATE "C" NOT NULL REFERENCES child (id),
    source       text COLLATE "C" NOT NULL,
    confirmed_by text COLLATE "C",
    confirmed_ms bigint,
    PRIMARY KEY (guardian_id, child_id, source)
);
CREATE INDEX child_link_by_child ON child_link (child_id);

-- A childminder's contract with the organization.
CREATE TABLE contract (
    guardian_id  text COLLATE "C" NOT NULL REFERENCES guardian (id),
    source       text COLLATE "C" NOT NULL,
    confirmed_by text COLLATE "C",
    confirmed_ms bigint,
    PRIMARY KEY (guardian_id, source)
);

-- origin: 'import', or 'owner' once the guardian has set it. import_fingerprint: digest of what was imported, which
-- outlives a renewal of the hash with other parameters. failures, closed: per lane, of unknown and of known devices.
CREATE TABLE credential (
    guardian_id        text COLLATE "C" NOT NULL REFERENCES guardian (id),
    portal             text COLLATE "C" NOT NULL,
    organization       text COLLATE "C" NOT NULL,
    hash               text COLLATE "C" NOT NULL,
    hash_parameters    text COLLATE "C" NOT NULL,
    origin             text COLLATE "C" NOT NULL,
    import_fingerprint bytea,
    must_change        bigint NOT NULL,
    expires_ms         bigint,
    failures_unknown   bigint NOT NULL,
    failures_known     bigint NOT NULL,
    closed_unknown_ms  bigint,
    closed_known_ms    bigint,
    set_ms             bigint NOT NULL,
    PRIMARY KEY (guardian_id, portal)
) WITH (fillfactor = 80);
CREATE INDEX credential_by_hash_parameters ON credential (organization, hash_parameters);

CREATE TABLE session (
    id                  text COLLATE "C" PRIMARY KEY,
    guardian_id         text COLLATE "C" NOT NULL REFERENCES guardian (id),
    organization        text COLLATE "C" NOT NULL,
    portal              text COLLATE "C" NOT NULL,
    client              text COLLATE "C" NOT NULL,
    method              text COLLATE "C" NOT NULL,
    authenticated_ms    bigint NOT NULL,
    refreshed_ms        bigint NOT NULL,
    idle_expires_ms     bigint NOT NULL,
    absolute_expires_ms bigint NOT NULL,
    credential_epoch    bigint NOT NULL,
    current_digest      bytea NOT NULL,
    previous_digest     bytea,
    rotation_salt       bytea NOT NULL,
    rotated_ms          bigint NOT NULL,
    ended_ms            bigint,
    end_reason          text COLLATE "C",
    user_agent          text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX session_by_guardian ON session (guardian_id, portal, id);
CREATE INDEX session_by_end ON session (absolute_expires_ms);

-- The feed from which replicas learn that sessions ended.
CREATE TABLE revocation (
    position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id text COLLATE "C" NOT NULL,
    at_ms      bigint NOT NULL
);
CREATE INDEX revocation_by_time ON revocation (at_ms);

-- A ticket is deleted when it is used.
CREATE TABLE change_ticket (
    digest           bytea PRIMARY KEY,
    organization     text COLLATE "C" NOT NULL,
    guardian_id      text COLLATE "C" NOT NULL REFERENCES guardian (id),
    portal           text COLLATE "C" NOT NULL,
    credential_epoch bigint NOT NULL,
    expires_ms       bigint NOT NULL
);
CREATE INDEX change_ticket_by_guardian ON change_ticket (guardian_id);
CREATE INDEX change_ticket_by_end ON change_ticket (expires_ms);

CREATE TABLE signing_key (
    kid                text COLLATE "C" PRIMARY KEY,
    public_key         bytea NOT NULL,
    sealed_private     bytea NOT NULL,
    key_id             text COLLATE "C" NOT NULL,
    created_ms         bigint NOT NULL,
    signs_from_ms      bigint NOT NULL,
    published_until_ms bigint
);

-- guardian_id refers to no row: the log outlives the account. consecutive_failures, password_closed: after this failure.
CREATE TABLE audit_event (
    id                   text COLLATE "C" PRIMARY KEY,
    at_ms                bigint NOT NULL,
    organization         text COLLATE "C" NOT NULL,
    portal               text COLLATE "C",
    kind                 text COLLATE "C" NOT NULL,
    cause                text COLLATE "C",
    guardian_id          text COLLATE "C",
    session_id           text COLLATE "C",
    reference_code       text COLLATE "C",
    caller               text COLLATE "C" NOT NULL,
    address              text COLLATE "C",
    user_agent           text COLLATE "C" NOT NULL,
    known_device         bigint NOT NULL,
    consecutive_failures bigint,
    password_closed      bigint NOT NULL
);
CREATE INDEX audit_event_by_reference ON audit_event (organization, reference_code) WHERE reference_code IS NOT NULL;
CREATE INDEX audit_event_by_guardian ON audit_event (organization, guardian_id, at_ms) WHERE guardian_id IS NOT NULL;
CREATE INDEX audit_event_by_time ON audit_event (organization, at_ms);
