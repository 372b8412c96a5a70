//! The outbox: messages wait in it, are taken by one worker at a time, and stay with what became of them.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::fallback_credential::activation_of_key;
use crate::domain::id::{AuditEventId, GuardianId, MessageId};
use crate::domain::message::{Channel, MOST_ATTEMPTS, MessageState, NewMessage, Template};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    LeasedMessage, MessageBudget, OutboxLevel, OutboxStore, Recipient, Settlement, TryCounts, TryOutcome,
    UntoldFailures,
};

use super::bind::{bind, push};
use super::bulk::Insert;
use super::dialect::PerDialect;
use super::row::{Columns, account_state, corrupt, locale, mobile, readable};
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit, message_budget, reset_tokens};

const ADD: Insert = Insert {
    name: "add_message",
    head: "INSERT INTO message (id, organization, portal, guardian_id, channel, template, locale, reference_code, \
           idempotency_key, state, attempts, created_ms, due_ms, tried_ms, settled_ms)",
    columns: 15,
    tail: "ON CONFLICT (idempotency_key) DO NOTHING",
};

/// Stands for the template of a message that says nothing.
const NO_TEMPLATE: &str = "none";

macro_rules! lease_text {
    ($lock:literal) => {
        concat!(
            "WITH due AS (SELECT id FROM message \
                 WHERE channel = $1 AND state = 'queued' AND due_ms <= $2 AND guardian_id IS NOT NULL \
                 ORDER BY due_ms LIMIT $4 ",
            $lock,
            ") UPDATE message SET due_ms = $3 WHERE id IN (SELECT id FROM due) \
             RETURNING id, organization, portal, guardian_id, channel, template, locale, reference_code, \
                 idempotency_key, attempts, created_ms"
        )
    };
}

/// PostgreSQL: workers that ask at once pass over each other's rows instead of waiting for them. SQLite: the statement
/// excludes other writers.
const LEASE: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("lease_messages", lease_text!("")),
    postgres: Statement::new("lease_messages", lease_text!("FOR UPDATE SKIP LOCKED")),
};

const RECIPIENT: Statement = Statement::new(
    "find_recipient",
    "SELECT g.email_delivered, g.email_canonical, g.mobile_canonical, g.locale, g.state, g.credential_epoch, \
         CAST(CASE WHEN c.guardian_id IS NULL THEN 0 ELSE 1 END AS bigint) AS has_password \
     FROM guardian g LEFT JOIN credential c ON c.guardian_id = g.id AND c.portal = $2 WHERE g.id = $1",
);

/// The last word on a message: sent, failed or dead. `COALESCE` keeps PostgreSQL from the index of what is queued: it is
/// small most of the time, and then PostgreSQL would rather read the whole of it than look one row up.
const SETTLE: Statement = Statement::new(
    "settle_message",
    "UPDATE message SET state = $3, error = $4, settled_ms = $5 \
     WHERE id = $1 AND due_ms = $2 AND COALESCE(state, '') = 'queued' RETURNING state",
);

/// To be tried again, or dead if this was the last try that counts. `COALESCE`: as above. `MATERIALIZED`: asked once, not
/// for each column.
const RETRY: Statement = Statement::new(
    "retry_message",
    "WITH tried AS MATERIALIZED (SELECT id AS tried_id, attempts + CASE WHEN $6 = 2 OR ($6 = 1 AND EXISTS \
             (SELECT 1 FROM message s WHERE s.channel = m.channel AND s.state = 'sent' AND s.settled_ms >= m.tried_ms)) \
             THEN 1 ELSE 0 END AS counted \
         FROM message m WHERE id = $1) \
     UPDATE message SET attempts = tried.counted, error = $4, due_ms = $3, \
         tried_ms = CASE WHEN $6 > 0 THEN $5 ELSE tried_ms END, \
         state = CASE WHEN tried.counted >= $7 THEN 'dead' ELSE 'queued' END, \
         settled_ms = CASE WHEN tried.counted >= $7 THEN $5 ELSE NULL END \
     FROM tried WHERE id = tried.tried_id AND id = $1 AND due_ms = $2 AND COALESCE(state, '') = 'queued' \
     RETURNING state",
);

const LEVEL: Statement = Statement::new(
    "count_queued_messages",
    "SELECT COUNT(*) AS queued, MIN(created_ms) AS oldest_ms FROM message WHERE channel = $1 AND state = 'queued'",
);

const SWEEP: Statement = Statement::new(
    "sweep_messages",
    "DELETE FROM message WHERE id IN \
     (SELECT id FROM message WHERE settled_ms < $1 ORDER BY settled_ms LIMIT $2)",
);

/// The numbers and the prefix are those of the domain, and as literals, so that the index of these events serves.
const UNTOLD_FAILURES: Statement = Statement::new(
    "find_untold_failures",
    "SELECT e.id, e.organization, e.portal, e.guardian_id, e.consecutive_failures, e.at_ms FROM audit_event e \
     LEFT JOIN message m ON m.idempotency_key = 'failures:' || e.id \
     WHERE e.consecutive_failures IN (50, 100) AND e.at_ms > $1 AND e.guardian_id IS NOT NULL AND m.id IS NULL \
     ORDER BY e.at_ms LIMIT $2",
);

/// Puts messages in. One that nobody can get stays as a row that says so.
pub(super) async fn queue(unit: &mut Unit, messages: &[NewMessage]) -> Result<(), PortError> {
    ADD.run(unit, messages, |message, arguments| {
        let is_sent = message.template.is_some() && message.guardian.is_some();
        push(arguments, &message.id);
        push(arguments, &message.organization);
        push(arguments, &message.portal);
        push(arguments, &message.guardian);
        push(arguments, &message.channel);
        push(arguments, message.template.map_or(NO_TEMPLATE, Template::as_str));
        push(arguments, &message.locale);
        push(arguments, &message.reference);
        push(arguments, &message.idempotency_key);
        push(arguments, if is_sent { &MessageState::Queued } else { &MessageState::Void });
        push(arguments, &0);
        push(arguments, &message.at);
        push(arguments, &message.at);
        push(arguments, &message.at);
        push(arguments, &(!is_sent).then_some(message.at));
    })
    .await
    .map(|_| ())
}

fn leased(row: &AnyRow, lease: Timestamp) -> Result<LeasedMessage, PortError> {
    Ok(LeasedMessage {
        id: row.parsed("id", MessageId::parse)?,
        lease,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        guardian: row.parsed("guardian_id", GuardianId::parse)?,
        channel: row.parsed("channel", Channel::parse)?,
        template: row.parsed("template", Template::parse)?,
        locale: row.parsed_or_none("locale", locale)?,
        reference: row.parsed_or_none("reference_code", ReferenceCode::parse)?,
        activation: activation_of_key(row.column("idempotency_key")?),
        attempts: row.column("attempts")?,
        created: row.time("created_ms")?,
    })
}

/// Whether a settlement is the row of the message and nothing else: then the statement is its own transaction, which
/// saves two of three round trips.
fn is_one_statement(settlement: &Settlement) -> bool {
    let gives_up = match &settlement.outcome {
        TryOutcome::Sent => false,
        TryOutcome::Failed(_) | TryOutcome::TooOld(_) => true,
        // It may have been the last one.
        TryOutcome::Again { counts, .. } => *counts != TryCounts::Never,
    };
    !gives_up && settlement.withdraw.is_none()
}

/// Writes the outcome into the row of the message; `None` if the lease was lost.
async fn settle(unit: &mut Unit, settlement: &Settlement) -> Result<Option<MessageState>, PortError> {
    let Settlement { message, lease, outcome, withdraw: _, at, event: _ } = settlement;
    let (state, fault) = match outcome {
        TryOutcome::Again { fault, due, counts } => {
            let values = bind![message, lease, due, fault, at, code(*counts), MOST_ATTEMPTS];
            return state_after(unit.row(&RETRY, values).await?);
        }
        TryOutcome::Sent => (MessageState::Sent, None),
        TryOutcome::Failed(fault) => (MessageState::Failed, Some(fault)),
        TryOutcome::TooOld(fault) => (MessageState::Dead, Some(fault)),
    };
    state_after(unit.row(&SETTLE, bind![message, lease, state, fault, at]).await?)
}

/// As `RETRY` reads it.
const fn code(counts: TryCounts) -> i64 {
    match counts {
        TryCounts::Never => 0,
        TryCounts::IfAnotherGotThrough => 1,
        TryCounts::Always => 2,
    }
}

fn state_after(row: Option<AnyRow>) -> Result<Option<MessageState>, PortError> {
    row.map(|row| row.parsed("state", MessageState::parse)).transpose()
}

#[async_trait]
impl OutboxStore for SqlStore {
    async fn lease_messages(
        &self,
        channel: Channel,
        now: Timestamp,
        lease: Timestamp,
        limit: u32,
    ) -> Result<Vec<LeasedMessage>, PortError> {
        let mut unit = self.write_once().await?;
        let values = bind![channel, now, lease, i64::from(limit)];
        let rows = unit.rows(&LEASE.of(unit.dialect()), values).await?;
        let mut messages = readable(&rows, "message", |row| leased(row, lease));
        // Rows of `RETURNING` come in no order.
        messages.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(messages)
    }

    async fn recipient(&self, guardian: &GuardianId, portal: Portal) -> Result<Option<Recipient>, PortError> {
        let Some(row) = self.read().await?.row(&RECIPIENT, bind![guardian, portal]).await? else {
            return Ok(None);
        };
        Ok(Some(Recipient {
            email: row.email()?,
            mobile: row.parsed_or_none("mobile_canonical", mobile)?,
            locale: row.parsed("locale", locale)?,
            state: row.parsed("state", account_state)?,
            credential_epoch: row.column("credential_epoch")?,
            has_password: row.flag("has_password")?,
        }))
    }

    async fn take_budgets(&self, budgets: &[MessageBudget]) -> Result<Option<Timestamp>, PortError> {
        // In one order everywhere: two that take the same budgets wait for each other instead of dead-locking.
        let mut budgets: Vec<&MessageBudget> = budgets.iter().collect();
        budgets.sort_by(|one, other| one.subject.cmp(&other.subject));
        let mut unit = self.write().await?;
        for (taken, budget) in budgets.iter().enumerate() {
            if message_budget::take(&mut unit, budget).await? {
                continue;
            }
            // Those before this one have room now.
            let mut all_have_room = budget.at;
            for budget in &budgets[taken..] {
                all_have_room = all_have_room.max(message_budget::has_room_from(&mut unit, budget).await?);
            }
            unit.rollback().await?;
            return Ok(Some(all_have_room));
        }
        unit.commit().await?;
        Ok(None)
    }

    async fn settle_message(&self, settlement: &Settlement) -> Result<Option<MessageState>, PortError> {
        if is_one_statement(settlement) {
            return settle(&mut self.write_once().await?, settlement).await;
        }
        let mut unit = self.write().await?;
        let Some(state) = settle(&mut unit, settlement).await? else {
            unit.rollback().await?;
            return Ok(None);
        };
        if let Some(digest) = &settlement.withdraw {
            reset_tokens::withdraw(&mut unit, digest, settlement.at).await?;
        }
        match state {
            MessageState::Failed | MessageState::Dead => audit::record(&mut unit, &settlement.event).await?,
            MessageState::Queued | MessageState::Sent | MessageState::Void => {}
        }
        unit.commit().await?;
        Ok(Some(state))
    }

    async fn untold_failures(&self, since: Timestamp, limit: u32) -> Result<Vec<UntoldFailures>, PortError> {
        let rows = self.read().await?.rows(&UNTOLD_FAILURES, bind![since, i64::from(limit)]).await?;
        rows.iter()
            .map(|row| {
                Ok(UntoldFailures {
                    event: row.parsed("id", AuditEventId::parse)?,
                    organization: row.parsed("organization", OrganizationId::parse)?,
                    portal: row.portal()?,
                    guardian: row.parsed("guardian_id", GuardianId::parse)?,
                    consecutive: row.column("consecutive_failures")?,
                    at: row.time("at_ms")?,
                })
            })
            .collect()
    }

    async fn queue_messages(&self, messages: &[NewMessage]) -> Result<(), PortError> {
        let mut unit = self.write().await?;
        queue(&mut unit, messages).await?;
        unit.commit().await
    }

    async fn outbox_levels(&self) -> Result<Vec<OutboxLevel>, PortError> {
        let mut unit = self.read().await?;
        let mut levels = Vec::with_capacity(Channel::ALL.len());
        for channel in Channel::ALL {
            let row = unit.row(&LEVEL, bind![channel]).await?.ok_or_else(|| corrupt("queued"))?;
            let queued = u64::try_from(row.column::<i64>("queued")?).map_err(|_| corrupt("queued"))?;
            levels.push(OutboxLevel { channel, queued, oldest: row.time_or_none("oldest_ms")? });
        }
        Ok(levels)
    }

    async fn sweep_messages(&self, settled_before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP, bind![settled_before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}

#[cfg(test)]
mod tests {
    use super::UNTOLD_FAILURES;
    use crate::domain::login_password::{FAILURES_UNTIL_CLOSED, FAILURES_UNTIL_NOTICE};
    use crate::ports::store::FAILURES_KEY_PREFIX;

    #[test]
    fn the_literals_of_the_query_are_those_of_the_domain() {
        let numbers = format!("IN ({FAILURES_UNTIL_NOTICE}, {FAILURES_UNTIL_CLOSED})");
        assert!(UNTOLD_FAILURES.text.contains(&numbers));
        assert!(UNTOLD_FAILURES.text.contains(&format!("'{FAILURES_KEY_PREFIX}' || e.id")));
    }
}
