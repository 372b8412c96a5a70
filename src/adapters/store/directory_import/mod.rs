//! The import of a directory file, a batch at a time: read what is known, decide, write the differences.

mod apply;
mod known;
mod load;
mod plan;
mod plan_guardian;

use std::borrow::Borrow;
use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::directory::{RowOutcome, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{DirectoryStore, KnownRows, PreparedRow};

use super::bind::push;
use super::bulk::Lookup;
use super::row::Columns;
use super::unit::Unit;
use super::{SqlStore, identifiers};

/// The name under which the rows of imports stand beside those that staff makes.
const SOURCE: &str = "import";

const GUARDIAN_IDS: Lookup = Lookup {
    name: "find_guardian_ids",
    columns: 1,
    id_of_key: "SELECT t.id FROM guardian t WHERE t.organization = $1 AND t.source_key = wanted.column1",
};

const CHILD_IDS: Lookup = Lookup {
    name: "find_child_ids",
    columns: 1,
    id_of_key: "SELECT t.id FROM child t WHERE t.organization = $1 AND t.source_key = wanted.column1",
};

const SCHOOL_IDS: Lookup = Lookup {
    name: "find_school_ids",
    columns: 1,
    id_of_key: "SELECT t.id FROM school t WHERE t.organization = $1 AND t.source_key = wanted.column1",
};

/// The ids that source keys have, if they are known.
async fn ids_of_keys<T>(
    lookup: &Lookup,
    unit: &mut Unit,
    organization: &OrganizationId,
    keys: &[impl Borrow<SourceKey>],
    parse: fn(&str) -> Option<T>,
) -> Result<HashMap<SourceKey, T>, PortError> {
    let rows = lookup.rows(unit, organization, keys, |key, values| push(values, key.borrow())).await?;
    rows.iter()
        .map(|row| Ok((row.parsed("column1", SourceKey::parse)?, row.parsed("found", parse)?)))
        .collect()
}

async fn write(
    unit: &mut Unit,
    organization: &OrganizationId,
    rows: &[PreparedRow],
    at: Timestamp,
    removal_event: &Event,
) -> Result<Vec<RowOutcome>, PortError> {
    identifiers::take_turn(unit, organization, at).await?;
    let known = load::known(unit, organization, rows).await?;
    let (plan, outcomes) = plan::plan(known, rows)?;
    apply::apply(unit, organization, &plan, at, removal_event).await?;
    Ok(outcomes)
}

#[async_trait]
impl DirectoryStore for SqlStore {
    async fn known_rows(
        &self,
        organization: &OrganizationId,
        keys: &[SourceKey],
    ) -> Result<KnownRows, PortError> {
        let mut unit = self.read().await?;
        Ok(KnownRows {
            guardians: ids_of_keys(&GUARDIAN_IDS, &mut unit, organization, keys, GuardianId::parse).await?,
            children: ids_of_keys(&CHILD_IDS, &mut unit, organization, keys, ChildId::parse).await?,
            schools: ids_of_keys(&SCHOOL_IDS, &mut unit, organization, keys, SchoolId::parse).await?,
        })
    }

    async fn import_rows(
        &self,
        organization: &OrganizationId,
        rows: &[PreparedRow],
        at: Timestamp,
        removal_event: &Event,
    ) -> Result<Vec<RowOutcome>, PortError> {
        let mut unit = self.write_batch().await?;
        match write(&mut unit, organization, rows, at, removal_event).await {
            Ok(outcomes) => {
                unit.commit().await?;
                Ok(outcomes)
            }
            Err(error) => {
                // Of both errors the first says more.
                let _ = unit.rollback().await;
                Err(error)
            }
        }
    }
}
