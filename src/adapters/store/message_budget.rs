//! Budgets of messages, each a point in time: until when what was taken takes to refill (GCRA).

use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::MessageBudget;

use super::bind::bind;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

/// Takes one in one statement: of many at once, no more than there is room for succeed. Touches no row if there is
/// none, but holds the row until the end of the transaction.
const TAKE: Statement = Statement::new(
    "take_message_budget",
    "INSERT INTO message_budget (subject, full_at_ms) VALUES ($1, $2 + $3) \
     ON CONFLICT (subject) DO UPDATE SET full_at_ms = \
         CASE WHEN message_budget.full_at_ms > $2 THEN message_budget.full_at_ms ELSE $2 END + $3 \
     WHERE message_budget.full_at_ms - $2 <= $4",
);

const FIND: Statement =
    Statement::new("find_message_budget", "SELECT full_at_ms FROM message_budget WHERE subject = $1");

/// Takes from a budget; false if it has no room.
pub(super) async fn take(unit: &mut Unit, budget: &MessageBudget) -> Result<bool, PortError> {
    let values = bind![budget.subject, budget.at, millis(budget.refill), millis(tolerance(budget))];
    Ok(unit.execute(&TAKE, values).await? > 0)
}

/// When a budget has room, be it now or earlier.
pub(super) async fn has_room_from(unit: &mut Unit, budget: &MessageBudget) -> Result<Timestamp, PortError> {
    Ok(match unit.row(&FIND, bind![budget.subject]).await? {
        Some(row) => row.time("full_at_ms")?.minus(tolerance(budget)),
        None => budget.at,
    })
}

/// How far ahead of time a budget may be spent.
fn tolerance(budget: &MessageBudget) -> Duration {
    budget.refill.saturating_mul(budget.burst.saturating_sub(1))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
