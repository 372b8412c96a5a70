//! National ids in the store: sealed for their one row, and found by a keyed digest (domain rule 7).

use crate::domain::id::GuardianId;
use crate::domain::identifier::NationalId;
use crate::domain::organization::OrganizationId;
use crate::domain::staff::Realm;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::store::SealedNationalId;

/// Seals a number for its guardian's row, so that it opens in no other row, and digests it for look-up.
pub fn seal(
    vault: &dyn KeyVault,
    organization: &OrganizationId,
    guardian: &GuardianId,
    national_id: &NationalId,
) -> SealedNationalId {
    let id = (national_id.scheme(), national_id.canonical());
    seal_for(vault, organization, Realm::Guardians, guardian, id)
}

/// The same for an account of either realm, and for any identifier: its scheme and its canonical form.
pub fn seal_for(
    vault: &dyn KeyVault,
    organization: &OrganizationId,
    realm: Realm,
    account: &GuardianId,
    (scheme, canonical): (&'static str, &str),
) -> SealedNationalId {
    let key_id = vault.active_key_id().to_owned();
    let context = seal_context(organization, account, &key_id);
    let sealed = vault.seal(Purpose::NationalIdSeal, &context, canonical.as_bytes());
    let parts = index_parts(organization, realm, canonical);
    let index = vault.digest(Purpose::NationalIdIndex, &parts);
    let mut other_indexes = vault.digests(Purpose::NationalIdIndex, &parts);
    other_indexes.retain(|other| *other != index);
    SealedNationalId { scheme, index, other_indexes, sealed: sealed.bytes, key_id }
}

/// What a sealed number is bound to: organization, table, row, column and key.
pub fn seal_context<'a>(
    organization: &'a OrganizationId,
    guardian: &'a GuardianId,
    key_id: &'a str,
) -> [&'a [u8]; 5] {
    [
        organization.as_str().as_bytes(),
        b"guardian_identifier",
        guardian.as_str().as_bytes(),
        b"sealed",
        key_id.as_bytes(),
    ]
}

/// What is digested for look-up. The organization is part of it: temporary numbers are unique only inside theirs, and
/// nobody who reads two organizations' rows can tell that they know the same person. So is the realm: a teacher who is a
/// parent at the same organization has two accounts with one number.
pub fn index_parts<'a>(organization: &'a OrganizationId, realm: Realm, canonical: &'a str) -> Vec<&'a [u8]> {
    let mut parts = vec![organization.as_str().as_bytes(), canonical.as_bytes()];
    match realm {
        Realm::Guardians => {}
        Realm::Staff => parts.push(b"staff"),
    }
    parts
}
