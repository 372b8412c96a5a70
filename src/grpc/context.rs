//! What a handler knows of the call besides its message: caller, end user's address, deadline.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tonic::{Request, Status};

use super::incident::Incidents;
use super::status;
use crate::domain::caller::Caller;
use crate::domain::organization::Organization;
use crate::domain::staff::OnDuty;
use crate::flows::duty::Duty;
use crate::flows::organizations::Organizations;
use crate::ports::clock::Clock;
use crate::ports::error::PortError;
use crate::ports::store::RequestKey;

/// Put into the request's extensions once caller, access and deadline are known.
#[derive(Clone)]
pub struct CallerContext {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// The end user's address as the connection shows it: for `web` callers only, whose pages cannot be believed.
    pub client_address: Option<IpAddr>,
    /// The staff member who is on duty: for rpcs of staff services always, else never.
    pub on_duty: Option<Arc<OnDuty>>,
    /// When the answer must be there. Pass it down: work that starts later is wasted.
    pub deadline: Instant,
    /// The rpc, as in logs.
    pub(super) rpc: &'static str,
    pub(super) record: Arc<Record>,
    pub(super) shared: Arc<Shared>,
}

/// What all calls share.
pub(super) struct Shared {
    pub(super) organizations: Arc<Organizations>,
    pub(super) incidents: Incidents,
    pub(super) duty: Arc<Duty>,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a handler adds to the line of its call in the request log.
#[derive(Default)]
pub(super) struct Record {
    organization: OnceLock<Arc<Organization>>,
    reached: AtomicBool,
}

impl Record {
    pub(super) fn organization(&self) -> Option<&str> {
        self.organization.get().map(|organization| organization.id.as_str())
    }

    pub(super) fn note_organization(&self, organization: &Arc<Organization>) {
        // The first one stays: a call concerns one organization.
        drop(self.organization.set(Arc::clone(organization)));
    }

    /// Whether a handler ran: before that, a foreign status means that the message could not be read.
    pub(super) fn reached_handler(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }
}

impl CallerContext {
    /// Today, UTC: what short forms of numbers need.
    pub fn today(&self) -> jiff::civil::Date {
        self.shared.clock.now().utc_date()
    }

    /// What a request with an id is known by when it comes again.
    pub fn request_key(&self, id: String, message: &[u8]) -> RequestKey {
        self.shared.duty.request_key(id, self.rpc, message)
    }

    /// The answer to a failure of a port; logs it, once.
    pub fn port_failed(&self, error: &PortError) -> Status {
        self.shared.incidents.port(error)
    }

    /// The answer to a defect; logs it, once, under a new incident id. `what` must hold nothing of the request.
    pub fn internal(&self, what: &dyn std::fmt::Display) -> Status {
        self.shared.incidents.internal(what)
    }
}

/// The context of a call.
///
/// # Errors
/// `CALLER_UNKNOWN` if the request did not come through the [`super::front`]: nobody is let in by forgetting it.
pub fn caller_context<T>(request: &Request<T>) -> Result<CallerContext, Status> {
    let context = request.extensions().get::<CallerContext>().ok_or_else(status::caller_unknown)?;
    context.record.reached.store(true, Ordering::Relaxed);
    Ok(context.clone())
}

/// Takes a request apart into its context and its message.
///
/// # Errors
/// See [`caller_context`].
pub fn open<T>(request: Request<T>) -> Result<(CallerContext, T), Status> {
    let (_, mut extensions, message) = request.into_parts();
    let context = extensions.remove::<CallerContext>().ok_or_else(status::caller_unknown)?;
    context.record.reached.store(true, Ordering::Relaxed);
    Ok((context, message))
}
