-- Staff, credentials that they issue, names to search by, merges, and the chain of the audit log.
--
-- The same tables, columns and indexes as in ../sqlite; what differs is told in 0001.

-- Accounts of staff are accounts like a guardian's: kind is 'guardian' or 'staff'. names_folded: the version of folding
-- that name_part was made with; 0: not yet. merged_into: the account that has everything now.
ALTER TABLE guardian ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'guardian';
ALTER TABLE guardian ADD COLUMN names_folded bigint NOT NULL DEFAULT 0;
ALTER TABLE guardian ADD COLUMN merged_into text COLLATE "C";
ALTER TABLE child ADD COLUMN names_folded bigint NOT NULL DEFAULT 0;
ALTER TABLE child ADD COLUMN merged_into text COLLATE "C";
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
ALTER TABLE child_link ADD COLUMN confirmed_staff_id text COLLATE "C";
ALTER TABLE child_link ADD COLUMN confirmed_how text COLLATE "C";
ALTER TABLE contract ADD COLUMN confirmed_staff_id text COLLATE "C";
ALTER TABLE contract ADD COLUMN confirmed_how text COLLATE "C";

-- Links that staff removed: no import brings them back.
CREATE TABLE removed_child_link (
    guardian_id text COLLATE "C" NOT NULL REFERENCES guardian (id),
    child_id    text COLLATE "C" NOT NULL REFERENCES child (id),
    staff_id    text COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL,
    PRIMARY KEY (guardian_id, child_id)
);
CREATE INDEX removed_child_link_by_child ON removed_child_link (child_id);

-- Guardians whose contract staff removed: no import brings it back.
CREATE TABLE removed_contract (
    guardian_id text COLLATE "C" PRIMARY KEY REFERENCES guardian (id),
    staff_id    text COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL
);

-- rests_on: 'source' (imported), 'staff' (issued), 'invitation' (of staff): what must be there for the password to stay.
ALTER TABLE credential ADD COLUMN rests_on text COLLATE "C" NOT NULL DEFAULT 'source';

-- Passwords that staff took away: no import brings one back.
CREATE TABLE revoked_password (
    guardian_id text COLLATE "C" NOT NULL REFERENCES guardian (id),
    portal      text COLLATE "C" NOT NULL,
    staff_id    text COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL,
    PRIMARY KEY (guardian_id, portal)
);

-- scope: 'organization', or 'schools' with rows in staff_school. revision: changes with role, scope and state.
CREATE TABLE staff_member (
    id             text COLLATE "C" PRIMARY KEY REFERENCES guardian (id),
    organization   text COLLATE "C" NOT NULL,
    role           text COLLATE "C" NOT NULL,
    scope          text COLLATE "C" NOT NULL,
    state          text COLLATE "C" NOT NULL,
    revision       bigint NOT NULL,
    invited_by     text COLLATE "C",
    invited_ms     bigint NOT NULL,
    deactivated_ms bigint
);
CREATE INDEX staff_member_by_organization ON staff_member (organization, id);

CREATE TABLE staff_school (
    staff_id  text COLLATE "C" NOT NULL REFERENCES staff_member (id),
    school_id text COLLATE "C" NOT NULL REFERENCES school (id),
    PRIMARY KEY (staff_id, school_id)
);
CREATE INDEX staff_school_by_school ON staff_school (school_id, staff_id);

-- The right to choose a password, once. delivery: sheet, sms, email or printed. code_hash: of a code that is typed with
-- the user name; token_digest: of a token in a link. One of an account at a portal is live (ended_ms is NULL).
CREATE TABLE activation (
    id               text COLLATE "C" PRIMARY KEY,
    organization     text COLLATE "C" NOT NULL,
    portal           text COLLATE "C" NOT NULL,
    guardian_id      text COLLATE "C" NOT NULL REFERENCES guardian (id),
    rests_on         text COLLATE "C" NOT NULL,
    delivery         text COLLATE "C" NOT NULL,
    code_hash        text COLLATE "C",
    token_digest     bytea,
    credential_epoch bigint NOT NULL,
    failures         bigint NOT NULL,
    issued_by        text COLLATE "C",
    issued_ms        bigint NOT NULL,
    expires_ms       bigint NOT NULL,
    ended_ms         bigint,
    end_reason       text COLLATE "C"
);
CREATE UNIQUE INDEX activation_live ON activation (guardian_id, portal) WHERE ended_ms IS NULL;
CREATE UNIQUE INDEX activation_by_token ON activation (token_digest) WHERE token_digest IS NOT NULL;
CREATE INDEX activation_by_guardian ON activation (guardian_id, portal, id);
CREATE INDEX activation_by_issuer ON activation (issued_by, issued_ms);
CREATE INDEX activation_by_organization ON activation (organization, id);
CREATE INDEX activation_by_end ON activation (expires_ms);

-- day: whole days since 1970-01-01 UTC. Who issues many credentials on a day waits for another administrator.
CREATE TABLE issuing_approval (
    staff_id    text COLLATE "C" NOT NULL,
    day         bigint NOT NULL,
    approved_by text COLLATE "C" NOT NULL,
    at_ms       bigint NOT NULL,
    PRIMARY KEY (staff_id, day)
);

-- Requests of staff that were carried out, by the id that the caller gave; digest: keyed, of the whole request.
CREATE TABLE staff_request (
    staff_id   text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    digest     bytea NOT NULL,
    result_id  text COLLATE "C",
    at_ms      bigint NOT NULL,
    PRIMARY KEY (staff_id, request_id)
);
CREATE INDEX staff_request_by_time ON staff_request (at_ms);

-- Parts of names, folded, for search by prefix. kind: 'guardian' or 'child'; of two parts in their order, with a space
-- between, 'guardian_pair' or 'child_pair'.
CREATE TABLE name_part (
    organization text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    part         text COLLATE "C" NOT NULL,
    person_id    text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, kind, part, person_id)
);
CREATE INDEX name_part_by_person ON name_part (person_id, part);

-- kind: 'guardian' or 'child'. sealed: what was moved, so that it can be moved back until undo_until_ms.
CREATE TABLE merge (
    id            text COLLATE "C" PRIMARY KEY,
    organization  text COLLATE "C" NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    kept_id       text COLLATE "C" NOT NULL,
    absorbed_id   text COLLATE "C" NOT NULL,
    staff_id      text COLLATE "C" NOT NULL,
    at_ms         bigint NOT NULL,
    undo_until_ms bigint NOT NULL,
    undone_ms     bigint,
    sealed        bytea NOT NULL,
    key_id        text COLLATE "C" NOT NULL
);
CREATE INDEX merge_by_kept ON merge (kept_id);
CREATE INDEX merge_by_absorbed ON merge (absorbed_id);
CREATE INDEX merge_by_end ON merge (undo_until_ms);

-- What one process does for all, until until_ms.
CREATE TABLE work_lease (
    name     text COLLATE "C" PRIMARY KEY,
    holder   text COLLATE "C" NOT NULL,
    until_ms bigint NOT NULL
);

-- staff_id: who did it. detail: a short code that depends on the kind; nothing personal.
ALTER TABLE audit_event ADD COLUMN staff_id text COLLATE "C";
ALTER TABLE audit_event ADD COLUMN child_id text COLLATE "C";
ALTER TABLE audit_event ADD COLUMN detail text COLLATE "C";
CREATE INDEX audit_event_by_staff ON audit_event (organization, staff_id, at_ms) WHERE staff_id IS NOT NULL;

-- The chain: each row's digest is made of the one before and of its event. One chain an organization.
CREATE TABLE audit_link (
    organization text COLLATE "C" NOT NULL,
    position     bigint NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL,
    PRIMARY KEY (organization, position)
);
CREATE UNIQUE INDEX audit_link_by_event ON audit_link (event_id);

-- The signed end of each chain.
CREATE TABLE audit_head (
    organization text COLLATE "C" PRIMARY KEY,
    position     bigint NOT NULL,
    digest       bytea NOT NULL,
    at_ms        bigint NOT NULL,
    signature    bytea NOT NULL,
    key_id       text COLLATE "C" NOT NULL
);

-- Events and links are added, never changed or taken away, and a head is not taken away: not by a defect of ours, nor by who
-- has a login that owns no table (docs/audit-log.md).
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$;
CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_link
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_head_not_deleted BEFORE DELETE OR TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
