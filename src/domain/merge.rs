//! Making one account, or one child, of two: which relation stays, and which confirmation goes with it.

use std::time::Duration;

/// How long a merge can be undone (issue: 30 days).
pub const UNDO_SPAN: Duration = Duration::from_hours(30 * 24);

/// The source of relations and numbers that came to an account by a merge: no import changes or drops them, for the
/// source delivers them for the other account.
pub const MERGED_SOURCE: &str = "merged";

/// The source of what staff put there.
pub const STAFF_SOURCE: &str = "staff";

/// Why two accounts or children are not made one, or a merge is not undone: `conflict` in the metadata of
/// `STATE_CONFLICT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeConflict {
    /// One of the accounts was merged into another already.
    AccountMerged,
    /// One of the accounts was erased.
    AccountErased,
    /// Each of the accounts has a number that the state gave for life, so they are two people's unless one number is
    /// wrong: not for a school to decide.
    TwoNumbers,
    /// One of the children was merged into another already.
    ChildMerged,
    /// The account or child that has everything was merged into another one since: that merge is undone first.
    MergedAgain,
    /// The merge is too long ago.
    UndoExpired,
}

impl MergeConflict {
    /// The word in the metadata of the error.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccountMerged => "account_merged",
            Self::AccountErased => "account_erased",
            Self::TwoNumbers => "two_numbers",
            Self::ChildMerged => "child_merged",
            Self::MergedAgain => "merged_again",
            Self::UndoExpired => "undo_expired",
        }
    }
}

/// Who confirmed a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// `source` or `staff`.
    pub by: String,
    /// When, in milliseconds since the Unix epoch.
    pub ms: Option<i64>,
    /// The staff member, if one did.
    pub staff: Option<String>,
    /// By what staff were convinced.
    pub how: Option<String>,
}

/// One row of a relation: a child link of an account, a child link of a child, or a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The id at the other end; empty for a contract.
    pub other: String,
    /// Who delivers it.
    pub source: String,
    /// Who confirmed it, if somebody did.
    pub confirmation: Option<Confirmation>,
}

impl Link {
    /// How much the relation bears: nothing, an imported password, one that staff issued.
    fn strength(&self) -> u8 {
        match &self.confirmation {
            None => 0,
            Some(confirmation) if confirmation.by == STAFF_SOURCE => 2,
            Some(_) => 1,
        }
    }

    /// Whether staff have confirmed it.
    pub fn is_confirmed_by_staff(&self) -> bool {
        self.strength() == 2
    }

    fn is_of_staff(&self) -> bool {
        self.source == STAFF_SOURCE
    }

    fn is_at(&self, other: &str, source: &str) -> bool {
        self.other == other && self.source == source
    }
}

/// What becomes of one row of the absorbed side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkChange {
    /// The row as it was at the absorbed side, where it is no more.
    pub from: Link,
    /// The row of the kept side that it changes or that stands for it, as it was; `None`: there was none.
    pub before: Option<Link>,
    /// The row of the kept side as it is now; `None`: the one before stands for it, unchanged.
    pub after: Option<Link>,
}

impl LinkChange {
    /// Whether what staff confirmed at the absorbed side may be taken from the row that stood for it at the kept side:
    /// that is as it was. Staff who changed it meanwhile spoke of the one person that the two accounts were.
    pub fn still_stands(&self, standing: &[Link]) -> bool {
        match (&self.after, &self.before) {
            (None, Some(stood)) if self.from.is_confirmed_by_staff() => standing.contains(stood),
            (None | Some(_), _) => true,
        }
    }
}

/// Joins the rows of the absorbed side to those of the kept one. A row of the kept side stays where both have one, and no
/// confirmation is lost by that: the stronger one counts.
///
/// `source` is the name under which a row of a source stands at the kept side. `holds` says whether a confirmation by
/// staff still holds there: staff confirm for their own school only.
pub fn join(
    kept: &[Link],
    absorbed: &[Link],
    source: impl Fn(&str) -> String,
    holds: impl Fn(&Link) -> bool,
) -> Vec<LinkChange> {
    let mut standing = kept.to_vec();
    let mut changes = Vec::with_capacity(absorbed.len());
    for from in absorbed {
        let mut to = Link { source: source(&from.source), ..from.clone() };
        if from.is_confirmed_by_staff() && !holds(from) {
            to.confirmation = None;
        }
        let same = standing.iter().position(|link| link.is_at(&to.other, &to.source));
        let stands_for_it =
            |link: &Link| link.other == to.other && !link.is_of_staff() && link.strength() >= to.strength();
        let change = match same {
            Some(at) if to.strength() > standing[at].strength() => {
                let before = std::mem::replace(&mut standing[at], to.clone());
                LinkChange { from: from.clone(), before: Some(before), after: Some(to) }
            }
            Some(at) => LinkChange { from: from.clone(), before: Some(standing[at].clone()), after: None },
            None => {
                if let Some(link) = standing.iter().find(|link| !to.is_of_staff() && stands_for_it(link)) {
                    LinkChange { from: from.clone(), before: Some(link.clone()), after: None }
                } else {
                    standing.push(to.clone());
                    LinkChange { from: from.clone(), before: None, after: Some(to) }
                }
            }
        };
        changes.push(change);
    }
    changes
}

/// The mark of a link that staff removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedLink {
    /// The id at the other end.
    pub other: String,
    /// Who removed it.
    pub staff: String,
    /// When, in milliseconds since the Unix epoch.
    pub ms: i64,
}

/// What becomes of the marks of removed links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedLinkChanges {
    /// Go to the kept side.
    pub moved: Vec<RemovedLink>,
    /// Of the absorbed side, put away: the kept side has the same one, or the link.
    pub dropped_absorbed: Vec<RemovedLink>,
    /// Of the kept side, put away: the absorbed side has the link.
    pub dropped_kept: Vec<RemovedLink>,
}

/// Joins the marks of removed links: a link that is there on one side outranks its mark on the other.
pub fn join_removed(
    kept: (&[Link], &[RemovedLink]),
    absorbed: (&[Link], &[RemovedLink]),
) -> RemovedLinkChanges {
    let is_live = |links: &[Link], mark: &RemovedLink| links.iter().any(|link| link.other == mark.other);
    let mut changes = RemovedLinkChanges::default();
    for mark in absorbed.1 {
        let is_there = kept.1.iter().any(|other| other.other == mark.other);
        if is_there || is_live(kept.0, mark) {
            changes.dropped_absorbed.push(mark.clone());
        } else {
            changes.moved.push(mark.clone());
        }
    }
    changes.dropped_kept = kept.1.iter().filter(|mark| is_live(absorbed.0, mark)).cloned().collect();
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(other: &str, source: &str, by: Option<&str>) -> Link {
        let confirmation = by.map(|by| Confirmation {
            by: by.to_owned(),
            ms: Some(1),
            staff: (by == STAFF_SOURCE).then(|| "s".to_owned()),
            how: None,
        });
        Link { other: other.to_owned(), source: source.to_owned(), confirmation }
    }

    fn at_kept(source: &str) -> String {
        if source == STAFF_SOURCE { source.to_owned() } else { MERGED_SOURCE.to_owned() }
    }

    fn links() -> impl Strategy<Value = Vec<Link>> {
        let sources = prop::sample::select(vec!["import", "staff", "merged"]);
        let confirmed = prop::sample::select(vec![None, Some("source"), Some("staff")]);
        let link = ("[a-c]", sources, confirmed).prop_map(|(other, source, by)| link(&other, source, by));
        prop::collection::vec(link, 0..8).prop_map(|mut links| {
            links.sort_by(|a, b| (&a.other, &a.source).cmp(&(&b.other, &b.source)));
            links.dedup_by(|a, b| a.is_at(&b.other, &b.source));
            links
        })
    }

    /// The kept side after the changes.
    fn applied(kept: &[Link], changes: &[LinkChange]) -> Vec<Link> {
        let mut rows = kept.to_vec();
        for LinkChange { before, after, .. } in changes {
            let Some(after) = after else { continue };
            if let Some(before) = before {
                let at = rows.iter().position(|row| row == before).expect("it is there");
                rows.remove(at);
            }
            rows.push(after.clone());
        }
        rows
    }

    #[test]
    fn a_confirmation_of_the_absorbed_side_is_not_lost() {
        let kept = [link("c", "staff", None)];
        let absorbed = [link("c", "staff", Some("staff"))];
        let changes = join(&kept, &absorbed, at_kept, |_| true);
        assert_eq!(applied(&kept, &changes), absorbed);
    }

    #[test]
    fn a_confirmation_comes_back_only_while_the_one_that_stood_for_it_stands() {
        let both = [link("c", "staff", Some("staff"))];
        let [change] = &join(&both, &both, at_kept, |_| true)[..] else { panic!("one change") };
        assert_eq!(change.after, None);
        assert!(change.still_stands(&both));
        // Removed, and added again without a confirmation.
        for standing in [&[][..], &[link("c", "staff", None)]] {
            assert!(!change.still_stands(standing), "{standing:?}");
        }
        // What a source says is the source's to say again.
        let sources = [link("c", "merged", Some("source"))];
        assert!(join(&sources, &sources, at_kept, |_| true)[0].still_stands(&[]));
    }

    #[test]
    fn a_confirmation_that_does_not_hold_there_is_no_confirmation() {
        let absorbed = [link("c", "staff", Some("staff"))];
        let changes = join(&[], &absorbed, at_kept, |_| false);
        assert_eq!(changes[0].from, absorbed[0]);
        assert_eq!(changes[0].after, Some(link("c", "staff", None)));
    }

    #[test]
    fn a_link_outranks_the_mark_of_its_removal_on_the_other_side() {
        let mark = |other: &str| RemovedLink { other: other.to_owned(), staff: "s".to_owned(), ms: 1 };
        let (here, there) = ([link("a", "import", None)], [link("b", "import", None)]);
        let changes =
            join_removed((&here, &[mark("b"), mark("d")]), (&there, &[mark("a"), mark("c"), mark("d")]));
        assert_eq!(changes.moved, [mark("c")]);
        assert_eq!(changes.dropped_absorbed, [mark("a"), mark("d")]);
        assert_eq!(changes.dropped_kept, [mark("b")]);
    }

    proptest! {
        #[test]
        fn everything_that_bore_something_bears_as_much_afterwards(kept in links(), absorbed in links()) {
            let changes = join(&kept, &absorbed, at_kept, |_| true);
            let rows = applied(&kept, &changes);
            for row in kept.iter().chain(&absorbed) {
                let best = rows.iter().filter(|now| now.other == row.other).map(Link::strength).max();
                prop_assert!(best >= Some(row.strength()), "{row:?} in {rows:?}");
            }
            for (index, row) in rows.iter().enumerate() {
                prop_assert!(!rows[..index].iter().any(|other| other.is_at(&row.other, &row.source)));
            }
        }
    }
}
