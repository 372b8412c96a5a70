//! What the changes of a guardian by staff have in common: what may keep them from being made.

use crate::domain::login_password::AccountState;
use crate::ports::error::PortError;
use crate::ports::store::{Acted, Changed};

use super::duty::{Looked, Refused, looked};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was not looked at.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such guardian in the member's scope.
    #[error("no such guardian in scope")]
    NoGuardian,
    /// There is no such child in the member's scope.
    #[error("no such child in scope")]
    NoChild,
    /// The link was removed after it was made, so there is none to show.
    #[error("the link was removed since")]
    LinkRemoved,
    /// The account was merged into another one.
    #[error("the account was merged")]
    Merged,
    /// The account was erased.
    #[error("the account was erased")]
    Erased,
    /// The store is away.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// What was made now; `None` if it was so already, or made when the same request came before.
///
/// # Errors
/// [`Error`].
pub fn settled<T>(acted: Acted<Changed<T>>) -> Result<Option<T>, Error> {
    match looked(acted)? {
        Looked::Now(Changed::Done(done)) => Ok(Some(done)),
        Looked::Now(Changed::AlreadySo) | Looked::Before(_) => Ok(None),
        Looked::Now(Changed::NoGuardian) => Err(Error::NoGuardian),
        Looked::Now(Changed::NoChild) => Err(Error::NoChild),
        Looked::Now(Changed::Gone(state)) => Err(gone(state)),
    }
}

/// An account that there is no more to change about.
pub fn gone(state: AccountState) -> Error {
    match state {
        AccountState::Merged => Error::Merged,
        AccountState::Erased => Error::Erased,
        AccountState::Active | AccountState::Locked => {
            Error::Port(PortError::Corrupt("an account in use was said to be gone".to_owned()))
        }
    }
}
