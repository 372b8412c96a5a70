//! The rows of relations that a merge joins: child links from either end, contracts, and marks of removed links.

use sqlx::any::AnyRow;

use crate::domain::merge::{Confirmation, Link, LinkChange, RemovedLink, RemovedLinkChanges};
use crate::ports::error::PortError;

use super::bind::bind;
use super::row::Columns;
use super::statement::Statement;
use super::unit::Unit;

macro_rules! child_links_text {
    ($other:literal, $own:literal) => {
        concat!(
            "SELECT ",
            $other,
            " AS other, source, confirmed_by, confirmed_ms, confirmed_staff_id, confirmed_how \
             FROM child_link WHERE ",
            $own,
            " = $1 ORDER BY ",
            $other,
            ", source"
        )
    };
}

const LINKS_OF_GUARDIAN: Statement =
    Statement::new("list_links_of_guardian", child_links_text!("child_id", "guardian_id"));

const LINKS_OF_CHILD: Statement =
    Statement::new("list_links_of_child", child_links_text!("guardian_id", "child_id"));

const CONTRACTS: Statement = Statement::new(
    "list_contracts",
    "SELECT CAST('' AS text) AS other, source, confirmed_by, confirmed_ms, confirmed_staff_id, confirmed_how \
     FROM contract WHERE guardian_id = $1 ORDER BY source",
);

const DROP_LINK: Statement = Statement::new(
    "drop_merged_link",
    "DELETE FROM child_link WHERE guardian_id = $1 AND child_id = $2 AND source = $3",
);

const DROP_CONTRACT: Statement =
    Statement::new("drop_merged_contract", "DELETE FROM contract WHERE guardian_id = $1 AND source = $2");

const PUT_LINK: Statement = Statement::new(
    "put_merged_link",
    "INSERT INTO child_link (guardian_id, child_id, source, confirmed_by, confirmed_ms, confirmed_staff_id, confirmed_how) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (guardian_id, child_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
         confirmed_ms = excluded.confirmed_ms, confirmed_staff_id = excluded.confirmed_staff_id, \
         confirmed_how = excluded.confirmed_how",
);

const PUT_CONTRACT: Statement = Statement::new(
    "put_merged_contract",
    "INSERT INTO contract (guardian_id, source, confirmed_by, confirmed_ms, confirmed_staff_id, confirmed_how) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (guardian_id, source) DO UPDATE SET confirmed_by = excluded.confirmed_by, \
         confirmed_ms = excluded.confirmed_ms, confirmed_staff_id = excluded.confirmed_staff_id, \
         confirmed_how = excluded.confirmed_how",
);

const REMOVED_OF_GUARDIAN: Statement = Statement::new(
    "list_removed_links_of_guardian",
    "SELECT child_id AS other, staff_id, at_ms FROM removed_child_link WHERE guardian_id = $1 ORDER BY child_id",
);

const REMOVED_OF_CHILD: Statement = Statement::new(
    "list_removed_links_of_child",
    "SELECT guardian_id AS other, staff_id, at_ms FROM removed_child_link WHERE child_id = $1 ORDER BY guardian_id",
);

const DROP_REMOVED: Statement = Statement::new(
    "drop_removed_link",
    "DELETE FROM removed_child_link WHERE guardian_id = $1 AND child_id = $2",
);

const PUT_REMOVED: Statement = Statement::new(
    "put_removed_link",
    "INSERT INTO removed_child_link (guardian_id, child_id, staff_id, at_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (guardian_id, child_id) DO NOTHING",
);

/// From which end rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The children of a guardian.
    Guardian,
    /// The guardians of a child.
    Child,
    /// The contracts of a guardian; there is nothing at the other end.
    Contract,
}

impl End {
    /// Guardian and child of a row: `own` is the end that is looked from.
    const fn pair<'a>(self, own: &'a str, other: &'a str) -> (&'a str, &'a str) {
        match self {
            Self::Guardian | Self::Contract => (own, other),
            Self::Child => (other, own),
        }
    }
}

fn link(row: &AnyRow) -> Result<Link, PortError> {
    let confirmation = match row.column::<Option<String>>("confirmed_by")? {
        Some(by) => Some(Confirmation {
            by,
            ms: row.column("confirmed_ms")?,
            staff: row.column("confirmed_staff_id")?,
            how: row.column("confirmed_how")?,
        }),
        None => None,
    };
    Ok(Link { other: row.column("other")?, source: row.column("source")?, confirmation })
}

/// The rows of one end.
pub(super) async fn links(unit: &mut Unit, end: End, own: &str) -> Result<Vec<Link>, PortError> {
    let statement = match end {
        End::Guardian => &LINKS_OF_GUARDIAN,
        End::Child => &LINKS_OF_CHILD,
        End::Contract => &CONTRACTS,
    };
    unit.rows(statement, bind![own]).await?.iter().map(link).collect()
}

pub(super) async fn drop_link(unit: &mut Unit, end: End, own: &str, link: &Link) -> Result<(), PortError> {
    let (guardian, child) = end.pair(own, &link.other);
    match end {
        End::Guardian | End::Child => unit.execute(&DROP_LINK, bind![guardian, child, link.source]).await,
        End::Contract => unit.execute(&DROP_CONTRACT, bind![guardian, link.source]).await,
    }
    .map(|_| ())
}

pub(super) async fn put_link(unit: &mut Unit, end: End, own: &str, link: &Link) -> Result<(), PortError> {
    let (guardian, child) = end.pair(own, &link.other);
    let confirmation = link.confirmation.as_ref();
    let by = confirmation.map(|confirmation| &confirmation.by);
    let ms = confirmation.and_then(|confirmation| confirmation.ms);
    let staff = confirmation.and_then(|confirmation| confirmation.staff.as_ref());
    let how = confirmation.and_then(|confirmation| confirmation.how.as_ref());
    match end {
        End::Guardian | End::Child => {
            unit.execute(&PUT_LINK, bind![guardian, child, link.source, by, ms, staff, how]).await
        }
        End::Contract => unit.execute(&PUT_CONTRACT, bind![guardian, link.source, by, ms, staff, how]).await,
    }
    .map(|_| ())
}

/// Does what was decided.
pub(super) async fn apply(
    unit: &mut Unit,
    end: End,
    (kept, absorbed): (&str, &str),
    changes: &[LinkChange],
) -> Result<(), PortError> {
    for change in changes {
        drop_link(unit, end, absorbed, &change.from).await?;
        if let Some(after) = &change.after {
            put_link(unit, end, kept, after).await?;
        }
    }
    Ok(())
}

/// Takes it back, where the rows of the kept side are as it left them. The ids at the other end of what is not put back:
/// it was changed since. `may_return` says whether a row may come back to the absorbed side at all.
pub(super) async fn take_back(
    unit: &mut Unit,
    end: End,
    (kept, absorbed): (&str, &str),
    changes: &[LinkChange],
    may_return: impl Fn(&str) -> bool,
) -> Result<Vec<String>, PortError> {
    let mut standing = links(unit, end, kept).await?;
    let mut left = Vec::new();
    // The last one first: two rows of the absorbed side may have changed one row of the kept side.
    for change in changes.iter().rev() {
        let at = change.after.as_ref().map(|after| standing.iter().position(|link| link == after));
        if at == Some(None) || !change.still_stands(&standing) || !may_return(&change.from.other) {
            left.push(change.from.other.clone());
            continue;
        }
        if let (Some(after), Some(at)) = (&change.after, at.flatten()) {
            standing.remove(at);
            match &change.before {
                Some(before) => {
                    put_link(unit, end, kept, before).await?;
                    standing.push(before.clone());
                }
                None => drop_link(unit, end, kept, after).await?,
            }
        }
        put_link(unit, end, absorbed, &change.from).await?;
    }
    Ok(left)
}

/// The marks of removed links of one end.
pub(super) async fn removed(unit: &mut Unit, end: End, own: &str) -> Result<Vec<RemovedLink>, PortError> {
    let statement = match end {
        End::Guardian => &REMOVED_OF_GUARDIAN,
        End::Child => &REMOVED_OF_CHILD,
        End::Contract => return Ok(Vec::new()),
    };
    let rows = unit.rows(statement, bind![own]).await?;
    rows.iter()
        .map(|row| {
            let (other, staff) = (row.column("other")?, row.column("staff_id")?);
            Ok(RemovedLink { other, staff, ms: row.column("at_ms")? })
        })
        .collect()
}

pub(super) async fn drop_removed(
    unit: &mut Unit,
    end: End,
    own: &str,
    mark: &RemovedLink,
) -> Result<(), PortError> {
    let (guardian, child) = end.pair(own, &mark.other);
    unit.execute(&DROP_REMOVED, bind![guardian, child]).await.map(|_| ())
}

pub(super) async fn put_removed(
    unit: &mut Unit,
    end: End,
    own: &str,
    mark: &RemovedLink,
) -> Result<(), PortError> {
    let (guardian, child) = end.pair(own, &mark.other);
    unit.execute(&PUT_REMOVED, bind![guardian, child, mark.staff, mark.ms]).await.map(|_| ())
}

/// Does what was decided on the marks.
pub(super) async fn apply_removed(
    unit: &mut Unit,
    end: End,
    (kept, absorbed): (&str, &str),
    changes: &RemovedLinkChanges,
) -> Result<(), PortError> {
    for mark in &changes.dropped_kept {
        drop_removed(unit, end, kept, mark).await?;
    }
    for mark in changes.moved.iter().chain(&changes.dropped_absorbed) {
        drop_removed(unit, end, absorbed, mark).await?;
    }
    for mark in &changes.moved {
        put_removed(unit, end, kept, mark).await?;
    }
    Ok(())
}

/// Takes that back, after the links. `left` are the ends of links that were changed since: where staff removed such a link
/// from the kept side, it is removed from the absorbed one too, so that no import brings it back there.
pub(super) async fn take_back_removed(
    unit: &mut Unit,
    end: End,
    (kept, absorbed): (&str, &str),
    changes: &RemovedLinkChanges,
    left: &[String],
) -> Result<(), PortError> {
    let standing = removed(unit, end, kept).await?;
    for mark in changes.moved.iter().filter(|mark| standing.contains(mark)) {
        drop_removed(unit, end, kept, mark).await?;
        put_removed(unit, end, absorbed, mark).await?;
    }
    for mark in &changes.dropped_absorbed {
        put_removed(unit, end, absorbed, mark).await?;
    }
    let live = links(unit, end, kept).await?;
    for mark in changes.dropped_kept.iter().filter(|mark| live.iter().all(|link| link.other != mark.other)) {
        put_removed(unit, end, kept, mark).await?;
    }
    for mark in standing.iter().filter(|mark| left.contains(&mark.other)) {
        put_removed(unit, end, absorbed, mark).await?;
    }
    Ok(())
}
