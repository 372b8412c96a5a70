//! Which staff member works, and whether the member may do this kind of work: asked anew at each call.

use std::sync::Arc;

use crate::domain::audit::{Event, Fact};
use crate::domain::caller::Caller;
use crate::domain::id::{AuditEventId, GuardianId};
use crate::domain::organization::{Organization, Portal};
use crate::domain::session::Method;
use crate::domain::staff::{OnDuty, Role, Task};
use crate::domain::time::Timestamp;
use crate::ports::access_tokens::{AccessTokens, Revocations};
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::ports::key_vault::{KeyVault, Purpose};
use crate::ports::store::{Act, Acted, DutyStore, RequestKey, Viewer};

use super::organizations::Organizations;

/// Why a staff member may not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No valid access token of an active staff member's session at the portal `staff`.
    #[error("no valid staff token")]
    TokenInvalid,
    /// The role does not do this kind of work.
    #[error("the role does not do this")]
    NotAllowed(Role),
    /// It needs a session by eID.
    #[error("it needs a session by eID")]
    StrongerLoginNeeded,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What it takes to know who is on duty.
pub struct Duty {
    /// Verifies tokens.
    pub access: Arc<dyn AccessTokens>,
    /// Sessions that ended lately.
    pub revocations: Arc<dyn Revocations>,
    /// Knows the rights of staff.
    pub store: Arc<dyn DutyStore>,
    /// The organizations with their policies.
    pub organizations: Arc<Organizations>,
    /// Digests requests.
    pub vault: Arc<dyn KeyVault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Duty {
    /// The staff member of a token, if the member may do this kind of work now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn report(&self, caller: &Caller, access_token: &str, task: Task) -> Result<OnDuty, Error> {
        let claims = self.access.verify(access_token, self.clock.now()).ok_or(Error::TokenInvalid)?;
        let may_act =
            claims.portal == Portal::Staff && caller.may_act_for(&claims.organization, Portal::Staff);
        if !may_act || self.revocations.is_revoked(&claims.session) {
            return Err(Error::TokenInvalid);
        }
        let rights = self.store.staff_rights(&claims.guardian).await?.ok_or(Error::TokenInvalid)?;
        if rights.organization != claims.organization {
            return Err(Error::TokenInvalid);
        }
        if !rights.role.may(task) {
            return Err(Error::NotAllowed(rights.role));
        }
        let home =
            self.organizations.with_portal(&rights.organization, Portal::Staff).ok_or(Error::TokenInvalid)?;
        let is_strong = match claims.method {
            Method::Eid => true,
            Method::Password => home.staff.password_is_enough_because.is_some(),
        };
        if task.needs_eid() && !is_strong {
            return Err(Error::StrongerLoginNeeded);
        }
        Ok(OnDuty {
            staff: claims.guardian.clone(),
            home: rights.organization,
            role: rights.role,
            scope: rights.scope,
            revision: rights.revision,
            method: claims.method,
            task,
        })
    }

    /// What a request with an id is known by when it comes again.
    pub fn request_key(&self, id: String, rpc: &'static str, message: &[u8]) -> RequestKey {
        RequestKey { id, digest: self.vault.digest(Purpose::StaffRequest, &[rpc.as_bytes(), message]) }
    }
}

/// Why a change was not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The member is not on duty any more, or with other rights.
    #[error("the staff member is off duty")]
    OffDuty,
    /// The id of the request is that of another one.
    #[error("the id of the request was used for another one")]
    OtherRequest,
}

/// A change that was looked at, now or when the same request came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked<T> {
    /// Now, with this outcome.
    Now(T),
    /// Before: the answer is what is true now. The id that it made, if it made one.
    Before(Option<String>),
}

/// Parts what was looked at from what was not.
///
/// # Errors
/// [`Refused`].
pub fn looked<T>(acted: Acted<T>) -> Result<Looked<T>, Refused> {
    match acted {
        Acted::Now(outcome) => Ok(Looked::Now(outcome)),
        Acted::Before(result) => Ok(Looked::Before(result)),
        Acted::OtherRequest => Err(Refused::OtherRequest),
        Acted::OffDuty => Err(Refused::OffDuty),
    }
}

/// A staff member at work in an organization: what every flow of staff begins with.
#[derive(Clone)]
pub struct AtWork {
    /// The member.
    pub on_duty: Arc<OnDuty>,
    /// The organization.
    pub organization: Arc<Organization>,
    /// The system that calls.
    pub caller: Arc<Caller>,
    /// The request, if it has an id.
    pub request: Option<RequestKey>,
}

impl AtWork {
    /// An event of the member's work. The fields that it leaves empty are the flow's to fill.
    pub fn event(
        &self,
        entropy: &dyn Entropy,
        at: Timestamp,
        fact: Fact,
        guardian: Option<&GuardianId>,
    ) -> Event {
        Event {
            id: AuditEventId::new(at, random_bytes(entropy)),
            at,
            organization: self.organization.id.clone(),
            portal: None,
            fact,
            guardian: guardian.cloned(),
            session: None,
            reference: None,
            caller: self.caller.name.clone(),
            address: None,
            user_agent: String::new(),
            known_device: false,
            staff: Some(self.on_duty.staff.clone()),
            child: None,
            detail: None,
        }
    }

    /// Who looks, and how far.
    pub fn viewer(&self) -> Viewer {
        Viewer {
            organization: self.organization.id.clone(),
            staff: self.on_duty.staff.clone(),
            scope: self.on_duty.scope.clone(),
        }
    }

    /// What a change by the member carries.
    pub fn act(&self, at: Timestamp, events: Vec<Event>) -> Act {
        Act {
            organization: self.organization.id.clone(),
            staff: self.on_duty.staff.clone(),
            revision: self.on_duty.revision,
            request: self.request.clone(),
            at,
            events,
        }
    }
}
