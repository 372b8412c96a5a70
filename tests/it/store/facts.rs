//! Sessions, failures and events as flows hand them to the store.

use std::time::Duration;

use guardian_auth::domain::audit::{Cause, Event, Fact};
use guardian_auth::domain::id::{AuditEventId, GuardianId, SessionId};
use guardian_auth::domain::limits::Lane;
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::reference_code::ReferenceCode;
use guardian_auth::domain::session::{Method, RefreshDigest, Session};
use guardian_auth::ports::store::{Failure, NewSession};

use super::world::{at, organization, random};

pub fn event(fact: Fact, guardian: Option<&GuardianId>) -> Event {
    Event {
        id: AuditEventId::new(at(100), random()),
        at: at(100),
        organization: organization("sunnanvik"),
        portal: Some(Portal::Parent),
        fact,
        guardian: guardian.cloned(),
        session: None,
        reference: Some(ReferenceCode::new(random())),
        caller: "test-portal".to_owned(),
        address: Some([192, 0, 2, 7].into()),
        user_agent: "Suite/1".to_owned(),
        known_device: false,
        staff: None,
        child: None,
        detail: None,
    }
}

pub fn removal_event() -> Event {
    Event { portal: None, reference: None, ..event(Fact::CredentialRemoved, None) }
}

pub fn failure(guardian: &GuardianId, lane: Lane) -> Failure {
    Failure {
        guardian: guardian.clone(),
        portal: Portal::Parent,
        lane,
        at: at(100),
        event: event(Fact::LoginDenied(Cause::WrongPassword), Some(guardian)),
    }
}

/// A session that begins at minute 100, idle for an hour at most, half a day in all.
pub fn session_of(account: &Account) -> Session {
    Session {
        id: SessionId::new(at(100), random()),
        guardian: account.guardian.clone(),
        organization: organization("sunnanvik"),
        portal: account.portal,
        client: "test-portal".to_owned(),
        method: Method::Password,
        authenticated: at(100),
        refreshed: at(100),
        idle_expires: at(100).plus(Duration::from_hours(1)),
        absolute_expires: at(100).plus(Duration::from_hours(12)),
        credential_epoch: account.credential_epoch,
        account_epoch: account.credential_epoch,
        current: RefreshDigest(random()),
        previous: None,
        rotation_salt: random(),
        rotated: at(100),
        ended: None,
        user_agent: "Suite/1".to_owned(),
    }
}

pub fn new_session(session: &Session) -> NewSession {
    NewSession {
        session: session.clone(),
        lane: Lane::UnknownDevice,
        event: event(Fact::LoggedIn, Some(&session.guardian)),
    }
}
