//! Who may log in with a password: the decision after the comparison.

use super::audit::Cause;
use super::id::GuardianId;
use super::identifier::LoginName;
use super::limits::Lane;
use super::organization::Portal;
use super::password::PasswordHash;
use super::time::Timestamp;

/// Consecutive failures after which a password is closed to a lane (NIST SP 800-63B-4 §3.2.2).
pub const FAILURES_UNTIL_CLOSED: i64 = 100;

/// Consecutive failures of which the guardian is told, long before the password is closed.
pub const FAILURES_UNTIL_NOTICE: i64 = 50;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// In use.
    Active,
    /// Locked by staff.
    Locked,
    /// Merged into another account.
    Merged,
    /// What was stored of the person was erased.
    Erased,
}

/// A guardian's account at one portal, as the gate sees it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The guardian.
    pub guardian: GuardianId,
    /// The portal of the login name and the password.
    pub portal: Portal,
    /// What the account may do.
    pub state: AccountState,
    /// The epoch that everything issued now carries; a bump ends all of it.
    pub credential_epoch: i64,
    /// The password, if there is one.
    pub password: Option<StoredPassword>,
    /// All login names at this portal.
    pub login_names: Vec<LoginName>,
}

/// A password on file.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    /// Its hash.
    pub hash: PasswordHash,
    /// Must be changed before the first session.
    pub must_change: bool,
    /// Not valid after this time, if it has an end.
    pub expires: Option<Timestamp>,
    /// Closed to unknown devices.
    pub closed_to_unknown_devices: bool,
    /// Closed to known devices too.
    pub closed_to_known_devices: bool,
}

/// The accounts that a login name may mean: at this portal, and at the sibling guardian portal.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The account at the portal of the call.
    pub here: Option<Account>,
    /// The account at the other guardian portal.
    pub sibling: Option<Account>,
}

impl Candidates {
    /// The one account whose password is compared: this portal's, else the sibling's.
    pub fn compared(&self) -> Option<&Account> {
        self.here.as_ref().or(self.sibling.as_ref())
    }
}

/// A denial. Its cause goes to the audit log and has no way into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    cause: Cause,
}

impl Denied {
    /// A denial for a cause.
    pub const fn new(cause: Cause) -> Self {
        Self { cause }
    }

    /// For the audit log only.
    pub const fn cause_for_audit(self) -> Cause {
        self.cause
    }
}

/// The outcome of a comparison.
#[derive(Debug)]
pub enum Decision {
    /// Begin a session.
    LogIn(Account),
    /// Right, but the password must be changed first.
    ChangeFirst(Account),
    /// Right, but for the other guardian portal: the one hint that a right password earns.
    WrongPortal(Account),
    /// The public answer for everything else.
    Denied(Denied),
}

/// Decides after the comparison. `password_is_right` is false too when there was nothing to compare with.
pub fn decide(candidates: Candidates, password_is_right: bool, lane: &Lane, now: Timestamp) -> Decision {
    let deny = |cause| Decision::Denied(Denied::new(cause));
    let Some(account) = candidates.here.or(candidates.sibling.clone()) else {
        return deny(Cause::UnknownLoginName);
    };
    let is_sibling = candidates.sibling.is_some_and(|sibling| sibling.portal == account.portal);
    let Some(password) = &account.password else {
        return deny(Cause::NoPassword);
    };
    if !password_is_right {
        return deny(Cause::WrongPassword);
    }
    match account.state {
        AccountState::Locked => return deny(Cause::AccountLocked),
        AccountState::Merged => return deny(Cause::AccountMerged),
        AccountState::Erased => return deny(Cause::AccountErased),
        AccountState::Active => {}
    }
    let closed = match lane {
        Lane::UnknownDevice => password.closed_to_unknown_devices || password.closed_to_known_devices,
        Lane::KnownDevice(_) => password.closed_to_known_devices,
    };
    if closed {
        return deny(Cause::PasswordClosed);
    }
    if password.expires.is_some_and(|end| end <= now) {
        return deny(Cause::CredentialExpired);
    }
    if is_sibling {
        return Decision::WrongPortal(account);
    }
    if password.must_change { Decision::ChangeFirst(account) } else { Decision::LogIn(account) }
}
