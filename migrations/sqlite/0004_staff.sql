-- Staff, credentials that they issue, names to search by, merges, and the chain of the audit log.
--
-- The same tables, columns and indexes as in ../postgres; what differs is told there in 0001.

-- Accounts of staff are accounts like a guardian's: kind is 'guardian' or 'staff'. names_folded: the version of folding
-- that name_part was made with; 0: not yet. merged_into: the account that has everything now.
ALTER TABLE guardian ADD COLUMN kind TEXT NOT NULL DEFAULT 'guardian';
ALTER TABLE guardian ADD COLUMN names_folded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE guardian ADD COLUMN merged_into TEXT;
ALTER TABLE child ADD COLUMN names_folded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE child ADD COLUMN merged_into TEXT;
CREATE INDEX guardian_to_fold ON guardian (id) WHERE names_folded = 0;
CREATE INDEX child_to_fold ON child (id) WHERE names_folded = 0;
CREATE INDEX guardian_by_merged_into ON guardian (merged_into) WHERE merged_into IS NOT NULL;
-- Walks through an organization, a page at a time, in search of duplicates. The conditions are words of those statements
-- alone, so that PostgreSQL cannot take the indexes for those by source key or address and read the whole organization.
CREATE INDEX guardian_by_organization ON guardian (organization, id) WHERE kind = 'guardian' AND merged_into IS NULL;
CREATE INDEX child_by_organization ON child (organization, id) WHERE merged_into IS NULL AND names_folded >= 0;
CREATE INDEX guardian_by_mobile ON guardian (organization, mobile_canonical) WHERE mobile_canonical IS NOT NULL;
CREATE INDEX number_proposal_by_guardian ON number_proposal (guardian_id);

-- Rows of staff have 'staff' as source, beside those of the sources. confirmed_how: by what staff were convinced.
ALTER TABLE child_link ADD COLUMN confirmed_staff_id TEXT;
ALTER TABLE child_link ADD COLUMN confirmed_how TEXT;
ALTER TABLE contract ADD COLUMN confirmed_staff_id TEXT;
ALTER TABLE contract ADD COLUMN confirmed_how TEXT;

-- Links that staff removed: no import brings them back.
CREATE TABLE removed_child_link (
    guardian_id TEXT NOT NULL REFERENCES guardian (id),
    child_id    TEXT NOT NULL REFERENCES child (id),
    staff_id    TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (guardian_id, child_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_child_link_by_child ON removed_child_link (child_id);

-- Guardians whose contract staff removed: no import brings it back.
CREATE TABLE removed_contract (
    guardian_id TEXT NOT NULL PRIMARY KEY REFERENCES guardian (id),
    staff_id    TEXT NOT NULL,
    at_ms       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- rests_on: 'source' (imported), 'staff' (issued), 'invitation' (of staff): what must be there for the password to stay.
ALTER TABLE credential ADD COLUMN rests_on TEXT NOT NULL DEFAULT 'source';

-- Passwords that staff took away: no import brings one back.
CREATE TABLE revoked_password (
    guardian_id TEXT NOT NULL REFERENCES guardian (id),
    portal      TEXT NOT NULL,
    staff_id    TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (guardian_id, portal)
) STRICT, WITHOUT ROWID;

-- scope: 'organization', or 'schools' with rows in staff_school. revision: changes with role, scope and state.
CREATE TABLE staff_member (
    id             TEXT PRIMARY KEY REFERENCES guardian (id),
    organization   TEXT NOT NULL,
    role           TEXT NOT NULL,
    scope          TEXT NOT NULL,
    state          TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    invited_by     TEXT,
    invited_ms     INTEGER NOT NULL,
    deactivated_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_member_by_organization ON staff_member (organization, id);

CREATE TABLE staff_school (
    staff_id  TEXT NOT NULL REFERENCES staff_member (id),
    school_id TEXT NOT NULL REFERENCES school (id),
    PRIMARY KEY (staff_id, school_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_school_by_school ON staff_school (school_id, staff_id);

-- The right to choose a password, once. delivery: sheet, sms, email or printed. code_hash: of a code that is typed with
-- the user name; token_digest: of a token in a link. One of an account at a portal is live (ended_ms is NULL).
CREATE TABLE activation (
    id               TEXT PRIMARY KEY,
    organization     TEXT NOT NULL,
    portal           TEXT NOT NULL,
    guardian_id      TEXT NOT NULL REFERENCES guardian (id),
    rests_on         TEXT NOT NULL,
    delivery         TEXT NOT NULL,
    code_hash        TEXT,
    token_digest     BLOB,
    credential_epoch INTEGER NOT NULL,
    failures         INTEGER NOT NULL,
    issued_by        TEXT,
    issued_ms        INTEGER NOT NULL,
    expires_ms       INTEGER NOT NULL,
    ended_ms         INTEGER,
    end_reason       TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX activation_live ON activation (guardian_id, portal) WHERE ended_ms IS NULL;
CREATE UNIQUE INDEX activation_by_token ON activation (token_digest) WHERE token_digest IS NOT NULL;
CREATE INDEX activation_by_guardian ON activation (guardian_id, portal, id);
CREATE INDEX activation_by_issuer ON activation (issued_by, issued_ms);
CREATE INDEX activation_by_organization ON activation (organization, id);
CREATE INDEX activation_by_end ON activation (expires_ms);

-- day: whole days since 1970-01-01 UTC. Who issues many credentials on a day waits for another administrator.
CREATE TABLE issuing_approval (
    staff_id    TEXT NOT NULL,
    day         INTEGER NOT NULL,
    approved_by TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    PRIMARY KEY (staff_id, day)
) STRICT, WITHOUT ROWID;

-- Requests of staff that were carried out, by the id that the caller gave; digest: keyed, of the whole request.
CREATE TABLE staff_request (
    staff_id   TEXT NOT NULL,
    request_id TEXT NOT NULL,
    digest     BLOB NOT NULL,
    result_id  TEXT,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (staff_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_request_by_time ON staff_request (at_ms);

-- Parts of names, folded, for search by prefix. kind: 'guardian' or 'child'; of two parts in their order, with a space
-- between, 'guardian_pair' or 'child_pair'.
CREATE TABLE name_part (
    organization TEXT NOT NULL,
    kind         TEXT NOT NULL,
    part         TEXT NOT NULL,
    person_id    TEXT NOT NULL,
    PRIMARY KEY (organization, kind, part, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_part_by_person ON name_part (person_id, part);

-- kind: 'guardian' or 'child'. sealed: what was moved, so that it can be moved back until undo_until_ms.
CREATE TABLE merge (
    id            TEXT PRIMARY KEY,
    organization  TEXT NOT NULL,
    kind          TEXT NOT NULL,
    kept_id       TEXT NOT NULL,
    absorbed_id   TEXT NOT NULL,
    staff_id      TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    undo_until_ms INTEGER NOT NULL,
    undone_ms     INTEGER,
    sealed        BLOB NOT NULL,
    key_id        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX merge_by_kept ON merge (kept_id);
CREATE INDEX merge_by_absorbed ON merge (absorbed_id);
CREATE INDEX merge_by_end ON merge (undo_until_ms);

-- What one process does for all, until until_ms.
CREATE TABLE work_lease (
    name     TEXT PRIMARY KEY,
    holder   TEXT NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- staff_id: who did it. detail: a short code that depends on the kind; nothing personal.
ALTER TABLE audit_event ADD COLUMN staff_id TEXT;
ALTER TABLE audit_event ADD COLUMN child_id TEXT;
ALTER TABLE audit_event ADD COLUMN detail TEXT;
CREATE INDEX audit_event_by_staff ON audit_event (organization, staff_id, at_ms) WHERE staff_id IS NOT NULL;

-- The chain: each row's digest is made of the one before and of its event. One chain an organization.
CREATE TABLE audit_link (
    organization TEXT NOT NULL,
    position     INTEGER NOT NULL,
    event_id     TEXT NOT NULL,
    digest       BLOB NOT NULL,
    PRIMARY KEY (organization, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX audit_link_by_event ON audit_link (event_id);

-- The signed end of each chain.
CREATE TABLE audit_head (
    organization TEXT PRIMARY KEY,
    position     INTEGER NOT NULL,
    digest       BLOB NOT NULL,
    at_ms        INTEGER NOT NULL,
    signature    BLOB NOT NULL,
    key_id       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events and links are added, never changed or taken away, and a head is not taken away: not by a defect of ours. INSERT OR
-- REPLACE takes a row away without asking the triggers of DELETE: the triggers of INSERT stand for them.
CREATE TRIGGER audit_event_never_changed BEFORE UPDATE ON audit_event
BEGIN SELECT RAISE(ABORT, 'rows of audit_event are never changed'); END;
CREATE TRIGGER audit_event_never_deleted BEFORE DELETE ON audit_event
BEGIN SELECT RAISE(ABORT, 'rows of audit_event are never changed'); END;
CREATE TRIGGER audit_event_never_replaced BEFORE INSERT ON audit_event
WHEN EXISTS (SELECT 1 FROM audit_event WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'rows of audit_event are never changed'); END;
CREATE TRIGGER audit_link_never_changed BEFORE UPDATE ON audit_link
BEGIN SELECT RAISE(ABORT, 'rows of audit_link are never changed'); END;
CREATE TRIGGER audit_link_never_deleted BEFORE DELETE ON audit_link
BEGIN SELECT RAISE(ABORT, 'rows of audit_link are never changed'); END;
CREATE TRIGGER audit_link_never_replaced BEFORE INSERT ON audit_link
WHEN EXISTS (SELECT 1 FROM audit_link WHERE organization = NEW.organization AND position = NEW.position)
    OR EXISTS (SELECT 1 FROM audit_link WHERE event_id = NEW.event_id)
BEGIN SELECT RAISE(ABORT, 'rows of audit_link are never changed'); END;
CREATE TRIGGER audit_head_never_deleted BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'rows of audit_head are never deleted'); END;
