-- Requests for reset links, the tokens of links, and the outbox of messages to guardians.
--
-- The same tables, columns and indexes as in ../sqlite; what differs is told in 0001.

-- What a person typed waits here, sealed, until a worker has looked at it; then the row is gone.
-- due_ms: when a worker may take it; one that takes it moves this to the end of its lease.
CREATE TABLE reset_request (
    id             text COLLATE "C" PRIMARY KEY,
    organization   text COLLATE "C" NOT NULL,
    portal         text COLLATE "C" NOT NULL,
    sealed         bytea NOT NULL,
    key_id         text COLLATE "C" NOT NULL,
    locale         text COLLATE "C",
    reference_code text COLLATE "C" NOT NULL,
    caller         text COLLATE "C" NOT NULL,
    address        text COLLATE "C",
    user_agent     text COLLATE "C" NOT NULL,
    at_ms          bigint NOT NULL,
    due_ms         bigint NOT NULL
);
CREATE INDEX reset_request_due ON reset_request (due_ms);

-- guardian_id refers to no row: requests that found nobody write the same row about nobody.
-- state: queued, sent, failed, dead, void (there was nothing to send). due_ms: as above.
-- tried_ms: when the last try failed, or the row was made: a try counts if another message got through since.
CREATE TABLE message (
    id              text COLLATE "C" PRIMARY KEY,
    organization    text COLLATE "C" NOT NULL,
    portal          text COLLATE "C" NOT NULL,
    guardian_id     text COLLATE "C",
    channel         text COLLATE "C" NOT NULL,
    template        text COLLATE "C" NOT NULL,
    locale          text COLLATE "C",
    reference_code  text COLLATE "C",
    idempotency_key text COLLATE "C" NOT NULL,
    state           text COLLATE "C" NOT NULL,
    attempts        bigint NOT NULL,
    error           text COLLATE "C",
    created_ms      bigint NOT NULL,
    due_ms          bigint NOT NULL,
    tried_ms        bigint NOT NULL,
    settled_ms      bigint
);
CREATE UNIQUE INDEX message_by_idempotency_key ON message (idempotency_key);
CREATE INDEX message_due ON message (channel, due_ms) WHERE state = 'queued';
CREATE INDEX message_sent ON message (channel, settled_ms) WHERE state = 'sent';
CREATE INDEX message_by_guardian ON message (guardian_id, created_ms) WHERE guardian_id IS NOT NULL;
CREATE INDEX message_by_end ON message (settled_ms) WHERE settled_ms IS NOT NULL;

-- Digests of the tokens in links. ended_ms, end_reason: used, replaced by newer ones, or withdrawn with its mail.
CREATE TABLE reset_token (
    digest           bytea PRIMARY KEY,
    message_id       text COLLATE "C" NOT NULL,
    organization     text COLLATE "C" NOT NULL,
    portal           text COLLATE "C" NOT NULL,
    guardian_id      text COLLATE "C" NOT NULL REFERENCES guardian (id),
    credential_epoch bigint NOT NULL,
    address_digest   bytea NOT NULL,
    made_ms          bigint NOT NULL,
    expires_ms       bigint NOT NULL,
    ended_ms         bigint,
    end_reason       text COLLATE "C"
);
CREATE INDEX reset_token_by_guardian ON reset_token (guardian_id, made_ms);
CREATE INDEX reset_token_by_end ON reset_token (expires_ms);

-- Budgets of messages as one point in time each (GCRA): until when the budget is spent.
CREATE TABLE message_budget (
    subject    text COLLATE "C" PRIMARY KEY,
    full_at_ms bigint NOT NULL
);
CREATE INDEX message_budget_by_time ON message_budget (full_at_ms);

CREATE INDEX guardian_by_email ON guardian (organization, email_canonical) WHERE email_canonical IS NOT NULL;

-- The events that guardians are told of: the literals are those of the query.
CREATE INDEX audit_event_to_notice ON audit_event (at_ms) WHERE consecutive_failures IN (50, 100);
