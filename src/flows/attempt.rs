//! What every attempt to show a password has in common: who, where from, which lane, and how it is written down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::audit::{Cause, Event, Fact};
use crate::domain::caller::Caller;
use crate::domain::client::ClientContext;
use crate::domain::id::{AuditEventId, GuardianId};
use crate::domain::limits::Lane;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::reference_code::ReferenceCode;
use crate::domain::time::Timestamp;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;

use super::gate::Refusal;
use super::refusal_log::RefusalLog;

/// Where an attempt comes from.
pub struct Origin {
    /// The calling system.
    pub caller: Arc<Caller>,
    /// The end user's side.
    pub client: ClientContext,
    /// No work is begun for the attempt after this.
    pub deadline: Instant,
}

/// Why an attempt was not answered with what it asked for. The first four carry the code that the person is shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The one public answer to everything that is wrong with the credentials.
    #[error("invalid credentials")]
    InvalidCredentials(ReferenceCode),
    /// Right, but for the other guardian portal.
    #[error("right password at the wrong portal")]
    WrongPortal {
        /// The portal that it is for.
        portal: Portal,
        /// The code.
        reference: ReferenceCode,
    },
    /// A limit was reached.
    #[error("a limit was reached")]
    RateLimited {
        /// When there is room again.
        retry_after: Duration,
        /// The code.
        reference: ReferenceCode,
    },
    /// No room to check a password.
    #[error("no room to check a password")]
    Overloaded {
        /// When there may be room again.
        retry_after: Duration,
        /// The code.
        reference: ReferenceCode,
    },
    /// The deadline passed before the password was looked at.
    #[error("the deadline passed")]
    Expired,
    /// A dependency is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The parts of an audit event that do not change during an attempt.
pub struct Record<'a> {
    /// Where the attempt comes from.
    pub origin: &'a Origin,
    /// The organization.
    pub organization: &'a OrganizationId,
    /// The portal.
    pub portal: Portal,
    /// Which lane it came in.
    pub lane: &'a Lane,
}

impl Record<'_> {
    /// An event of this attempt.
    pub fn event(
        &self,
        entropy: &dyn Entropy,
        at: Timestamp,
        fact: Fact,
        guardian: Option<&GuardianId>,
        reference: Option<&ReferenceCode>,
    ) -> Event {
        Event {
            id: AuditEventId::new(at, random_bytes(entropy)),
            at,
            organization: self.organization.clone(),
            portal: Some(self.portal),
            fact,
            guardian: guardian.cloned(),
            session: None,
            reference: reference.cloned(),
            caller: self.origin.caller.name.clone(),
            address: self.origin.client.address,
            user_agent: self.origin.client.user_agent.clone(),
            known_device: matches!(self.lane, Lane::KnownDevice(_)),
            staff: None,
            child: None,
            detail: None,
        }
    }

    /// The answer to a refusal by the gate. Its event goes to the batcher: a refusal costs no INSERT of its own.
    pub fn refused(
        &self,
        log: &RefusalLog,
        entropy: &dyn Entropy,
        at: Timestamp,
        refusal: Refusal,
        fact: impl FnOnce(Cause) -> Fact,
        guardian: Option<&GuardianId>,
    ) -> Error {
        let reference = new_reference(entropy);
        let (cause, error) = match refusal {
            Refusal::RateLimited { retry_after } => {
                (Cause::RateLimited, Error::RateLimited { retry_after, reference: reference.clone() })
            }
            Refusal::Overloaded { retry_after } => {
                (Cause::Overloaded, Error::Overloaded { retry_after, reference: reference.clone() })
            }
            Refusal::Expired => (Cause::DeadlineExceeded, Error::Expired),
            Refusal::Failed(detail) => {
                let detail = detail.to_owned();
                return Error::Port(PortError::Unavailable { dependency: "hashing pool", detail });
            }
        };
        log.note(self.event(entropy, at, fact(cause), guardian, Some(&reference)));
        error
    }
}

/// A new reference code.
pub fn new_reference(entropy: &dyn Entropy) -> ReferenceCode {
    ReferenceCode::new(random_bytes(entropy))
}
