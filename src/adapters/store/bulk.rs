//! Statements about many rows at once.

use std::fmt::Write;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::domain::organization::OrganizationId;
use crate::ports::error::PortError;

use super::bind::{Bind, push};
use super::row::Columns;
use super::unit::Unit;

/// Rows that go into one statement. Few sizes: each is a text that the database prepares once a connection. The
/// largest stays far under the parameters that a statement may have (32,766 on SQLite).
const SIZES: [usize; 4] = [128, 32, 8, 1];

/// An `INSERT` of rows.
pub(super) struct Insert {
    /// The name for the metrics.
    pub name: &'static str,
    /// Up to the list of columns.
    pub head: &'static str,
    /// How many columns.
    pub columns: usize,
    /// After the values: `ON CONFLICT …`.
    pub tail: &'static str,
}

impl Insert {
    /// Inserts the rows; `bind` appends the values of one. Says how many rows were touched.
    pub(super) async fn run<T>(
        &self,
        unit: &mut Unit,
        mut rows: &[T],
        bind: impl Fn(&T, &mut AnyArguments),
    ) -> Result<u64, PortError> {
        let mut touched = 0;
        while let Some(size) = SIZES.into_iter().find(|size| *size <= rows.len()) {
            let (chunk, rest) = rows.split_at(size);
            let mut arguments = AnyArguments::default();
            for row in chunk {
                bind(row, &mut arguments);
            }
            let text = AssertSqlSafe(self.text(size)).into_sql_str();
            touched += unit.execute_text(self.name, text, arguments).await?;
            rows = rest;
        }
        Ok(touched)
    }

    fn text(&self, rows: usize) -> String {
        let mut text =
            String::with_capacity(self.head.len() + self.tail.len() + rows * (self.columns * 6 + 4) + 16);
        text.push_str(self.head);
        text.push_str(" VALUES ");
        append_rows(&mut text, 0, rows, self.columns);
        text.push(' ');
        text.push_str(self.tail);
        text
    }
}

/// An `UPDATE` of rows that differ in what they get: `head FROM (VALUES …) AS wanted WHERE tail`, with `$1` for what they
/// all get and `wanted.column1` and so on for the rest.
pub(super) struct Update {
    /// The name for the metrics.
    pub name: &'static str,
    /// `UPDATE table SET …`.
    pub head: &'static str,
    /// How many columns of values.
    pub columns: usize,
    /// The condition, which compares an indexed column with one of the values.
    pub tail: &'static str,
}

impl Update {
    /// Updates the rows; `bind` appends the values of one. Says how many rows were touched.
    pub(super) async fn run<T>(
        &self,
        unit: &mut Unit,
        first: &(impl Bind + ?Sized),
        mut rows: &[T],
        bind: impl Fn(&T, &mut AnyArguments),
    ) -> Result<u64, PortError> {
        let mut touched = 0;
        while let Some(size) = SIZES.into_iter().find(|size| *size <= rows.len()) {
            let (chunk, rest) = rows.split_at(size);
            let mut arguments = AnyArguments::default();
            push(&mut arguments, first);
            for row in chunk {
                bind(row, &mut arguments);
            }
            let text = AssertSqlSafe(self.text(size)).into_sql_str();
            touched += unit.execute_text(self.name, text, arguments).await?;
            rows = rest;
        }
        Ok(touched)
    }

    fn text(&self, rows: usize) -> String {
        let mut text =
            String::with_capacity(self.head.len() + self.tail.len() + rows * (self.columns * 6 + 4) + 48);
        text.push_str(self.head);
        text.push_str(" FROM (VALUES ");
        append_rows(&mut text, 1, rows, self.columns);
        text.push_str(") AS wanted WHERE ");
        text.push_str(self.tail);
        text
    }
}

/// Asks for each of many keys which one id has it, or none: `found` in the rows, beside the key as `column1` and so on.
///
/// The question is a subquery of each key, so both databases look each key up in the index. Asked as a join or with
/// `IN`, PostgreSQL may think that an organization has a handful of rows (as long as it has not counted them, or has
/// kept a plan from then), and read all of them once a key.
pub(super) struct Lookup {
    /// The name for the metrics.
    pub name: &'static str,
    /// How many columns a key has.
    pub columns: usize,
    /// The subquery: `$1` is the organization, `wanted.column1` and so on the key.
    pub id_of_key: &'static str,
}

impl Lookup {
    /// Asks for all keys; `bind` appends the values of one. Rows without an id are left out.
    pub(super) async fn rows<K>(
        &self,
        unit: &mut Unit,
        organization: &OrganizationId,
        mut keys: &[K],
        bind: impl Fn(&K, &mut AnyArguments),
    ) -> Result<Vec<AnyRow>, PortError> {
        let mut found = Vec::new();
        while let Some(size) = SIZES.into_iter().find(|size| *size <= keys.len()) {
            let (chunk, rest) = keys.split_at(size);
            let mut arguments = AnyArguments::default();
            push(&mut arguments, organization);
            for key in chunk {
                bind(key, &mut arguments);
            }
            let text = AssertSqlSafe(self.text(size)).into_sql_str();
            for row in unit.rows_of_text(self.name, text, arguments).await? {
                if row.column::<Option<&str>>("found")?.is_some() {
                    found.push(row);
                }
            }
            keys = rest;
        }
        Ok(found)
    }

    fn text(&self, keys: usize) -> String {
        let mut text = String::with_capacity(self.id_of_key.len() + keys * (self.columns * 6 + 4) + 64);
        text.push_str("SELECT wanted.*, (");
        text.push_str(self.id_of_key);
        text.push_str(") AS found FROM (VALUES ");
        append_rows(&mut text, 1, keys, self.columns);
        text.push_str(") AS wanted");
        text
    }
}

/// Reads the rows of many ids: `select FROM (VALUES ($1), …) AS wanted CROSS JOIN from`, where `from` compares an
/// indexed column with `wanted.column1` and has no other condition: with nothing else to go by, both databases go
/// from the ids to the rows. An id that is asked for twice gives its rows twice.
pub(super) struct Listing {
    /// The name for the metrics.
    pub name: &'static str,
    /// `SELECT` and the columns.
    pub select: &'static str,
    /// The table and the condition.
    pub from: &'static str,
}

impl Listing {
    /// Runs the statement for all ids and gives its rows.
    pub(super) async fn rows<K: Bind>(
        &self,
        unit: &mut Unit,
        mut ids: &[K],
    ) -> Result<Vec<AnyRow>, PortError> {
        let mut found = Vec::new();
        while let Some(size) = SIZES.into_iter().find(|size| *size <= ids.len()) {
            let (chunk, rest) = ids.split_at(size);
            let mut arguments = AnyArguments::default();
            for id in chunk {
                push(&mut arguments, id);
            }
            let text = AssertSqlSafe(self.text(size)).into_sql_str();
            found.append(&mut unit.rows_of_text(self.name, text, arguments).await?);
            ids = rest;
        }
        Ok(found)
    }

    fn text(&self, ids: usize) -> String {
        let mut text = String::with_capacity(self.select.len() + self.from.len() + ids * 8 + 48);
        text.push_str(self.select);
        text.push_str(" FROM (VALUES ");
        append_rows(&mut text, 0, ids, 1);
        text.push_str(") AS wanted CROSS JOIN ");
        text.push_str(self.from);
        text
    }
}

/// Appends `($n, …), (…)` after `before` parameters.
fn append_rows(text: &mut String, before: usize, rows: usize, columns: usize) {
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let separator = if column == 1 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{separator}${}", before + row * columns + column);
        }
        text.push(')');
    }
}

#[cfg(test)]
mod tests {
    use super::{Insert, Listing, Lookup, Update};

    #[test]
    fn the_parameters_of_rows_are_numbered_through() {
        let insert =
            Insert { name: "", head: "INSERT INTO t (a, b)", columns: 2, tail: "ON CONFLICT DO NOTHING" };
        assert_eq!(insert.text(2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn each_update_is_a_row_after_what_all_get() {
        let update = Update {
            name: "",
            head: "UPDATE t SET a = $1, b = wanted.column2",
            columns: 2,
            tail: "t.id = wanted.column1",
        };
        let text = "UPDATE t SET a = $1, b = wanted.column2 FROM (VALUES ($2, $3), ($4, $5)) AS wanted \
                    WHERE t.id = wanted.column1";
        assert_eq!(update.text(2), text);
    }

    #[test]
    fn each_key_is_a_row_after_the_organization() {
        let id_of_key = "SELECT id FROM t WHERE o = $1 AND a = wanted.column1 AND b = wanted.column2";
        let lookup = Lookup { name: "", columns: 2, id_of_key };
        let text =
            format!("SELECT wanted.*, ({id_of_key}) AS found FROM (VALUES ($2, $3), ($4, $5)) AS wanted");
        assert_eq!(lookup.text(2), text);
    }

    #[test]
    fn each_id_is_a_row() {
        let listing = Listing { name: "", select: "SELECT t.a", from: "t WHERE t.id = wanted.column1" };
        let text = "SELECT t.a FROM (VALUES ($1), ($2)) AS wanted CROSS JOIN t WHERE t.id = wanted.column1";
        assert_eq!(listing.text(2), text);
    }
}
