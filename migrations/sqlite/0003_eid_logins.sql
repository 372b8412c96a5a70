-- Logins with an eID: attempts at OpenID providers, BankID orders, evidence, proposals of new numbers.
--
-- The same tables, columns and indexes as in ../postgres; what differs is told in 0001.

-- A row is deleted when it is taken. sealed: nonce and code verifier.
CREATE TABLE oidc_attempt (
    state_digest   BLOB PRIMARY KEY,
    binding_digest BLOB NOT NULL,
    organization   TEXT NOT NULL,
    portal         TEXT NOT NULL,
    provider       TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    key_id         TEXT NOT NULL,
    begun_ms       INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_attempt_by_end ON oidc_attempt (expires_ms);

-- sealed: BankID's references and the QR secret. result: who signed, and the evidence. collector: the process that asks
-- BankID, until lease_ms; one of pending orders only. The indexes by lease and by collector have conditions of different
-- words, so that PostgreSQL cannot take the one for the other and read all of it.
CREATE TABLE bankid_order (
    id             TEXT PRIMARY KEY,
    organization   TEXT NOT NULL,
    portal         TEXT NOT NULL,
    device         TEXT NOT NULL,
    binding_digest BLOB NOT NULL,
    nonce_digest   BLOB,
    sealed         BLOB NOT NULL,
    key_id         TEXT NOT NULL,
    state          TEXT NOT NULL,
    hint           TEXT,
    fault          TEXT,
    result         BLOB,
    result_key_id  TEXT,
    address        TEXT,
    user_agent     TEXT NOT NULL,
    begun_ms       INTEGER NOT NULL,
    started_ms     INTEGER NOT NULL,
    restarts       INTEGER NOT NULL,
    expires_ms     INTEGER NOT NULL,
    collector      TEXT,
    lease_ms       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX bankid_order_by_lease ON bankid_order (lease_ms) WHERE state = 'pending';
CREATE INDEX bankid_order_by_collector ON bankid_order (collector) WHERE collector IS NOT NULL;
CREATE INDEX bankid_order_by_end ON bankid_order (expires_ms);

-- Signatures of logins, until their retention is over. guardian_id and session_id refer to no row: evidence outlives both.
CREATE TABLE eid_evidence (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    guardian_id  TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    sealed       BLOB NOT NULL,
    key_id       TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX eid_evidence_by_guardian ON eid_evidence (organization, guardian_id, at_ms);
CREATE INDEX eid_evidence_by_end ON eid_evidence (expires_ms);

-- New numbers of persons who have an account under the number before. settled_ms: staff have decided.
CREATE TABLE number_proposal (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    guardian_id  TEXT NOT NULL REFERENCES guardian (id),
    scheme       TEXT NOT NULL,
    blind_index  BLOB NOT NULL,
    sealed       BLOB NOT NULL,
    key_id       TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    settled_ms   INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX number_proposal_open ON number_proposal (organization, guardian_id, blind_index) WHERE settled_ms IS NULL;
