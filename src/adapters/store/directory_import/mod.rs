//! The import of a directory file, a batch at a time: read what is known, decide, write the differences.

mod apply;
mod known;
mod load;
mod plan;
mod plan_guardian;

use async_trait::async_trait;
use sqlx::any::AnyRow;

use crate::domain::audit::Event;
use crate::domain::directory::{RowOutcome, SourceKey};
use crate::domain::id::{ChildId, GuardianId, SchoolId};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{DirectoryStore, KnownRows, PreparedRow};

use super::bind::push;
use super::bulk::Listing;
use super::row::Columns;
use super::unit::Unit;
use super::{SqlStore, take_lock};

/// The name under which the rows of imports stand beside those that staff makes.
const SOURCE: &str = "import";

const GUARDIAN_IDS: Listing = Listing {
    name: "find_guardian_ids",
    head: "SELECT source_key, id FROM guardian WHERE organization = $1 AND source_key IN",
    fixed: 1,
    tail: "",
};

const CHILD_IDS: Listing = Listing {
    name: "find_child_ids",
    head: "SELECT source_key, id FROM child WHERE organization = $1 AND source_key IN",
    fixed: 1,
    tail: "",
};

const SCHOOL_IDS: Listing = Listing {
    name: "find_school_ids",
    head: "SELECT source_key, id FROM school WHERE organization = $1 AND source_key IN",
    fixed: 1,
    tail: "",
};

fn key_and_id<T>(row: &AnyRow, parse: fn(&str) -> Option<T>) -> Result<(SourceKey, T), PortError> {
    Ok((row.parsed("source_key", SourceKey::parse)?, row.parsed("id", parse)?))
}

async fn write(
    unit: &mut Unit,
    organization: &OrganizationId,
    rows: &[PreparedRow],
    at: Timestamp,
    removal_event: &Event,
) -> Result<Vec<RowOutcome>, PortError> {
    take_lock(unit, &format!("import:{}", organization.as_str()), at).await?;
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
        let mut found = KnownRows::default();
        for row in GUARDIAN_IDS.rows(&mut unit, |fixed| push(fixed, organization), keys).await? {
            let (key, id) = key_and_id(&row, GuardianId::parse)?;
            found.guardians.insert(key, id);
        }
        for row in CHILD_IDS.rows(&mut unit, |fixed| push(fixed, organization), keys).await? {
            let (key, id) = key_and_id(&row, ChildId::parse)?;
            found.children.insert(key, id);
        }
        for row in SCHOOL_IDS.rows(&mut unit, |fixed| push(fixed, organization), keys).await? {
            let (key, id) = key_and_id(&row, SchoolId::parse)?;
            found.schools.insert(key, id);
        }
        Ok(found)
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
