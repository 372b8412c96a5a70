//! Words of a name that somebody looks for, and pages of what is found.

use super::fields::Faults;
use super::status::FaultReason;
use crate::domain::name_search::{NameWords, Unsearchable};
use crate::flows::guardian_search::Page;

/// Longest text that is looked for.
const MAX_NAME_CHARS: usize = 200;
/// Longest page token that is opened.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

/// Beginnings of parts of a name, as typed.
pub(super) fn name_words(faults: &mut Faults, field: &'static str, typed: &str) -> Option<NameWords> {
    if typed.is_empty() {
        faults.add(field, FaultReason::Missing, "required");
        return None;
    }
    if typed.chars().nth(MAX_NAME_CHARS).is_some() {
        faults.add(field, FaultReason::TooLong, "longer than the proto file says");
        return None;
    }
    match NameWords::parse(typed) {
        Ok(words) => Some(words),
        Err(Unsearchable::Empty) => {
            faults.add(field, FaultReason::Malformed, "there is no letter or digit in it");
            None
        }
        Err(Unsearchable::TooManyWords) => {
            faults.add(field, FaultReason::TooLong, "a search has six words at most");
            None
        }
    }
}

/// Which page is asked for.
pub(super) fn page<'t>(faults: &mut Faults, page_size: i32, page_token: &'t str) -> Option<Page<'t>> {
    let size = faults.page_size("page_size", page_size);
    if page_token.len() > MAX_PAGE_TOKEN_BYTES {
        faults.add("page_token", FaultReason::TooLong, "longer than the proto file says");
        return None;
    }
    Some(Page { size: size?, token: (!page_token.is_empty()).then_some(page_token) })
}

/// The fault of a page token of another list.
pub(super) fn foreign_page_token() -> Faults {
    let mut faults = Faults::default();
    let description = "not a token of this list: send what the answer before had, with the same request";
    faults.add("page_token", FaultReason::Malformed, description);
    faults
}
