//! BankID orders: collected by one process at a time, seen by all, and used once.

use std::net::IpAddr;

use async_trait::async_trait;
use sqlx::any::{AnyArguments, AnyRow};

use crate::domain::audit::Event;
use crate::domain::bankid::{BankIdFault, Device, HintCode, OrderState};
use crate::domain::id::BankIdLoginId;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{BankIdOrder, CollectorLease, LoginBankIdStore, Progress};

use super::bind::bind;
use super::bulk::Listing;
use super::dialect::PerDialect;
use super::row::{Columns, readable};
use super::session::SWEEP_ROWS;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, audit};

macro_rules! order_columns {
    () => {
        "id, organization, portal, device, binding_digest, nonce_digest, sealed, key_id, state, hint, fault, result, \
         result_key_id, address, user_agent, begun_ms, started_ms, restarts, expires_ms"
    };
}

const ADD: Statement = Statement::new(
    "add_bankid_order",
    concat!(
        "INSERT INTO bankid_order (",
        order_columns!(),
        ", collector, lease_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"
    ),
);

const FIND: Statement = Statement::new(
    "find_bankid_order",
    concat!("SELECT ", order_columns!(), " FROM bankid_order WHERE id = $1"),
);

const LIST: Listing = Listing {
    name: "list_bankid_orders",
    select: concat!("SELECT ", order_columns!()),
    from: "bankid_order WHERE id = wanted.column1",
};

macro_rules! lease_text {
    ($lock:literal) => {
        concat!(
            "WITH free AS (SELECT id FROM bankid_order WHERE state = 'pending' AND lease_ms <= $3 \
                 ORDER BY begun_ms, id LIMIT $4 ",
            $lock,
            ") UPDATE bankid_order SET collector = $1, lease_ms = $2 WHERE id IN (SELECT id FROM free) RETURNING ",
            order_columns!()
        )
    };
}

/// One whose own time is over is taken as well: somebody must write down that it failed. PostgreSQL: processes that ask
/// at once pass over each other's rows instead of waiting for them. SQLite: the statement excludes other writers.
const LEASE: PerDialect<Statement> = PerDialect {
    sqlite: Statement::new("lease_bankid_orders", lease_text!("")),
    postgres: Statement::new("lease_bankid_orders", lease_text!("FOR UPDATE SKIP LOCKED")),
};

/// `COALESCE` keeps PostgreSQL from the index by lease.
const RENEW: Statement = Statement::new(
    "renew_bankid_leases",
    "UPDATE bankid_order SET lease_ms = $2 WHERE collector = $1 AND COALESCE(state, '') = 'pending' RETURNING id",
);

/// Nobody's, as if the lease had ended now: what the former collector still has to say no longer counts. `COALESCE`: as
/// above.
const RELEASE: Statement = Statement::new(
    "release_bankid_orders",
    "UPDATE bankid_order SET collector = NULL, lease_ms = $2 WHERE collector = $1 AND COALESCE(state, '') = 'pending'",
);

/// The guard of progress. `COALESCE` keeps PostgreSQL from the indexes by lease and by collector: they are small most of
/// the time, and then PostgreSQL would rather read the whole of one than look one row up.
macro_rules! if_still_collected {
    () => {
        " WHERE id = $1 AND COALESCE(collector, '') = $2 AND COALESCE(state, '') = 'pending'"
    };
}

const HINT: Statement =
    Statement::new("note_bankid_hint", concat!("UPDATE bankid_order SET hint = $3", if_still_collected!()));

/// The hint was the last order's.
const RESTART: Statement = Statement::new(
    "restart_bankid_order",
    concat!(
        "UPDATE bankid_order SET sealed = $3, key_id = $4, started_ms = $5, restarts = restarts + 1, hint = NULL",
        if_still_collected!()
    ),
);

/// Whoever collects it by now: BankID tells how an order ended once, so who was told is right, also after a take-over.
const COMPLETE: Statement = Statement::new(
    "complete_bankid_order",
    "UPDATE bankid_order SET state = 'complete', result = $2, result_key_id = $3, expires_ms = $4, \
         collector = NULL, lease_ms = NULL \
     WHERE id = $1 AND COALESCE(state, '') = 'pending'",
);

const FAIL: Statement = Statement::new(
    "fail_bankid_order",
    concat!(
        "UPDATE bankid_order SET state = 'failed', hint = $3, fault = $4, collector = NULL, lease_ms = NULL",
        if_still_collected!()
    ),
);

/// Who signed goes with the order: nobody may ask for it any more.
const CANCEL: Statement = Statement::new(
    "cancel_bankid_order",
    "UPDATE bankid_order SET state = 'cancelled', collector = NULL, lease_ms = NULL, result = NULL, result_key_id = NULL \
     WHERE id = $1 AND state IN ('pending', 'complete')",
);

/// Of many at once, one uses it. Who signed goes with it, as above.
const USE: Statement = Statement::new(
    "use_bankid_order",
    "UPDATE bankid_order SET state = 'used', result = NULL, result_key_id = NULL \
     WHERE id = $1 AND state = 'complete' AND expires_ms > $2",
);

const SWEEP: Statement = Statement::new(
    "sweep_bankid_orders",
    "DELETE FROM bankid_order WHERE id IN \
     (SELECT id FROM bankid_order WHERE expires_ms < $1 ORDER BY expires_ms LIMIT $2)",
);

/// Uses a complete order up; false if it is not complete, or its result too old.
pub(super) async fn use_up(unit: &mut Unit, id: &BankIdLoginId, at: Timestamp) -> Result<bool, PortError> {
    Ok(unit.execute(&USE, bind![id, at]).await? > 0)
}

fn order(row: &AnyRow) -> Result<BankIdOrder, PortError> {
    // Every code was read before it was stored, so it reads back as it is.
    let same = |text: &str| Some(HintCode::new(text)).filter(|hint| hint.as_str() == text);
    Ok(BankIdOrder {
        id: row.parsed("id", BankIdLoginId::parse)?,
        organization: row.parsed("organization", OrganizationId::parse)?,
        portal: row.portal()?,
        device: row.parsed("device", Device::parse)?,
        binding_digest: row.digest("binding_digest")?,
        nonce_digest: row.digest_or_none("nonce_digest")?,
        sealed: row.sealed("sealed", "key_id")?,
        state: row.parsed("state", OrderState::parse)?,
        hint: row.parsed_or_none("hint", same)?,
        fault: row.parsed_or_none("fault", BankIdFault::parse)?,
        result: row.sealed_or_none("result", "result_key_id")?,
        address: row.parsed_or_none("address", |text| text.parse::<IpAddr>().ok())?,
        user_agent: row.column("user_agent")?,
        begun: row.time("begun_ms")?,
        started: row.time("started_ms")?,
        restarts: row.column("restarts")?,
        expires: row.time("expires_ms")?,
    })
}

/// The statement that writes progress down, its values, and what the audit log says of it.
fn written<'a>(
    id: &BankIdLoginId,
    collector: &str,
    progress: &'a Progress,
) -> (Statement, AnyArguments, Option<&'a Event>) {
    match progress {
        Progress::Hint(hint) => (HINT, bind![id, collector, hint], None),
        Progress::Restarted { sealed, started } => {
            (RESTART, bind![id, collector, sealed.bytes, sealed.key_id, started], None)
        }
        Progress::Complete { result, expires } => {
            (COMPLETE, bind![id, result.bytes, result.key_id, expires], None)
        }
        Progress::Failed { hint, fault, event } => {
            (FAIL, bind![id, collector, hint, fault], Some(event.as_ref()))
        }
    }
}

/// Runs a statement that changes one order, and writes the event if it did.
async fn change(
    mut unit: Unit,
    statement: &Statement,
    values: AnyArguments,
    event: &Event,
) -> Result<bool, PortError> {
    if unit.execute(statement, values).await? == 0 {
        unit.rollback().await?;
        return Ok(false);
    }
    audit::record(&mut unit, event).await?;
    unit.commit().await?;
    Ok(true)
}

#[async_trait]
impl LoginBankIdStore for SqlStore {
    async fn add_bankid_order(&self, order: &BankIdOrder, lease: &CollectorLease) -> Result<(), PortError> {
        let result = order.result.as_ref();
        let values = bind![
            order.id,
            order.organization,
            order.portal,
            order.device,
            order.binding_digest,
            order.nonce_digest,
            order.sealed.bytes,
            order.sealed.key_id,
            order.state,
            order.hint,
            order.fault,
            result.map(|result| &result.bytes),
            result.map(|result| &result.key_id),
            order.address.map(|address| address.to_string()),
            order.user_agent,
            order.begun,
            order.started,
            order.restarts,
            order.expires,
            lease.collector,
            lease.until,
        ];
        self.write_once().await?.execute(&ADD, values).await.map(|_| ())
    }

    async fn bankid_order(&self, id: &BankIdLoginId) -> Result<Option<BankIdOrder>, PortError> {
        let row = self.read().await?.row(&FIND, bind![id]).await?;
        row.as_ref().map(order).transpose()
    }

    async fn bankid_orders(&self, ids: &[BankIdLoginId]) -> Result<Vec<BankIdOrder>, PortError> {
        let mut unit = self.read().await?;
        let rows = LIST.rows(&mut unit, ids).await?;
        Ok(readable(&rows, "BankID order", order))
    }

    async fn lease_bankid_orders(
        &self,
        lease: &CollectorLease,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<BankIdOrder>, PortError> {
        let mut unit = self.write_once().await?;
        let values = bind![lease.collector, lease.until, now, i64::from(limit)];
        let rows = unit.rows(&LEASE.of(unit.dialect()), values).await?;
        let mut orders = readable(&rows, "BankID order", order);
        // Rows of `RETURNING` come in no order.
        orders.sort_by(|one, other| (one.begun, &one.id).cmp(&(other.begun, &other.id)));
        Ok(orders)
    }

    async fn renew_bankid_leases(&self, lease: &CollectorLease) -> Result<Vec<BankIdLoginId>, PortError> {
        let mut unit = self.write_once().await?;
        let rows = unit.rows(&RENEW, bind![lease.collector, lease.until]).await?;
        rows.iter().map(|row| row.parsed("id", BankIdLoginId::parse)).collect()
    }

    async fn release_bankid_orders(&self, collector: &str, now: Timestamp) -> Result<(), PortError> {
        self.write_once().await?.execute(&RELEASE, bind![collector, now]).await.map(|_| ())
    }

    async fn note_bankid_progress(
        &self,
        id: &BankIdLoginId,
        collector: &str,
        progress: &Progress,
    ) -> Result<bool, PortError> {
        let (statement, values, event) = written(id, collector, progress);
        match event {
            Some(event) => change(self.write().await?, &statement, values, event).await,
            // A transaction of its own, which saves two of three round trips.
            None => Ok(self.write_once().await?.execute(&statement, values).await? > 0),
        }
    }

    async fn cancel_bankid_order(&self, id: &BankIdLoginId, event: &Event) -> Result<bool, PortError> {
        change(self.write().await?, &CANCEL, bind![id], event).await
    }

    async fn sweep_bankid_orders(&self, before: Timestamp) -> Result<u64, PortError> {
        let mut unit = self.write_batch().await?;
        let swept = unit.execute(&SWEEP, bind![before, SWEEP_ROWS]).await?;
        unit.commit().await?;
        Ok(swept)
    }
}
