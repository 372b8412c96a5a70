//! Whose name fits the words.
//!
//! One word is looked up among the parts of names; of more, two among the pairs of parts, for few people share two. Where
//! the first of the two is the beginning of several parts, each of these is looked up with the second: there are as many as
//! there are different names, however many people have them. Each hit is looked at: further words, and the member's scope.
//!
//! A page ends when it is full, or so much was looked at that it would cost more in a large organization than in a small
//! one. Where the member's schools are small, that would look at many to find few: then the search begins at the schools.

use std::collections::VecDeque;

use sqlx::any::AnyArguments;

use crate::adapters::store::bind::{bind, push};
use crate::adapters::store::name_parts::{Kind, parts_of};
use crate::adapters::store::row::{Columns, corrupt};
use crate::adapters::store::unit::Unit;
use crate::domain::name_search::{NameWords, end_of, pair};
use crate::domain::staff::Scope;
use crate::ports::error::PortError;
use crate::ports::store::Viewer;

use super::statements::{
    CHILDREN_BY_NAME, CHILDREN_OF_SCHOOLS, COUNT_CHILDREN, FIRST_PARTS, GUARDIANS_BY_NAME,
    GUARDIANS_OF_SCHOOLS, OTHER_WORDS,
};

/// Names that one page looks at: some 50 ms of work.
const MOST_LOOKED_AT: usize = 4_096;

/// Names looked at in one statement, where not each is a hit.
const LOOK: usize = 512;

/// Parts that begin with the first word, listed in one statement.
const PARTS: usize = 256;

/// Up to so many children of the member's schools, the search begins there.
const SMALL_SCHOOLS: i64 = 2_000;

/// Somebody whose name was found, by the part, or pair of parts, that the words looked up begin.
pub(super) struct Hit {
    pub part: String,
    pub id: String,
}

impl Hit {
    /// Whether somebody with this name has no hit before this one.
    pub(super) fn is_first(&self, words: &NameWords, given_name: &str, family_name: &str) -> bool {
        words.first_match(&parts_of(given_name, family_name)).is_some_and(|first| first == self.part)
    }
}

/// Hits in order, and whether there may be more behind the last one looked at.
pub(super) struct Hits {
    pub hits: Vec<Hit>,
    pub looked_up_to: Option<Hit>,
}

/// What is looked for, and behind whom.
pub(super) struct Looking<'a> {
    viewer: &'a Viewer,
    kind: Kind,
    words: &'a NameWords,
    part: String,
    id: String,
}

impl<'a> Looking<'a> {
    /// From behind a place on. Without one, from the words themselves on: no id is empty.
    pub(super) fn new(viewer: &'a Viewer, kind: Kind, words: &'a NameWords, part: &str, id: &str) -> Self {
        let part = if part.is_empty() { words.looked_up().0 } else { part };
        Self { viewer, kind, words, part: part.to_owned(), id: id.to_owned() }
    }

    /// What the statements by name take, in their order.
    fn values(&self, end: &str, limit: usize, pattern: &str) -> AnyArguments {
        let viewer = self.viewer;
        let kind = match self.words.looked_up() {
            (_, None) => self.kind.of_parts(),
            (_, Some(_)) => self.kind.of_pairs(),
        };
        let first = self.words.looked_up().0;
        let mut values = bind![
            first,
            viewer.organization,
            viewer.staff,
            end,
            self.part,
            self.id,
            as_limit(limit),
            kind,
            pattern
        ];
        for index in 0..OTHER_WORDS {
            let word = self.words.others().get(index).map_or("", String::as_str);
            push(&mut values, word);
            push(&mut values, &end_of(word));
        }
        values
    }

    /// Matches the rows of everybody whom the words looked up fit.
    fn pattern(&self) -> String {
        match self.words.looked_up() {
            (first, None) => format!("{first}%"),
            (first, Some(second)) => format!("{first}% {second}%"),
        }
    }

    /// Goes on behind this hit.
    fn go_on_behind(&mut self, hit: &Hit) {
        (self.part, self.id) = (hit.part.clone(), hit.id.clone());
    }

    fn place(self) -> Hit {
        Hit { part: self.part, id: self.id }
    }
}

/// Where parts, or pairs, lie that the words begin: from one text up to another.
type Range = (String, String);

/// The ranges to look at, in order.
struct Ranges<'a> {
    words: &'a NameWords,
    known: VecDeque<Range>,
    /// Where to look for further first parts, from this one on.
    next: Option<String>,
    /// First parts seen.
    seen: usize,
}

impl<'a> Ranges<'a> {
    fn new(looking: &Looking<'a>) -> Self {
        let words = looking.words;
        let (known, next) = if let (first, None) = words.looked_up() {
            ([(first.to_owned(), end_of(first))].into(), None)
        } else {
            // Of a place among the pairs, the first part.
            (VecDeque::new(), looking.part.split(' ').next().map(str::to_owned))
        };
        Self { words, known, next, seen: 0 }
    }

    /// The next one, if there is any and not too much was looked at: then `next` is left.
    async fn next(&mut self, unit: &mut Unit, looking: &Looking<'_>) -> Result<Option<Range>, PortError> {
        while self.known.is_empty()
            && self.seen < MOST_LOOKED_AT
            && let Some(from) = self.next.take()
        {
            self.list(unit, looking, &from).await?;
        }
        Ok(self.known.pop_front())
    }

    /// First parts from this one on, of whose pairs with the second word there is one.
    async fn list(&mut self, unit: &mut Unit, looking: &Looking<'_>, from: &str) -> Result<(), PortError> {
        let (first, Some(second)) = self.words.looked_up() else { return Ok(()) };
        let values = bind![
            looking.viewer.organization,
            looking.kind.of_parts(),
            from,
            end_of(first),
            looking.kind.of_pairs(),
            second,
            end_of(second),
            as_limit(PARTS)
        ];
        let rows = unit.rows(&FIRST_PARTS, values).await?;
        for row in &rows {
            let part: &str = row.column("part")?;
            if row.flag("found")? {
                self.known.push_back((pair(part, second), end_of(&pair(part, second))));
            }
            // Behind all its pairs, and before each part that it begins.
            self.next = (rows.len() >= PARTS).then(|| end_of(&pair(part, "")));
        }
        self.seen += rows.len();
        Ok(())
    }
}

/// At most `most` hits. Of two words, somebody may be there several times: see [`Hit::is_first`].
pub(super) async fn hits(unit: &mut Unit, mut looking: Looking<'_>, most: usize) -> Result<Hits, PortError> {
    if begins_at_schools(unit, looking.viewer).await? {
        return from_schools(unit, &looking, most).await;
    }
    let statement = match looking.kind {
        Kind::Guardian => &GUARDIANS_BY_NAME,
        Kind::Child => &CHILDREN_BY_NAME,
    };
    // Each name is a hit, or few are.
    let is_dense = looking.viewer.scope == Scope::Organization && looking.words.others().is_empty();
    let look = if is_dense { most.saturating_add(most / 8) } else { LOOK.max(most) };
    let mut found = Hits { hits: Vec::new(), looked_up_to: None };
    let mut looked_at = 0;
    let mut ranges = Ranges::new(&looking);
    // Of pairs hardly anybody has several that match: who lists the people sees that by their names, at no cost.
    let pattern = if looking.words.looked_up().1.is_some() { String::new() } else { looking.pattern() };
    while let Some((start, end)) = ranges.next(unit, &looking).await? {
        if looking.part < start {
            (looking.part, looking.id) = (start, String::new());
        }
        loop {
            let rows = unit.rows(statement, looking.values(&end, look, &pattern)).await?;
            for row in &rows {
                let hit = Hit { part: row.column("part")?, id: row.column("person_id")? };
                looking.go_on_behind(&hit);
                if row.flag("found")? {
                    found.hits.push(hit);
                    if found.hits.len() >= most {
                        found.looked_up_to = Some(looking.place());
                        return Ok(found);
                    }
                }
            }
            looked_at += rows.len();
            if looked_at + ranges.seen >= MOST_LOOKED_AT {
                found.looked_up_to = Some(looking.place());
                return Ok(found);
            }
            if rows.len() < look {
                break;
            }
        }
    }
    found.looked_up_to = ranges.next.map(|part| Hit { part, id: String::new() });
    Ok(found)
}

async fn begins_at_schools(unit: &mut Unit, viewer: &Viewer) -> Result<bool, PortError> {
    if viewer.scope == Scope::Organization {
        return Ok(false);
    }
    let row = unit.row(&COUNT_CHILDREN, bind![viewer.staff, SMALL_SCHOOLS + 1]).await?;
    Ok(row.ok_or_else(|| corrupt("children"))?.column::<i64>("children")? <= SMALL_SCHOOLS)
}

async fn from_schools(unit: &mut Unit, looking: &Looking<'_>, most: usize) -> Result<Hits, PortError> {
    let statement = match looking.kind {
        Kind::Guardian => &GUARDIANS_OF_SCHOOLS,
        Kind::Child => &CHILDREN_OF_SCHOOLS,
    };
    let end = end_of(looking.words.looked_up().0);
    let rows = unit.rows(statement, looking.values(&end, most, &looking.pattern())).await?;
    let hits = rows
        .iter()
        .map(|row| Ok(Hit { part: row.column("part")?, id: row.column("person_id")? }))
        .collect::<Result<Vec<_>, PortError>>()?;
    let looked_up_to = (hits.len() >= most)
        .then(|| hits.last().map(|last| Hit { part: last.part.clone(), id: last.id.clone() }))
        .flatten();
    Ok(Hits { hits, looked_up_to })
}

fn as_limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
