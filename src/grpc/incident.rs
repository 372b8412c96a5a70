//! Defects: an error line in the log and an INTERNAL status that share an incident id.

use std::fmt::Display;
use std::sync::Arc;

use tonic::Status;

use super::status;
use crate::domain::id::IncidentId;
use crate::ports::clock::Clock;
use crate::ports::entropy::{Entropy, random_bytes};
use crate::ports::error::PortError;
use crate::telemetry;

/// Makes incident ids and logs what happened under them.
#[derive(Clone)]
pub struct Incidents {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Incidents {
    /// Ids from this clock and this random source.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy }
    }

    /// Logs a defect, once, and makes the answer. `what` must hold nothing of a request.
    pub fn internal(&self, what: &dyn Display) -> Status {
        let id = IncidentId::new(self.clock.now(), random_bytes(&*self.entropy));
        tracing::error!(target: telemetry::INCIDENT, incident_id = id.as_str(), error = %what, "internal error");
        status::internal(id)
    }

    /// Logs a port's failure, once, and makes the answer.
    pub fn port(&self, error: &PortError) -> Status {
        match error {
            PortError::Unavailable { dependency, detail } => {
                tracing::warn!(target: telemetry::DEPENDENCY, dependency, error = detail, "unavailable");
                status::dependency_unavailable(dependency)
            }
            PortError::Conflict(_) | PortError::Corrupt(_) => self.internal(error),
        }
    }
}
