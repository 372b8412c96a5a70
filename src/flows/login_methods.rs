//! Which ways to log in a portal offers.

use std::sync::Arc;

use crate::domain::organization::Organization;
use crate::domain::passphrase::{self, Locale};
use crate::domain::password::PasswordPolicy;
use crate::domain::password_reset::ResetMethod;
use crate::domain::secret::Secret;
use crate::ports::entropy::Entropy;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// User name or debtor number, and password.
    Password,
}

/// What a portal offers.
pub struct LoginMethods {
    /// In the order in which they should be offered.
    pub methods: Vec<LoginMethod>,
    /// The rule for new passwords.
    pub rule: PasswordPolicy,
    /// A suggestion that satisfies the rule.
    pub suggestion: Secret<String>,
    /// By what a reset link can be asked for.
    pub reset_methods: Vec<ResetMethod>,
}

/// The ways to log in at any portal of an organization.
pub fn list(organization: &Arc<Organization>, locale: Locale, entropy: &Arc<dyn Entropy>) -> LoginMethods {
    LoginMethods {
        methods: vec![LoginMethod::Password],
        rule: organization.password.clone(),
        suggestion: passphrase::suggest(locale, &organization.password, |bytes| entropy.fill(bytes)),
        reset_methods: organization.reset.as_ref().map(|reset| reset.methods.clone()).unwrap_or_default(),
    }
}
