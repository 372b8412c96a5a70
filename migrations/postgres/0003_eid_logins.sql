-- Logins with an eID: attempts at OpenID providers, BankID orders, evidence, proposals of new numbers.
--
-- The same tables, columns and indexes as in ../sqlite; what differs is told in 0001.

-- A row is deleted when it is taken. sealed: nonce and code verifier.
CREATE TABLE oidc_attempt (
    state_digest   bytea PRIMARY KEY,
    binding_digest bytea NOT NULL,
    organization   text COLLATE "C" NOT NULL,
    portal         text COLLATE "C" NOT NULL,
    provider       text COLLATE "C" NOT NULL,
    sealed         bytea NOT NULL,
    key_id         text COLLATE "C" NOT NULL,
    begun_ms       bigint NOT NULL,
    expires_ms     bigint NOT NULL
);
CREATE INDEX oidc_attempt_by_end ON oidc_attempt (expires_ms);

-- sealed: BankID's references and the QR secret. result: who signed, and the evidence. collector: the process that asks
-- BankID, until lease_ms; one of pending orders only. The indexes by lease and by collector have conditions of different
-- words, so that PostgreSQL cannot take the one for the other and read all of it.
CREATE TABLE bankid_order (
    id             text COLLATE "C" PRIMARY KEY,
    organization   text COLLATE "C" NOT NULL,
    portal         text COLLATE "C" NOT NULL,
    device         text COLLATE "C" NOT NULL,
    binding_digest bytea NOT NULL,
    nonce_digest   bytea,
    sealed         bytea NOT NULL,
    key_id         text COLLATE "C" NOT NULL,
    state          text COLLATE "C" NOT NULL,
    hint           text COLLATE "C",
    fault          text COLLATE "C",
    result         bytea,
    result_key_id  text COLLATE "C",
    address        text COLLATE "C",
    user_agent     text COLLATE "C" NOT NULL,
    begun_ms       bigint NOT NULL,
    started_ms     bigint NOT NULL,
    restarts       bigint NOT NULL,
    expires_ms     bigint NOT NULL,
    collector      text COLLATE "C",
    lease_ms       bigint
);
CREATE INDEX bankid_order_by_lease ON bankid_order (lease_ms) WHERE state = 'pending';
CREATE INDEX bankid_order_by_collector ON bankid_order (collector) WHERE collector IS NOT NULL;
CREATE INDEX bankid_order_by_end ON bankid_order (expires_ms);

-- Signatures of logins, until their retention is over. guardian_id and session_id refer to no row: evidence outlives both.
CREATE TABLE eid_evidence (
    id           text COLLATE "C" PRIMARY KEY,
    organization text COLLATE "C" NOT NULL,
    guardian_id  text COLLATE "C" NOT NULL,
    session_id   text COLLATE "C" NOT NULL,
    sealed       bytea NOT NULL,
    key_id       text COLLATE "C" NOT NULL,
    at_ms        bigint NOT NULL,
    expires_ms   bigint NOT NULL
);
CREATE INDEX eid_evidence_by_guardian ON eid_evidence (organization, guardian_id, at_ms);
CREATE INDEX eid_evidence_by_end ON eid_evidence (expires_ms);

-- New numbers of persons who have an account under the number before. settled_ms: staff have decided.
CREATE TABLE number_proposal (
    id           text COLLATE "C" PRIMARY KEY,
    organization text COLLATE "C" NOT NULL,
    guardian_id  text COLLATE "C" NOT NULL REFERENCES guardian (id),
    scheme       text COLLATE "C" NOT NULL,
    blind_index  bytea NOT NULL,
    sealed       bytea NOT NULL,
    key_id       text COLLATE "C" NOT NULL,
    at_ms        bigint NOT NULL,
    settled_ms   bigint
);
CREATE UNIQUE INDEX number_proposal_open ON number_proposal (organization, guardian_id, blind_index) WHERE settled_ms IS NULL;
