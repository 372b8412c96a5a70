-- Requests for reset links, the tokens of links, and the outbox of messages to guardians.
--
-- The same tables, columns and indexes as in ../postgres; what differs is told in 0001.

-- What a person typed waits here, sealed, until a worker has looked at it; then the row is gone.
-- due_ms: when a worker may take it; one that takes it moves this to the end of its lease.
CREATE TABLE reset_request (
    id             TEXT PRIMARY KEY,
    organization   TEXT NOT NULL,
    portal         TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    key_id         TEXT NOT NULL,
    locale         TEXT,
    reference_code TEXT NOT NULL,
    caller         TEXT NOT NULL,
    address        TEXT,
    user_agent     TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    due_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reset_request_due ON reset_request (due_ms);

-- guardian_id refers to no row: requests that found nobody write the same row about nobody.
-- state: queued, sent, failed, dead, void (there was nothing to send). due_ms: as above.
-- tried_ms: when the last try failed, or the row was made: a try counts if another message got through since.
CREATE TABLE message (
    id              TEXT PRIMARY KEY,
    organization    TEXT NOT NULL,
    portal          TEXT NOT NULL,
    guardian_id     TEXT,
    channel         TEXT NOT NULL,
    template        TEXT NOT NULL,
    locale          TEXT,
    reference_code  TEXT,
    idempotency_key TEXT NOT NULL,
    state           TEXT NOT NULL,
    attempts        INTEGER NOT NULL,
    error           TEXT,
    created_ms      INTEGER NOT NULL,
    due_ms          INTEGER NOT NULL,
    tried_ms        INTEGER NOT NULL,
    settled_ms      INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX message_by_idempotency_key ON message (idempotency_key);
CREATE INDEX message_due ON message (channel, due_ms) WHERE state = 'queued';
CREATE INDEX message_sent ON message (channel, settled_ms) WHERE state = 'sent';
CREATE INDEX message_by_guardian ON message (guardian_id, created_ms) WHERE guardian_id IS NOT NULL;
CREATE INDEX message_by_end ON message (settled_ms) WHERE settled_ms IS NOT NULL;

-- Digests of the tokens in links. ended_ms, end_reason: used, replaced by newer ones, or withdrawn with its mail.
CREATE TABLE reset_token (
    digest           BLOB PRIMARY KEY,
    message_id       TEXT NOT NULL,
    organization     TEXT NOT NULL,
    portal           TEXT NOT NULL,
    guardian_id      TEXT NOT NULL REFERENCES guardian (id),
    credential_epoch INTEGER NOT NULL,
    address_digest   BLOB NOT NULL,
    made_ms          INTEGER NOT NULL,
    expires_ms       INTEGER NOT NULL,
    ended_ms         INTEGER,
    end_reason       TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX reset_token_by_guardian ON reset_token (guardian_id, made_ms);
CREATE INDEX reset_token_by_end ON reset_token (expires_ms);

-- Budgets of messages as one point in time each (GCRA): until when the budget is spent.
CREATE TABLE message_budget (
    subject    TEXT PRIMARY KEY,
    full_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX message_budget_by_time ON message_budget (full_at_ms);

CREATE INDEX guardian_by_email ON guardian (organization, email_canonical) WHERE email_canonical IS NOT NULL;

-- The events that guardians are told of: the literals are those of the query.
CREATE INDEX audit_event_to_notice ON audit_event (at_ms) WHERE consecutive_failures IN (50, 100);
