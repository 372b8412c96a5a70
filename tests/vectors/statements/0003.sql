-- Every statement for PostgreSQL of the last version that knew migrations up to 0003, by name. Read by
-- tests/it/store/expanding.rs: they must still mean something on every later schema. Never changed.

-- add_bankid_order
INSERT INTO bankid_order (id, organization, portal, device, binding_digest, nonce_digest, sealed, key_id, state, hint, fault, result, result_key_id, address, user_agent, begun_ms, started_ms, restarts, expires_ms, collector, lease_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- add_change_ticket
INSERT INTO change_ticket (digest, organization, guardian_id, portal, credential_epoch, expires_ms) VALUES ($1, $2, $3, $4, $5, $6);

-- add_eid_evidence
INSERT INTO eid_evidence (id, organization, guardian_id, session_id, sealed, key_id, at_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- add_migration
INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3);

-- add_number_proposal
INSERT INTO number_proposal (id, organization, guardian_id, scheme, blind_index, sealed, key_id, at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (organization, guardian_id, blind_index) WHERE settled_ms IS NULL DO NOTHING;

-- add_oidc_attempt
INSERT INTO oidc_attempt (state_digest, binding_digest, organization, portal, provider, sealed, key_id, begun_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- add_reset_request
INSERT INTO reset_request (id, organization, portal, sealed, key_id, locale, reference_code, caller, address, user_agent, at_ms, due_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11);

-- add_reset_token
INSERT INTO reset_token (digest, message_id, organization, portal, guardian_id, credential_epoch, address_digest, made_ms, expires_ms) SELECT $1, $2, $3, $4, g.id, $6, $7, $8, $9 FROM guardian g WHERE g.id = $5 FOR NO KEY UPDATE;

-- add_session
INSERT INTO session (id, guardian_id, organization, portal, client, method, authenticated_ms, refreshed_ms, idle_expires_ms, absolute_expires_ms, credential_epoch, current_digest, previous_digest, rotation_salt, rotated_ms, user_agent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- add_signing_key
INSERT INTO signing_key (kid, public_key, sealed_private, key_id, created_ms, signs_from_ms, published_until_ms) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- admit_login
WITH held AS (SELECT id FROM guardian WHERE id = $1 AND credential_epoch = $5 AND organization = $6 AND state = 'active' FOR SHARE) UPDATE credential SET failures_unknown = CASE WHEN $3 = 1 THEN 0 ELSE failures_unknown END, failures_known = CASE WHEN $4 = 1 THEN 0 ELSE failures_known END WHERE guardian_id = (SELECT id FROM held) AND portal = $2 AND closed_known_ms IS NULL AND ($3 = 0 OR closed_unknown_ms IS NULL);

-- bump_epoch
UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE id = $1 AND credential_epoch = $2 AND state = 'active';

-- bump_epoch_by_import
UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE id = $1;

-- bump_epoch_by_reset
UPDATE guardian SET credential_epoch = credential_epoch + 1 WHERE id = $1 AND credential_epoch = $2 AND state = 'active' AND COALESCE(email_canonical, '') = $3;

-- cancel_bankid_order
UPDATE bankid_order SET state = 'cancelled', collector = NULL, lease_ms = NULL, result = NULL, result_key_id = NULL WHERE id = $1 AND state IN ('pending', 'complete');

-- check_identifier_in_use
SELECT guardian_id FROM guardian_identifier WHERE organization = $1 AND blind_index = $2 AND guardian_id = $3 AND retired_ms IS NULL;

-- complete_bankid_order
UPDATE bankid_order SET state = 'complete', result = $2, result_key_id = $3, expires_ms = $4, collector = NULL, lease_ms = NULL WHERE id = $1 AND COALESCE(state, '') = 'pending';

-- count_login_failure
UPDATE credential SET failures_unknown = failures_unknown + $3, failures_known = failures_known + $4, closed_unknown_ms = CASE WHEN $3 = 1 AND closed_unknown_ms IS NULL AND failures_unknown + 1 >= $5 THEN $6 ELSE closed_unknown_ms END, closed_known_ms = CASE WHEN $4 = 1 AND closed_known_ms IS NULL AND failures_known + 1 >= $5 THEN $6 ELSE closed_known_ms END WHERE guardian_id = $1 AND portal = $2 RETURNING failures_unknown, failures_known;

-- count_queued_messages
SELECT COUNT(*) AS queued, MIN(created_ms) AS oldest_ms FROM message WHERE channel = $1 AND state = 'queued';

-- drop_change_tickets
DELETE FROM change_ticket WHERE guardian_id = $1;

-- drop_child_link
DELETE FROM child_link WHERE guardian_id = $1 AND child_id = $2 AND source = $3;

-- drop_contract
DELETE FROM contract WHERE guardian_id = $1 AND source = $2;

-- drop_reset_request
DELETE FROM reset_request WHERE id = $1 AND COALESCE(due_ms, 0) = $2;

-- end_sessions
UPDATE session SET ended_ms = $2, end_reason = $3 WHERE guardian_id = $1 AND ended_ms IS NULL AND ($4 = '' OR id = $4) AND id <> $5 RETURNING id, CAST(CASE WHEN idle_expires_ms > $2 AND absolute_expires_ms > $2 THEN 1 ELSE 0 END AS bigint) AS live;

-- fail_bankid_order
UPDATE bankid_order SET state = 'failed', hint = $3, fault = $4, collector = NULL, lease_ms = NULL WHERE id = $1 AND COALESCE(collector, '') = $2 AND COALESCE(state, '') = 'pending';

-- find_account
SELECT g.id, g.state, g.credential_epoch, c.hash, c.must_change, c.expires_ms, c.closed_unknown_ms, c.closed_known_ms, (SELECT string_agg(n.login_name, ' ') FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = $2) AS login_names FROM guardian g LEFT JOIN credential c ON c.guardian_id = g.id AND c.portal = $2 WHERE g.id = $1;

-- find_bankid_order
SELECT id, organization, portal, device, binding_digest, nonce_digest, sealed, key_id, state, hint, fault, result, result_key_id, address, user_agent, begun_ms, started_ms, restarts, expires_ms FROM bankid_order WHERE id = $1;

-- find_eid_accounts
SELECT g.id, g.state, g.credential_epoch, CAST(CASE WHEN EXISTS (SELECT 1 FROM child_link k WHERE k.guardian_id = g.id) OR EXISTS (SELECT 1 FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = 'parent') THEN 1 ELSE 0 END AS bigint) AS at_parent, CAST(CASE WHEN EXISTS (SELECT 1 FROM contract k WHERE k.guardian_id = g.id) OR EXISTS (SELECT 1 FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = 'childminder') THEN 1 ELSE 0 END AS bigint) AS at_childminder, CAST(CASE WHEN EXISTS (SELECT 1 FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = 'staff') THEN 1 ELSE 0 END AS bigint) AS at_staff FROM guardian_identifier i JOIN guardian g ON g.id = i.guardian_id WHERE i.organization = $1 AND i.blind_index = $2 AND i.retired_ms IS NULL;

-- find_login_candidates
SELECT l.portal, g.id, g.state, g.credential_epoch, c.hash, c.must_change, c.expires_ms, c.closed_unknown_ms, c.closed_known_ms, (SELECT string_agg(n.login_name, ' ') FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = l.portal) AS login_names FROM guardian_login l JOIN guardian g ON g.id = l.guardian_id LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal WHERE l.organization = $1 AND l.portal IN ($2, $3) AND l.login_name = $4;

-- find_message_budget
SELECT full_at_ms FROM message_budget WHERE subject = $1;

-- find_migration_table
SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_migration';

-- find_newest_signing_key
SELECT kid FROM signing_key WHERE published_until_ms IS NULL;

-- find_oidc_attempt
SELECT state_digest FROM oidc_attempt WHERE state_digest = $1;

-- find_recipient
SELECT g.email_delivered, g.email_canonical, g.mobile_canonical, g.locale, g.state, g.credential_epoch, CAST(CASE WHEN c.guardian_id IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password FROM guardian g LEFT JOIN credential c ON c.guardian_id = g.id AND c.portal = $2 WHERE g.id = $1;

-- find_reset_candidates_by_email
SELECT DISTINCT l.portal, g.id, g.state, g.email_delivered, g.email_canonical, c.expires_ms, CAST(CASE WHEN c.guardian_id IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password, CAST(0 AS bigint) AS has_national_id, CASE WHEN g.state = 'merged' THEN 1 ELSE 0 END AS is_merged, CASE WHEN l.portal = $2 THEN 0 ELSE 1 END AS is_elsewhere FROM guardian g JOIN guardian_login l ON l.guardian_id = g.id AND l.portal IN ($2, $3) LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal WHERE g.organization = $1 AND g.email_canonical = $4 ORDER BY is_merged, is_elsewhere, g.id LIMIT $5;

-- find_reset_candidates_by_login_name
SELECT l.portal, g.id, g.state, g.email_delivered, g.email_canonical, c.expires_ms, CAST(CASE WHEN c.guardian_id IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password, CAST(CASE WHEN EXISTS (SELECT 1 FROM guardian_identifier i WHERE i.organization = $1 AND i.blind_index = $5 AND i.guardian_id = g.id AND i.retired_ms IS NULL) THEN 1 ELSE 0 END AS bigint) AS has_national_id FROM guardian_login l JOIN guardian g ON g.id = l.guardian_id LEFT JOIN credential c ON c.guardian_id = l.guardian_id AND c.portal = l.portal WHERE l.organization = $1 AND l.portal IN ($2, $3) AND l.login_name = $4;

-- find_reset_token
SELECT t.organization, t.portal, t.credential_epoch AS token_epoch, t.address_digest, t.expires_ms AS token_expires_ms, CAST(CASE WHEN t.ended_ms IS NULL THEN 0 ELSE 1 END AS bigint) AS is_ended, g.email_delivered, g.email_canonical, CAST(CASE WHEN g.mobile_canonical IS NULL THEN 0 ELSE 1 END AS bigint) AS has_mobile, g.id, g.state, g.credential_epoch, c.hash, c.must_change, c.expires_ms, c.closed_unknown_ms, c.closed_known_ms, (SELECT string_agg(n.login_name, ' ') FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = t.portal) AS login_names FROM reset_token t JOIN guardian g ON g.id = t.guardian_id LEFT JOIN credential c ON c.guardian_id = t.guardian_id AND c.portal = t.portal WHERE t.digest = $1;

-- find_session
SELECT s.id, s.guardian_id, s.organization, s.portal, s.client, s.method, s.authenticated_ms, s.refreshed_ms, s.idle_expires_ms, s.absolute_expires_ms, s.credential_epoch, s.current_digest, s.previous_digest, s.rotation_salt, s.rotated_ms, s.ended_ms, s.end_reason, s.user_agent, g.credential_epoch AS account_epoch FROM session s JOIN guardian g ON g.id = s.guardian_id WHERE s.id = $1;

-- find_ticket_holder
SELECT t.organization, t.portal, g.id, g.state, g.credential_epoch, c.hash, c.must_change, c.expires_ms, c.closed_unknown_ms, c.closed_known_ms, (SELECT string_agg(n.login_name, ' ') FROM guardian_login n WHERE n.guardian_id = g.id AND n.portal = t.portal) AS login_names FROM change_ticket t JOIN guardian g ON g.id = t.guardian_id AND g.credential_epoch = t.credential_epoch LEFT JOIN credential c ON c.guardian_id = t.guardian_id AND c.portal = t.portal WHERE t.digest = $1 AND t.expires_ms > $2;

-- find_untold_failures
SELECT e.id, e.organization, e.portal, e.guardian_id, e.consecutive_failures, e.at_ms FROM audit_event e LEFT JOIN message m ON m.idempotency_key = 'failures:' || e.id WHERE e.consecutive_failures IN (50, 100) AND e.at_ms > $1 AND e.guardian_id IS NOT NULL AND m.id IS NULL ORDER BY e.at_ms LIMIT $2;

-- hold_account
SELECT id FROM guardian WHERE id = $1 AND credential_epoch = $2 AND organization = $3 AND state = 'active' FOR SHARE;

-- keep_session
UPDATE session SET credential_epoch = credential_epoch + 1 WHERE id = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND ended_ms IS NULL AND idle_expires_ms > $5 AND absolute_expires_ms > $5;

-- lease_bankid_orders
WITH free AS (SELECT id FROM bankid_order WHERE state = 'pending' AND lease_ms <= $3 ORDER BY begun_ms, id LIMIT $4 FOR UPDATE SKIP LOCKED) UPDATE bankid_order SET collector = $1, lease_ms = $2 WHERE id IN (SELECT id FROM free) RETURNING id, organization, portal, device, binding_digest, nonce_digest, sealed, key_id, state, hint, fault, result, result_key_id, address, user_agent, begun_ms, started_ms, restarts, expires_ms;

-- lease_messages
WITH due AS (SELECT id FROM message WHERE channel = $1 AND state = 'queued' AND due_ms <= $2 AND guardian_id IS NOT NULL ORDER BY due_ms LIMIT $4 FOR UPDATE SKIP LOCKED) UPDATE message SET due_ms = $3 WHERE id IN (SELECT id FROM due) RETURNING id, organization, portal, guardian_id, channel, template, locale, reference_code, attempts, created_ms;

-- lease_reset_requests
WITH due AS (SELECT id FROM reset_request WHERE due_ms <= $1 ORDER BY due_ms LIMIT $3 FOR UPDATE SKIP LOCKED) UPDATE reset_request SET due_ms = $2 WHERE id IN (SELECT id FROM due) RETURNING id, organization, portal, sealed, key_id, locale, reference_code, caller, address, user_agent, at_ms;

-- list_migrations
SELECT number, name, checksum FROM schema_migration ORDER BY number;

-- list_sessions
SELECT s.id, s.guardian_id, s.organization, s.portal, s.client, s.method, s.authenticated_ms, s.refreshed_ms, s.idle_expires_ms, s.absolute_expires_ms, s.credential_epoch, s.current_digest, s.previous_digest, s.rotation_salt, s.rotated_ms, s.ended_ms, s.end_reason, s.user_agent, g.credential_epoch AS account_epoch FROM session s JOIN guardian g ON g.id = s.guardian_id AND g.credential_epoch = s.credential_epoch WHERE s.guardian_id = $1 AND s.portal = $2 AND s.id < $3 AND s.ended_ms IS NULL AND s.idle_expires_ms > $4 AND s.absolute_expires_ms > $4 ORDER BY s.id DESC LIMIT $5;

-- list_signing_keys
SELECT kid, public_key, sealed_private, key_id, created_ms, signs_from_ms, published_until_ms FROM signing_key WHERE published_until_ms IS NULL OR published_until_ms > $1 ORDER BY created_ms, kid;

-- next_hash_parameters
SELECT organization, hash_parameters FROM credential WHERE (organization, hash_parameters) > ($1, $2) ORDER BY organization, hash_parameters LIMIT 1;

-- note_bankid_hint
UPDATE bankid_order SET hint = $3 WHERE id = $1 AND COALESCE(collector, '') = $2 AND COALESCE(state, '') = 'pending';

-- ping
SELECT 1;

-- read_revocations
SELECT position, session_id, at_ms FROM revocation WHERE position > $1 ORDER BY position LIMIT $2;

-- release_bankid_orders
UPDATE bankid_order SET collector = NULL, lease_ms = $2 WHERE collector = $1 AND COALESCE(state, '') = 'pending';

-- release_login_name
DELETE FROM guardian_login WHERE organization = $1 AND portal = $2 AND login_name = $3 AND guardian_id = $4;

-- remove_credential
DELETE FROM credential WHERE guardian_id = $1 AND portal = $2;

-- renew_bankid_leases
UPDATE bankid_order SET lease_ms = $2 WHERE collector = $1 AND COALESCE(state, '') = 'pending' RETURNING id;

-- replace_oldest_reset_tokens
UPDATE reset_token SET ended_ms = $3, end_reason = 'replaced' WHERE digest IN (SELECT digest FROM reset_token WHERE guardian_id = $1 AND portal = $2 AND ended_ms IS NULL AND expires_ms > $3 ORDER BY made_ms DESC, digest DESC LIMIT 1000 OFFSET $4);

-- replace_outdated_hash
UPDATE credential SET hash = $4, hash_parameters = $5 WHERE guardian_id = $1 AND portal = $2 AND hash = $3;

-- reset_password
UPDATE credential SET hash = $3, hash_parameters = $4, origin = 'owner', must_change = 0, expires_ms = NULL, failures_unknown = 0, failures_known = 0, closed_unknown_ms = NULL, closed_known_ms = NULL, set_ms = $5 WHERE guardian_id = $1 AND portal = $2 AND (expires_ms IS NULL OR expires_ms > $5);

-- restart_bankid_order
UPDATE bankid_order SET sealed = $3, key_id = $4, started_ms = $5, restarts = restarts + 1, hint = NULL WHERE id = $1 AND COALESCE(collector, '') = $2 AND COALESCE(state, '') = 'pending';

-- retire_identifier
UPDATE guardian_identifier SET retired_ms = $1 WHERE guardian_id = $2 AND source = $3 AND retired_ms IS NULL;

-- retire_signing_keys
UPDATE signing_key SET published_until_ms = $1 WHERE published_until_ms IS NULL;

-- retry_message
WITH tried AS MATERIALIZED (SELECT id AS tried_id, attempts + CASE WHEN $6 = 2 OR ($6 = 1 AND EXISTS (SELECT 1 FROM message s WHERE s.channel = m.channel AND s.state = 'sent' AND s.settled_ms >= m.tried_ms)) THEN 1 ELSE 0 END AS counted FROM message m WHERE id = $1) UPDATE message SET attempts = tried.counted, error = $4, due_ms = $3, tried_ms = CASE WHEN $6 > 0 THEN $5 ELSE tried_ms END, state = CASE WHEN tried.counted >= $7 THEN 'dead' ELSE 'queued' END, settled_ms = CASE WHEN tried.counted >= $7 THEN $5 ELSE NULL END FROM tried WHERE id = tried.tried_id AND id = $1 AND due_ms = $2 AND COALESCE(state, '') = 'queued' RETURNING state;

-- rotate_refresh_token
UPDATE session SET previous_digest = current_digest, current_digest = $3, rotation_salt = $4, rotated_ms = $5, refreshed_ms = $5, idle_expires_ms = $6 WHERE id = $1 AND current_digest = $2 AND ended_ms IS NULL AND idle_expires_ms > $5 AND absolute_expires_ms > $5 AND credential_epoch = (SELECT g.credential_epoch FROM guardian g WHERE g.id = session.guardian_id) RETURNING id, guardian_id, organization, portal, client, method, authenticated_ms, refreshed_ms, idle_expires_ms, absolute_expires_ms, credential_epoch, current_digest, previous_digest, rotation_salt, rotated_ms, ended_ms, end_reason, user_agent, credential_epoch AS account_epoch;

-- set_password
UPDATE credential SET hash = $4, hash_parameters = $5, origin = 'owner', must_change = 0, expires_ms = NULL, failures_unknown = 0, failures_known = 0, closed_unknown_ms = NULL, closed_known_ms = NULL, set_ms = $6 WHERE guardian_id = $1 AND portal = $2 AND hash = $3;

-- settle_message
UPDATE message SET state = $3, error = $4, settled_ms = $5 WHERE id = $1 AND due_ms = $2 AND COALESCE(state, '') = 'queued' RETURNING state;

-- supersede_reset_tokens
UPDATE reset_token SET ended_ms = $2, end_reason = 'superseded' WHERE guardian_id = $1 AND ended_ms IS NULL AND expires_ms > $2;

-- sweep_bankid_orders
DELETE FROM bankid_order WHERE id IN (SELECT id FROM bankid_order WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2);

-- sweep_change_tickets
DELETE FROM change_ticket WHERE digest IN (SELECT digest FROM change_ticket WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2);

-- sweep_eid_evidence
DELETE FROM eid_evidence WHERE id IN (SELECT id FROM eid_evidence WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2);

-- sweep_message_budgets
WITH old AS (SELECT subject FROM message_budget WHERE full_at_ms < $1 ORDER BY full_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED) DELETE FROM message_budget WHERE subject IN (SELECT subject FROM old);

-- sweep_messages
DELETE FROM message WHERE id IN (SELECT id FROM message WHERE settled_ms < $1 ORDER BY settled_ms LIMIT $2);

-- sweep_oidc_attempts
DELETE FROM oidc_attempt WHERE state_digest IN (SELECT state_digest FROM oidc_attempt WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2);

-- sweep_reset_tokens
DELETE FROM reset_token WHERE digest IN (SELECT digest FROM reset_token WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2);

-- sweep_revocations
DELETE FROM revocation WHERE position IN (SELECT position FROM revocation WHERE at_ms < $1 ORDER BY at_ms LIMIT $2);

-- sweep_sessions
DELETE FROM session WHERE id IN (SELECT id FROM session WHERE absolute_expires_ms < $1 ORDER BY absolute_expires_ms LIMIT $2);

-- take_message_budget
INSERT INTO message_budget (subject, full_at_ms) VALUES ($1, $2 + $3) ON CONFLICT (subject) DO UPDATE SET full_at_ms = CASE WHEN message_budget.full_at_ms > $2 THEN message_budget.full_at_ms ELSE $2 END + $3 WHERE message_budget.full_at_ms - $2 <= $4;

-- take_named_lock
INSERT INTO named_lock (name, taken_ms) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET taken_ms = excluded.taken_ms;

-- take_oidc_attempt
DELETE FROM oidc_attempt WHERE state_digest = $1 AND binding_digest = $2 RETURNING state_digest, binding_digest, organization, portal, provider, sealed, key_id, begun_ms, expires_ms;

-- use_bankid_order
UPDATE bankid_order SET state = 'used', result = NULL, result_key_id = NULL WHERE id = $1 AND state = 'complete' AND expires_ms > $2;

-- use_change_ticket
DELETE FROM change_ticket WHERE digest = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND expires_ms > $5;

-- use_reset_token
UPDATE reset_token SET ended_ms = $5, end_reason = 'used' WHERE digest = $1 AND guardian_id = $2 AND portal = $3 AND credential_epoch = $4 AND ended_ms IS NULL AND expires_ms > $5;

-- withdraw_reset_token
UPDATE reset_token SET ended_ms = $2, end_reason = 'withdrawn' WHERE digest = $1 AND ended_ms IS NULL;
