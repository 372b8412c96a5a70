//! Looking for accounts and children that are there twice, a page at a time.

use crate::domain::duplicate::{DuplicateSign, Likeness, birth_date};
use crate::domain::id::{ChildId, GuardianId};
use crate::ports::error::PortError;
use crate::ports::store::{
    ChildLookAlikes, LookAlike, LookAlikes, SummarizedChild, SummarizedGuardian, Walked,
};

use super::duty::AtWork;
use super::merge_guardians::open_number;
use super::page_token;
use super::staff_parts::StaffParts;

/// Persons that are looked at in one question to the store, and questions on one page: a page may end for having looked
/// at enough, with few pairs or none.
const PERSONS_A_WALK: u32 = 50;
const WALKS_A_PAGE: u32 = 4;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page token is not one of ours for this list.
    #[error("the page token cannot be read")]
    PageToken,
    /// There is no such guardian in use in the member's scope.
    #[error("the guardian is not there")]
    GuardianUnknown,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Two accounts that may be one person's.
#[derive(Debug)]
pub struct Pair {
    /// One.
    pub one: SummarizedGuardian,
    /// The other.
    pub other: SummarizedGuardian,
    /// What they have in common.
    pub signs: Vec<DuplicateSign>,
}

/// Two children that may be one.
#[derive(Debug)]
pub struct ChildPair {
    /// One.
    pub one: SummarizedChild,
    /// The other.
    pub other: SummarizedChild,
    /// How many guardians both have.
    pub common_guardians: u32,
}

/// A page of pairs.
#[derive(Debug)]
pub struct Page<T> {
    /// The pairs.
    pub pairs: Vec<T>,
    /// For the next page.
    pub next: Option<String>,
}

/// Which page.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Pairs on it.
    pub size: u16,
    /// From the answer before.
    pub token: Option<&'a str>,
}

/// Where a walk stands: after this id, and so many pairs of the next one were shown.
#[derive(Debug, Default, PartialEq, Eq)]
struct Position {
    after: Option<String>,
    shown: usize,
}

/// A page that is being filled.
struct Filling<T> {
    size: usize,
    pairs: Vec<T>,
    position: Position,
    is_full: bool,
}

impl<T> Filling<T> {
    fn new(size: u16, position: Position) -> Self {
        Self { size: usize::from(size), pairs: Vec::new(), position, is_full: false }
    }

    /// Takes the pairs of the next person, as far as there is room.
    fn take(&mut self, person: &str, pairs: Vec<T>) {
        if self.is_full {
            return;
        }
        let rest = pairs.into_iter().skip(self.position.shown);
        for pair in rest {
            if self.pairs.len() == self.size {
                self.is_full = true;
                return;
            }
            self.pairs.push(pair);
            self.position.shown += 1;
        }
        self.position = Position { after: Some(person.to_owned()), shown: 0 };
    }
}

/// What a page token is of: it is good for this member and this list only.
fn context<'a>(work: &'a AtWork, list: &'a str, of: &'a str) -> [&'a [u8]; 5] {
    let (organization, staff) = (&work.organization.id, &work.on_duty.staff);
    [
        b"duplicates",
        list.as_bytes(),
        of.as_bytes(),
        organization.as_str().as_bytes(),
        staff.as_str().as_bytes(),
    ]
}

fn seal_token(parts: &StaffParts, context: &[&[u8]], position: &Position) -> String {
    let text = format!("{}.{}", position.shown, position.after.as_deref().unwrap_or_default());
    page_token::seal(parts.vault.as_ref(), context, &text)
}

fn open_token(parts: &StaffParts, context: &[&[u8]], token: Option<&str>) -> Result<Position, Error> {
    let Some(token) = token else { return Ok(Position::default()) };
    let open = || {
        let position = page_token::open(parts.vault.as_ref(), context, token)?;
        let (shown, after) = position.split_once('.')?;
        let after = Some(after.to_owned()).filter(|after| !after.is_empty());
        Some(Position { after, shown: shown.parse().ok()? })
    };
    open().ok_or(Error::PageToken)
}

/// A page of pairs of accounts; with `guardian` of that one's pairs only.
///
/// # Errors
/// [`Error`].
pub async fn find(
    parts: &StaffParts,
    work: &AtWork,
    guardian: Option<&GuardianId>,
    wanted: Wanted<'_>,
) -> Result<Page<Pair>, Error> {
    let context = context(work, "guardians", guardian.map_or("", GuardianId::as_str));
    let mut filling = Filling::new(wanted.size, open_token(parts, &context, wanted.token)?);
    let (organization, staff) = (&work.organization.id, &work.on_duty.staff);
    if let Some(guardian) = guardian {
        let found = parts.store.look_alikes_of(organization, staff, guardian).await?;
        let found = found.ok_or(Error::GuardianUnknown)?;
        filling.take(guardian.as_str(), pairs(parts, work, found));
        let next = filling.is_full.then(|| seal_token(parts, &context, &filling.position));
        return Ok(Page { pairs: filling.pairs, next });
    }
    for _ in 0..WALKS_A_PAGE {
        let after = filling.position.after.as_deref().and_then(GuardianId::parse);
        let Walked { found, go_on_after } =
            parts.store.look_alikes(organization, staff, after.as_ref(), PERSONS_A_WALK).await?;
        for one in found {
            let id = one.one.id.clone();
            filling.take(id.as_str(), pairs(parts, work, one));
        }
        if filling.is_full {
            break;
        }
        let Some(go_on_after) = go_on_after else {
            return Ok(Page { pairs: filling.pairs, next: None });
        };
        filling.position = Position { after: Some(go_on_after.as_str().to_owned()), shown: 0 };
    }
    Ok(Page { next: Some(seal_token(parts, &context, &filling.position)), pairs: filling.pairs })
}

/// The pairs of one account that have enough in common.
fn pairs(parts: &StaffParts, work: &AtWork, found: LookAlikes) -> Vec<Pair> {
    let LookAlikes { one, others } = found;
    let pair = |other: LookAlike| {
        let likeness = Likeness {
            name: other.same_name,
            email: other.same_email,
            mobile: other.same_mobile,
            child: other.common_child,
            birth_date: same_birth_date(parts, work, &one.id, &other),
        };
        likeness.signs().map(|signs| Pair { one: one.clone(), other: other.other, signs })
    };
    others.into_iter().filter_map(pair).collect()
}

/// A number that does not open says nothing here: nothing is decided by it, and its defect shows where it is used.
fn same_birth_date(parts: &StaffParts, work: &AtWork, one: &GuardianId, other: &LookAlike) -> bool {
    let dates = |of: &GuardianId| {
        let numbers = other.numbers.iter().filter(|number| number.guardian == *of);
        numbers
            .filter_map(|number| open_number(parts.vault.as_ref(), &work.organization.id, of, &number.sealed))
            .filter_map(|number| birth_date(&number))
            .collect::<Vec<_>>()
    };
    let others = dates(&other.other.id);
    dates(one).iter().any(|date| others.contains(date))
}

/// A page of pairs of children.
///
/// # Errors
/// [`Error`].
pub async fn find_children(
    parts: &StaffParts,
    work: &AtWork,
    wanted: Wanted<'_>,
) -> Result<Page<ChildPair>, Error> {
    let context = context(work, "children", "");
    let mut filling = Filling::new(wanted.size, open_token(parts, &context, wanted.token)?);
    let (organization, staff) = (&work.organization.id, &work.on_duty.staff);
    for _ in 0..WALKS_A_PAGE {
        let after = filling.position.after.as_deref().and_then(ChildId::parse);
        let Walked { found, go_on_after } =
            parts.store.child_look_alikes(organization, staff, after.as_ref(), PERSONS_A_WALK).await?;
        for ChildLookAlikes { one, others } in found {
            let pair = |(other, common_guardians)| ChildPair { one: one.clone(), other, common_guardians };
            filling.take(one.id.as_str(), others.into_iter().map(pair).collect());
        }
        if filling.is_full {
            break;
        }
        let Some(go_on_after) = go_on_after else {
            return Ok(Page { pairs: filling.pairs, next: None });
        };
        filling.position = Position { after: Some(go_on_after.as_str().to_owned()), shown: 0 };
    }
    Ok(Page { next: Some(seal_token(parts, &context, &filling.position)), pairs: filling.pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pages of persons with so many pairs each.
    fn pages(size: u16, persons: &[(&str, usize)]) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut position = Position::default();
        loop {
            let start = match &position.after {
                None => 0,
                Some(after) => persons.iter().position(|(id, _)| id == after).expect("a person") + 1,
            };
            let mut filling = Filling::new(size, position);
            for (id, count) in &persons[start..] {
                filling.take(id, (0..*count).map(|pair| format!("{id}{pair}")).collect());
            }
            pages.push(filling.pairs);
            if !filling.is_full {
                return pages;
            }
            position = filling.position;
        }
    }

    #[test]
    fn every_pair_is_on_one_page_however_small_it_is() {
        let persons = [("a", 0), ("b", 3), ("c", 0), ("d", 1), ("e", 2)];
        let all = ["b0", "b1", "b2", "d0", "e0", "e1"];
        for size in 1..8 {
            let pages = pages(size, &persons);
            assert_eq!(pages.concat(), all, "{size}");
            assert!(pages.iter().all(|page| page.len() <= usize::from(size)), "{size}");
        }
    }
}
