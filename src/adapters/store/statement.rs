//! SQL statements under names, so that tests and dashboards can count what is run.

/// A statement and the name under which its runs are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// A label of the metrics: `verb_noun`.
    pub name: &'static str,
    /// The text, with `$1` parameters, which both databases read.
    pub text: &'static str,
}

impl Statement {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }
}
