//! Statements about many rows at once.

use std::fmt::Write;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::ports::error::PortError;

use super::bind::{Bind, push};
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
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            append_parameters(&mut text, row * self.columns, self.columns);
            text.push(')');
        }
        text.push(' ');
        text.push_str(self.tail);
        text
    }
}

/// A statement with a list: `head ($n, …) tail`.
pub(super) struct Listing {
    /// The name for the metrics.
    pub name: &'static str,
    /// Up to `IN`, with the first parameters.
    pub head: &'static str,
    /// How many parameters `head` has.
    pub fixed: usize,
    /// After the list.
    pub tail: &'static str,
}

impl Listing {
    /// Runs the statement for all keys and gives its rows; `fixed` appends the parameters of `head`.
    pub(super) async fn rows<K: Bind>(
        &self,
        unit: &mut Unit,
        fixed: impl Fn(&mut AnyArguments),
        mut keys: &[K],
    ) -> Result<Vec<AnyRow>, PortError> {
        let mut found = Vec::new();
        while let Some(last) = keys.last() {
            // The smallest size that holds them all, else the largest; the last key fills up.
            let size = SIZES.into_iter().rev().find(|size| *size >= keys.len()).unwrap_or(SIZES[0]);
            let (chunk, rest) = keys.split_at(size.min(keys.len()));
            let mut arguments = AnyArguments::default();
            fixed(&mut arguments);
            for index in 0..size {
                push(&mut arguments, chunk.get(index).unwrap_or(last));
            }
            let text = AssertSqlSafe(self.text(size)).into_sql_str();
            found.append(&mut unit.rows_of_text(self.name, text, arguments).await?);
            keys = rest;
        }
        Ok(found)
    }

    fn text(&self, keys: usize) -> String {
        let mut text = String::with_capacity(self.head.len() + self.tail.len() + keys * 6 + 8);
        text.push_str(self.head);
        text.push_str(" (");
        append_parameters(&mut text, self.fixed, keys);
        text.push_str(") ");
        text.push_str(self.tail);
        text
    }
}

/// Appends `$n, $n+1, …` after `before` parameters.
fn append_parameters(text: &mut String, before: usize, count: usize) {
    for index in 1..=count {
        let separator = if index == 1 { "" } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(text, "{separator}${}", before + index);
    }
}

#[cfg(test)]
mod tests {
    use super::{Insert, Listing};

    #[test]
    fn the_parameters_of_rows_are_numbered_through() {
        let insert =
            Insert { name: "", head: "INSERT INTO t (a, b)", columns: 2, tail: "ON CONFLICT DO NOTHING" };
        assert_eq!(insert.text(2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn a_list_follows_the_fixed_parameters() {
        let listing =
            Listing { name: "", head: "SELECT a FROM t WHERE o = $1 AND k IN", fixed: 1, tail: "FOR UPDATE" };
        assert_eq!(listing.text(2), "SELECT a FROM t WHERE o = $1 AND k IN ($2, $3) FOR UPDATE");
    }
}
