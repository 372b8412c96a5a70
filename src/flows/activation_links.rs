//! Links to choose a first password: their tokens, and the messages that carry them.

use crate::domain::fallback_credential::message_key;
use crate::domain::id::{ActivationId, GuardianId, MessageId};
use crate::domain::message::{Channel, NewMessage, Template};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::key_vault::{KeyVault, Purpose};

use super::one_time_token::TokenKind;

/// The token in the link. Derived, so that a message that is sent twice, or by two ways, has one link: whichever arrives
/// works. Who reads the database cannot derive it.
pub fn token(vault: &dyn KeyVault, activation: &ActivationId) -> Secret<String> {
    let bytes = vault.digest(Purpose::ActivationToken, &[b"token", activation.as_str().as_bytes()]);
    TokenKind::ACTIVATION.derived_token(bytes)
}

/// What the store keeps of a token.
pub fn digest(vault: &dyn KeyVault, token: &Secret<String>) -> [u8; 32] {
    vault.digest(Purpose::ActivationToken, &digest_parts(token))
}

/// The same under every master key, for look-up.
pub fn digests(vault: &dyn KeyVault, token: &Secret<String>) -> Vec<[u8; 32]> {
    vault.digests(Purpose::ActivationToken, &digest_parts(token))
}

fn digest_parts(token: &Secret<String>) -> [&[u8]; 2] {
    [b"digest", token.expose().as_bytes()]
}

/// Whom a link goes to, and what for.
pub struct Link<'a> {
    /// The right to choose a password that it stands for.
    pub activation: &'a ActivationId,
    /// The organization.
    pub organization: &'a OrganizationId,
    /// The portal of the password.
    pub portal: Portal,
    /// Whose account.
    pub guardian: &'a GuardianId,
    /// In which language; the one on file if `None`.
    pub locale: Option<Locale>,
    /// When.
    pub at: Timestamp,
}

/// The message that carries a link, for the outbox. It holds no link: that is made when it is sent, and not for one that
/// has ended by then. `template`: [`Template::ActivationLink`] or [`Template::StaffInvitation`].
pub fn message(entropy: &dyn Entropy, link: &Link<'_>, template: Template, channel: Channel) -> NewMessage {
    NewMessage {
        id: MessageId::new(link.at, random_bytes(entropy)),
        organization: link.organization.clone(),
        portal: link.portal,
        guardian: Some(link.guardian.clone()),
        channel,
        template: Some(template),
        locale: link.locale,
        reference: None,
        idempotency_key: message_key(link.activation, channel),
        at: link.at,
    }
}
