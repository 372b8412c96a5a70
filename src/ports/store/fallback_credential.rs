//! The store's part in credentials that staff issue: given, listed, taken away, and made a password once.

use async_trait::async_trait;

use crate::domain::fallback_credential::{Delivery, RestsOn};
use crate::domain::id::{ActivationId, GuardianId};
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::password::PasswordHash;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;

/// A right to choose a password, to be given. It takes the place of one that waits at the portal, and carries the
/// account's epoch of the transaction.
#[derive(Clone, Debug)]
pub struct NewActivation {
    /// Its id.
    pub id: ActivationId,
    /// The organization.
    pub organization: OrganizationId,
    /// The portal of the password.
    pub portal: Portal,
    /// Whose account.
    pub guardian: GuardianId,
    /// What the password will rest on.
    pub rests_on: RestsOn,
    /// By which way it goes to the person.
    pub delivery: Delivery,
    /// The hash of the code on a sheet; `None` for a link.
    pub code_hash: Option<PasswordHash>,
    /// The digest of the token of a link that is known already; `None` for one that a message will carry.
    pub token_digest: Option<[u8; 32]>,
    /// Which staff member gives it; `None` at the command line.
    pub issued_by: Option<GuardianId>,
    /// When.
    pub at: Timestamp,
    /// Dead after this.
    pub expires: Timestamp,
}

/// Questions of fallback credentials.
#[async_trait]
pub trait FallbackCredentialStore: Send + Sync {
    /// Keeps the digest of the token in a link that is about to be sent; when the link ends. `None` if it has ended, or the
    /// account is another than it was: then there is nothing to send.
    ///
    /// # Errors
    /// [`PortError`].
    async fn link_activation(
        &self,
        activation: &ActivationId,
        token_digest: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<Timestamp>, PortError>;
}
