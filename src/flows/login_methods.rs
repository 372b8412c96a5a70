//! Which ways to log in a portal offers.

use std::sync::Arc;

use crate::domain::oidc::Provider;
use crate::domain::organization::{Organization, Portal};
use crate::domain::passphrase::{self, Locale};
use crate::domain::password::PasswordPolicy;
use crate::domain::password_reset::ResetMethod;
use crate::domain::secret::Secret;
use crate::ports::entropy::Entropy;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// BankID, asked by ourselves.
    BankId,
    /// An `OpenID` provider.
    Oidc,
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
    /// The providers, in the order in which they should be offered.
    pub providers: Vec<Provider>,
}

/// The ways to log in at a portal of an organization: those with an eID first, for they are the stronger ones.
pub fn list(
    organization: &Arc<Organization>,
    portal: Portal,
    locale: Locale,
    entropy: &Arc<dyn Entropy>,
) -> LoginMethods {
    let offered = organization.oidc.iter().filter(|provider| provider.portals.contains(&portal));
    let providers: Vec<_> = offered.cloned().collect();
    let bankid = organization.bankid_at(portal).map(|_| LoginMethod::BankId);
    let oidc = (!providers.is_empty()).then_some(LoginMethod::Oidc);
    LoginMethods {
        methods: bankid.into_iter().chain(oidc).chain([LoginMethod::Password]).collect(),
        providers,
        rule: organization.password.clone(),
        suggestion: passphrase::suggest(locale, &organization.password, |bytes| entropy.fill(bytes)),
        reset_methods: organization.reset.as_ref().map(|reset| reset.methods.clone()).unwrap_or_default(),
    }
}
