//! Hands out and erases what is kept of a person.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit::Event;
use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::ports::error::PortError;
use crate::ports::store::{
    Act, Acted, DataSubjectStore, Ended, EraseOutcome, ErasedGuardian, Held, HeldRow, HeldSection,
};

use super::bind::bind;
use super::held::{Form, MOST_ROWS, SECTIONS, Section};
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;
use super::{SqlStore, act, audit, bearing, erase, merge};

const ABSORBED: Statement =
    Statement::new("find_absorbed_accounts", "SELECT id FROM guardian WHERE merged_into = $1 LIMIT $2");

/// Accounts of one person that are followed: far more than anybody has.
const MOST_ACCOUNTS: usize = 100;

/// The account and all that were merged into it, and into those.
async fn accounts(unit: &mut Unit, guardian: &GuardianId) -> Result<Vec<GuardianId>, PortError> {
    let mut accounts = vec![guardian.clone()];
    let mut looked = 0;
    while let Some(account) = accounts.get(looked).cloned() {
        for row in unit.rows(&ABSORBED, bind![account, 100]).await? {
            accounts.push(row.parsed("id", GuardianId::parse)?);
        }
        looked += 1;
        if accounts.len() > MOST_ACCOUNTS {
            return Err(PortError::Corrupt(
                "find_absorbed_accounts: too many accounts of one person".to_owned(),
            ));
        }
    }
    Ok(accounts)
}

fn held(row: &AnyRow, account: &GuardianId, section: &Section) -> Result<HeldRow, PortError> {
    let mut values = vec![("account", Held::Text(account.as_str().to_owned()))];
    for (column, form) in section.columns {
        let value = match form {
            Form::Text => row.column::<Option<String>>(column)?.map(Held::Text),
            Form::Time => row.time_or_none(column)?.map(Held::Time),
            Form::Flag => Some(Held::Flag(row.flag(column)?)),
            Form::NationalId => Some(Held::NationalId(account.clone(), row.sealed(column, "key_id")?)),
        };
        // Times are named for people: `set_ms` is `set`.
        let name = if *form == Form::Time { column.trim_end_matches("_ms") } else { column };
        values.push((name, value.unwrap_or(Held::Nothing)));
    }
    Ok(values)
}

async fn sections(
    unit: &mut Unit,
    act: &Act,
    accounts: &[GuardianId],
) -> Result<Vec<HeldSection>, PortError> {
    let mut sections = Vec::with_capacity(SECTIONS.len());
    for section in &SECTIONS {
        let mut rows = Vec::new();
        let mut is_cut = false;
        for account in accounts {
            let most = section.most.unwrap_or(MOST_ROWS);
            let found = unit.rows(&section.statement, bind![account, act.organization, most + 1]).await?;
            is_cut |= i64::try_from(found.len()).is_ok_and(|count| count > most);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            for row in found.iter().take(most) {
                rows.push(held(row, account, section)?);
            }
        }
        sections.push(HeldSection { name: section.name, rows, is_cut });
    }
    Ok(sections)
}

#[async_trait]
impl DataSubjectStore for SqlStore {
    async fn held_of_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
    ) -> Result<Acted<Option<Vec<HeldSection>>>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        if act::hold_guardian(&mut unit, act, guardian).await?.is_none() {
            unit.rollback().await?;
            return Ok(Acted::Now(None));
        }
        let accounts = accounts(&mut unit, guardian).await?;
        let sections = sections(&mut unit, act, &accounts).await?;
        act::finish(unit, act).await?;
        Ok(Acted::Now(Some(sections)))
    }

    async fn erase_guardian(
        &self,
        act: &Act,
        guardian: &GuardianId,
        merged: &Event,
    ) -> Result<Acted<EraseOutcome>, PortError> {
        let mut unit = self.write().await?;
        if let Some(refused) = act::enter(&mut unit, act, None).await? {
            unit.rollback().await?;
            return Ok(refused);
        }
        let Some(standing) = act::hold_guardian(&mut unit, act, guardian).await? else {
            unit.rollback().await?;
            return Ok(Acted::Now(EraseOutcome::Unknown));
        };
        if standing.state == AccountState::Erased {
            // Nothing happened, so there is no event; the request is known all the same.
            unit.commit().await?;
            let nothing = ErasedGuardian { accounts: Vec::new(), ended: Ended::default() };
            return Ok(Acted::Now(EraseOutcome::Erased(nothing)));
        }
        let accounts = accounts(&mut unit, guardian).await?;
        let mut ended = Ended::default();
        for account in &accounts {
            ended = merge::together(ended, bearing::bump(&mut unit, account, act.at).await?);
            erase::erase(&mut unit, act, account).await?;
        }
        let others: Vec<Event> =
            accounts.iter().skip(1).map(|account| merge::of_guardian(merged, account)).collect();
        audit::record_all(&mut unit, &others).await?;
        act::finish(unit, act).await?;
        Ok(Acted::Now(EraseOutcome::Erased(ErasedGuardian { accounts, ended })))
    }
}
