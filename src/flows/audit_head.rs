//! Signing the end of an organization's chain, and looking whether it was signed by us.

use crate::domain::audit_chain::{ChainDigest, ChainEnd};
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::key_vault::{KeyVault, Purpose, Signed};
use crate::ports::store::{SignedHead, StoredHead};

/// Signs the end of a chain with the active master key.
pub fn sign(vault: &dyn KeyVault, organization: &OrganizationId, end: ChainEnd, at: Timestamp) -> SignedHead {
    let signature = vault.sign(Purpose::AuditHead, &end.statement(organization, at));
    SignedHead { organization: organization.clone(), end, at, signature }
}

/// Whether we signed a head.
pub fn look(vault: &dyn KeyVault, head: &SignedHead) -> Signed {
    let statement = head.end.statement(&head.organization, head.at);
    vault.verify(Purpose::AuditHead, &statement, &head.signature)
}

/// Whether a chain may be gone on with from its head: we signed it, and the link that it stands on is the one that was
/// there then. Else a new signature would make good what somebody did to the old one.
pub fn may_go_on(vault: &dyn KeyVault, stored: &StoredHead) -> bool {
    let stands = |link: &(ChainDigest, String)| link.0 == stored.head.end.digest;
    look(vault, &stored.head) == Signed::Genuine && stored.link.as_ref().is_some_and(stands)
}
