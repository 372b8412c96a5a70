//! What persons may ask for: everything that is kept of them, or that it is erased (GDPR articles 15, 17 and 20).

use serde_json::{Map, Value, json};

use crate::domain::audit::Fact;
use crate::domain::id::GuardianId;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{EraseOutcome, Held, HeldRow, HeldSection};

use super::duty::{AtWork, Looked, Refused, looked};
use super::merge_guardians::open_number;
use super::staff_parts::StaffParts;

/// Bytes of rows in a document: clients take no message over 4 MiB unless they are told to, and there is more in one than
/// rows.
const MOST_BYTES: usize = 3_500_000;

/// What the document says of what it does not hold.
const LEFT_OUT: &str = "Hashes of passwords, keys and digests, which are of use to thieves only. Events older than the newest \
    10,000, rows older than the newest 2,000 of other kinds, and what goes over 3.5 MB in all: \"cut\" names the kinds that \
    have more.";

/// Why nothing was handed out or erased.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not looked at.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such guardian in the member's scope.
    #[error("the guardian is not there")]
    GuardianUnknown,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Everything that is kept of a guardian, as a JSON document. The event is written before there is an answer.
///
/// # Errors
/// [`Error`].
pub async fn export(
    parts: &StaffParts,
    work: &AtWork,
    guardian: &GuardianId,
) -> Result<Secret<String>, Error> {
    let now = parts.clock.now();
    let act = work.act(now, vec![parts.event(work, now, Fact::GuardianExported, guardian)]);
    let sections = match looked(parts.store.held_of_guardian(&act, guardian).await?)? {
        Looked::Now(sections) => sections.ok_or(Error::GuardianUnknown)?,
        // Its requests have no id.
        Looked::Before(_) => return Err(Refused::OtherRequest.into()),
    };
    document(parts, work, guardian, &sections, now)
}

fn document(
    parts: &StaffParts,
    work: &AtWork,
    guardian: &GuardianId,
    sections: &[HeldSection],
    now: Timestamp,
) -> Result<Secret<String>, Error> {
    let mut room = MOST_BYTES;
    let mut cut = Vec::new();
    let mut all = Map::new();
    for section in sections {
        let mut rows = Vec::with_capacity(section.rows.len());
        let mut is_cut = section.is_cut;
        for row in &section.rows {
            let row = values(parts, work, row)?;
            let length = row.to_string().len() + 1;
            if length > room {
                is_cut = true;
                break;
            }
            room -= length;
            rows.push(row);
        }
        if is_cut {
            cut.push(Value::from(section.name));
        }
        all.insert(section.name.to_owned(), Value::Array(rows));
    }
    let document = json!({
        "form": 1,
        "organization": work.organization.id.as_str(),
        "guardian_id": guardian.as_str(),
        "made": time(now),
        "left_out": LEFT_OUT,
        "cut": cut,
        "data": all,
    });
    Ok(Secret::new(document.to_string()))
}

fn values(parts: &StaffParts, work: &AtWork, row: &HeldRow) -> Result<Value, Error> {
    let mut values = Map::new();
    for (name, held) in row {
        match held {
            Held::Nothing => values.insert((*name).to_owned(), Value::Null),
            Held::Text(text) => values.insert((*name).to_owned(), Value::from(text.as_str())),
            Held::Time(at) => values.insert((*name).to_owned(), time(*at)),
            Held::Flag(flag) => values.insert((*name).to_owned(), Value::from(*flag)),
            Held::NationalId(guardian, sealed) => {
                let number = open_number(parts.vault.as_ref(), &work.organization.id, guardian, sealed)
                    .ok_or_else(|| PortError::Corrupt("a sealed number does not open".to_owned()))?;
                let bare = number.canonical().split_once(':').map_or("", |(_, bare)| bare);
                values.insert("number".to_owned(), Value::from(bare))
            }
        };
    }
    Ok(Value::Object(values))
}

/// RFC 3339; milliseconds for a time that no calendar has.
fn time(at: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| Value::from(at.as_millis()), |at| Value::from(at.to_string()))
}

/// Erases what is kept of a guardian; how many sessions ended, as a person counts them.
///
/// # Errors
/// [`Error`].
pub async fn erase(parts: &StaffParts, work: &AtWork, guardian: &GuardianId) -> Result<usize, Error> {
    let now = parts.clock.now();
    let act = work.act(now, vec![parts.event(work, now, Fact::GuardianErased, guardian)]);
    let merged = parts.event(work, now, Fact::GuardianErased, guardian);
    match looked(parts.store.erase_guardian(&act, guardian, &merged).await?)? {
        Looked::Before(_) => Ok(0),
        Looked::Now(EraseOutcome::Erased(erased)) => {
            parts.note_ended(&erased.ended, now);
            Ok(erased.ended.live)
        }
        Looked::Now(EraseOutcome::Unknown) => Err(Error::GuardianUnknown),
    }
}
