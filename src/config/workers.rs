//! `workers`: what a process does beside answering calls.

use super::form::Flag;
use super::reader::Reader;

/// What a process does beside answering calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Whether it settles requests for reset links and sends messages.
    pub enabled: bool,
}

pub(super) fn read(workers: &mut Reader<'_>) -> Workers {
    let enabled = workers.or(
        "enabled",
        "whether this process settles requests for reset links, sends messages and chains the audit log; at least one must",
        &Flag,
        true,
    );
    Workers { enabled }
}
