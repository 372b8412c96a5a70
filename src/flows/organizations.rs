//! The configured organizations, and what flows remember of each.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::organization::{Organization, OrganizationId, Portal};
use crate::domain::password::HashParameters;
use crate::ports::store::HashParametersInUse;

/// Organizations by short name.
pub struct Organizations {
    by_id: HashMap<OrganizationId, Arc<Organization>>,
    /// Hash parameters in use, the live set included; read from the store every few seconds.
    parameters: RwLock<HashMap<OrganizationId, Vec<HashParameters>>>,
}

impl Organizations {
    /// The organizations as configured.
    pub fn new(organizations: impl IntoIterator<Item = Organization>) -> Self {
        let by_id = organizations.into_iter().map(|it| (it.id.clone(), Arc::new(it))).collect();
        Self { by_id, parameters: RwLock::default() }
    }

    /// An organization by name.
    pub fn get(&self, id: &OrganizationId) -> Option<Arc<Organization>> {
        self.by_id.get(id).map(Arc::clone)
    }

    /// An organization that has this portal.
    pub fn with_portal(&self, id: &OrganizationId, portal: Portal) -> Option<Arc<Organization>> {
        self.get(id).filter(|organization| organization.portals.contains(&portal))
    }

    /// Hash parameters found in an organization's credentials: every check does the work of all of them.
    pub fn parameters_in_use(&self, id: &OrganizationId) -> Vec<HashParameters> {
        self.parameters.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    /// Takes what was known of others before: until the store says more.
    pub fn note_parameters_of(&self, before: &Self) {
        let known = before.parameters.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.parameters.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Takes what the store says of hash parameters.
    pub fn note_parameters(&self, in_use: Vec<HashParametersInUse>) {
        let mut parameters: HashMap<OrganizationId, Vec<HashParameters>> = HashMap::new();
        for row in in_use {
            parameters.entry(row.organization).or_default().push(row.parameters);
        }
        *self.parameters.write().unwrap_or_else(PoisonError::into_inner) = parameters;
    }
}
