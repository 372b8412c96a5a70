//! The texts of the search. All by name take the same values: `$1` the first word to look up, `$2` the organization, `$3`
//! the staff member, `$4` the end of the range, `$5` and `$6` part and id to go on behind, `$7` the limit, `$8` the kind of
//! the rows, `$9` the pattern that they match, and from `$10` on each word that is not looked up and its end.
//!
//! A pattern needs no escapes: words have letters and digits only.

use crate::adapters::store::act::{child_in_scope, guardian_in_scope};
use crate::adapters::store::statement::Statement;

/// Words besides the two that are looked up; the texts have room for so many.
pub(super) const OTHER_WORDS: usize = 4;

const _: () = assert!(OTHER_WORDS + 2 == crate::domain::name_search::MOST_WORDS, "each word has its place");

/// `OFFSET 0` keeps PostgreSQL from looking everybody up at once and hashing them, which it finds cheaper as long as it
/// has not counted the rows; SQLite asks for a `LIMIT` before it.
macro_rules! word {
    ($person:literal, $word:literal, $end:literal) => {
        concat!(
            "(",
            $word,
            " = '' OR EXISTS (SELECT 1 FROM name_part w WHERE w.person_id = ",
            $person,
            " AND w.part >= ",
            $word,
            " AND w.part < ",
            $end,
            " LIMIT 1 OFFSET 0))"
        )
    };
}

macro_rules! other_words {
    ($person:literal) => {
        concat!(
            word!($person, "$10", "$11"),
            " AND ",
            word!($person, "$12", "$13"),
            " AND ",
            word!($person, "$14", "$15"),
            " AND ",
            word!($person, "$16", "$17")
        )
    };
}

/// The parts of names from `$3` up to `$4`, each once and at most `$8`, and whether a pair of one of them and of a part
/// from `$6` up to `$7` exists. Jumps from part to part: as much work as there are different parts, however many people
/// have them. Ordered, since PostgreSQL reads a range to its end for `min` of what it believes to be one row.
pub(super) const FIRST_PARTS: Statement = Statement::new(
    "list_first_parts",
    "WITH RECURSIVE first (part, place) AS ( \
         SELECT (SELECT n.part FROM name_part n \
             WHERE n.organization = $1 AND n.kind = $2 AND n.part >= $3 AND n.part < $4 ORDER BY n.part LIMIT 1), CAST(1 AS bigint) \
         UNION ALL \
         SELECT (SELECT n.part FROM name_part n \
             WHERE n.organization = $1 AND n.kind = $2 AND n.part > f.part AND n.part < $4 ORDER BY n.part LIMIT 1), f.place + 1 \
         FROM first f WHERE f.part IS NOT NULL AND f.place < $8) \
     SELECT f.part, CAST(CASE WHEN EXISTS (SELECT 1 FROM name_part n \
         WHERE n.organization = $1 AND n.kind = $5 AND n.part >= f.part || ' ' || $6 AND n.part < f.part || ' ' || $7 \
         LIMIT 1 OFFSET 0) THEN 1 ELSE 0 END AS bigint) AS found \
     FROM first f WHERE f.part IS NOT NULL ORDER BY f.part",
);

/// Over the index, from behind a place on. Somebody of whom several rows match the pattern counts by the first of them;
/// without a pattern, by each.
macro_rules! by_name {
    ($is_visible:expr) => {
        concat!(
            "SELECT n.part, n.person_id, CAST(CASE WHEN ",
            $is_visible,
            " AND ",
            other_words!("n.person_id"),
            " AND ($9 = '' OR NOT EXISTS (SELECT 1 FROM name_part e WHERE e.person_id = n.person_id AND e.part >= $1 \
                 AND e.part < n.part AND e.kind = n.kind AND e.part LIKE $9 LIMIT 1 OFFSET 0)) \
                 THEN 1 ELSE 0 END AS bigint) AS found \
             FROM name_part n WHERE n.organization = $2 AND n.kind = $8 \
                 AND (n.part, n.person_id) > ($5, $6) AND n.part < $4 \
             ORDER BY n.part, n.person_id LIMIT $7"
        )
    };
}

pub(super) const GUARDIANS_BY_NAME: Statement = Statement::new(
    "search_guardians_by_name",
    by_name!(concat!(
        "EXISTS (SELECT 1 FROM guardian g WHERE g.id = n.person_id AND g.state IN ('active', 'locked') AND ",
        guardian_in_scope!(),
        " LIMIT 1 OFFSET 0)"
    )),
);

pub(super) const CHILDREN_BY_NAME: Statement = Statement::new(
    "search_children_by_name",
    by_name!(concat!(
        "EXISTS (SELECT 1 FROM child c WHERE c.id = n.person_id AND c.merged_into IS NULL AND ",
        child_in_scope!(),
        " LIMIT 1 OFFSET 0)"
    )),
);

/// From the schools of the member: everybody there is looked at, which is bounded before. Materialized, so that neither
/// database begins at the names.
macro_rules! of_schools {
    ($mine:literal, $is_visible:literal) => {
        concat!(
            "WITH mine AS MATERIALIZED (SELECT DISTINCT ",
            $mine,
            " WHERE s.staff_id = $3 AND c.organization || '' = $2 AND c.merged_into IS NULL), \
             named AS MATERIALIZED (SELECT m.id, (SELECT min(n.part) FROM name_part n \
                 WHERE n.person_id = m.id AND n.kind = $8 AND n.part >= $1 AND n.part < $4 AND n.part LIKE $9) AS part \
                 FROM mine m) \
             SELECT f.part, f.id AS person_id FROM named f \
             WHERE (f.part, f.id) > ($5, $6) AND ",
            other_words!("f.id"),
            $is_visible,
            " ORDER BY f.part, f.id LIMIT $7"
        )
    };
}

pub(super) const GUARDIANS_OF_SCHOOLS: Statement = Statement::new(
    "search_guardians_of_schools",
    of_schools!(
        "k.guardian_id AS id FROM staff_school s JOIN child c ON c.school_id = s.school_id \
         JOIN child_link k ON k.child_id = c.id",
        " AND EXISTS (SELECT 1 FROM guardian g WHERE g.id = f.id AND g.organization || '' = $2 AND g.kind = 'guardian' \
              AND g.state IN ('active', 'locked') LIMIT 1 OFFSET 0)"
    ),
);

pub(super) const CHILDREN_OF_SCHOOLS: Statement = Statement::new(
    "search_children_of_schools",
    of_schools!("c.id FROM staff_school s JOIN child c ON c.school_id = s.school_id", ""),
);

/// At most `$2`.
pub(super) const COUNT_CHILDREN: Statement = Statement::new(
    "count_children_of_schools",
    "SELECT count(*) AS children FROM (SELECT 1 FROM staff_school s JOIN child c ON c.school_id = s.school_id \
     WHERE s.staff_id = $1 LIMIT $2) AS t",
);

pub(super) const BY_NATIONAL_ID: Statement = Statement::new(
    "search_guardian_by_number",
    concat!(
        "SELECT g.id FROM guardian_identifier i JOIN guardian g ON g.id = i.guardian_id \
         WHERE i.organization = $2 AND i.blind_index = $1 AND i.retired_ms IS NULL \
           AND g.state IN ('active', 'locked') AND ",
        guardian_in_scope!()
    ),
);

pub(super) const BY_LOGIN_NAME: Statement = Statement::new(
    "search_guardian_by_login_name",
    concat!(
        "SELECT g.id FROM guardian_login n JOIN guardian g ON g.id = n.guardian_id \
         WHERE n.organization = $2 AND n.login_name = $1 AND n.portal IN ('parent', 'childminder') \
           AND g.state IN ('active', 'locked') AND ",
        guardian_in_scope!()
    ),
);

/// The child is in the member's scope, and so are its guardians.
pub(super) const BY_CHILD: Statement = Statement::new(
    "search_guardians_of_child",
    "SELECT DISTINCT g.id FROM child_link k JOIN guardian g ON g.id = k.guardian_id \
     WHERE k.child_id = $1 AND g.id > $2 AND g.kind = 'guardian' AND g.state IN ('active', 'locked') \
     ORDER BY g.id LIMIT $3",
);
