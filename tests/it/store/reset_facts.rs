//! Requests, links and messages as flows hand them to the store.

use std::time::Duration;

use guardian_auth::domain::audit::{Cause, Fact};
use guardian_auth::domain::directory::{Contact, GuardianRecord};
use guardian_auth::domain::id::{GuardianId, MessageId, ResetRequestId};
use guardian_auth::domain::identifier::Email;
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::message::{Channel, NewMessage, Template};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::passphrase::Locale;
use guardian_auth::domain::reference_code::ReferenceCode;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::key_vault::Sealed;
use guardian_auth::ports::store::{
    ConfirmedReset, LeasedResetRequest, MessageBudget, NewResetToken, PasswordResetStore, ResetRequest,
    ResetRows, SettledReset,
};

use super::world::{World, at, child, event, guardian, hash, organization, random, school};

pub const ADDRESS: &str = "maja@example.se";

pub fn email(text: &str) -> Email {
    Email::parse(text).expect("an address")
}

/// A guardian whose address mail can go to.
pub fn reachable(debtor_number: &str) -> GuardianRecord {
    let canonical = Some(email(ADDRESS));
    let email = Some(Contact { delivered: " Maja@example.se;".to_owned(), canonical });
    GuardianRecord { email, ..guardian(debtor_number) }
}

/// The same, in the store.
pub async fn import_reachable(world: &World, debtor_number: &str) -> Account {
    world.import(vec![school("s"), child("c", "s"), reachable(debtor_number).into()]).await;
    world.account(debtor_number).await
}

/// A request of minute 100.
pub fn request() -> ResetRequest {
    ResetRequest {
        id: ResetRequestId::new(at(100), random()),
        organization: organization("sunnanvik"),
        portal: Portal::Parent,
        identification: Sealed { bytes: random::<40>().to_vec(), key_id: "k1".to_owned() },
        locale: Some(Locale::Nl),
        reference: ReferenceCode::new(random()),
        caller: "test-portal".to_owned(),
        address: Some([192, 0, 2, 7].into()),
        user_agent: "Suite/1".to_owned(),
        at: at(100),
    }
}

/// A message of minute 100 that is no other's.
pub fn message(guardian: Option<&GuardianId>, template: Option<Template>) -> NewMessage {
    let id = MessageId::new(at(100), random());
    NewMessage {
        idempotency_key: format!("test:{id}"),
        id,
        organization: organization("sunnanvik"),
        portal: Portal::Parent,
        guardian: guardian.cloned(),
        channel: Channel::Email,
        template,
        locale: Some(Locale::Nl),
        reference: Some(ReferenceCode::new(random())),
        at: at(100),
    }
}

pub fn budget(subject: &str, burst: u32, refill_minutes: u64, at: Timestamp) -> MessageBudget {
    MessageBudget { subject: subject.to_owned(), burst, refill: Duration::from_mins(refill_minutes), at }
}

/// What comes of a request that found an account, or nobody.
pub fn settled(
    leased: &LeasedResetRequest,
    guardian: Option<&GuardianId>,
    budget: MessageBudget,
) -> SettledReset {
    let (template, fact) = match guardian {
        Some(_) => (Some(Template::ResetLink), Fact::ResetLinkQueued),
        None => (None, Fact::ResetDenied(Cause::UnknownLoginName)),
    };
    SettledReset {
        request: leased.request.id.clone(),
        lease: leased.lease,
        budget,
        granted: ResetRows { message: message(guardian, template), event: event(fact, guardian) },
        folded: ResetRows {
            message: message(guardian, None),
            event: event(Fact::ResetDenied(Cause::MailedLately), guardian),
        },
    }
}

/// A request that is in the store and leased until minute 110.
pub async fn leased_request(world: &World) -> LeasedResetRequest {
    let request = request();
    world.store.add_reset_request(&request).await.expect("it is kept");
    let leased = world.store.lease_reset_requests(at(100), at(110), 10).await.expect("an answer");
    leased.into_iter().find(|leased| leased.request == request).expect("it is leased")
}

/// A token of minute 100 that lives for an hour.
pub fn token(account: &Account, digest: [u8; 32]) -> NewResetToken {
    NewResetToken {
        digest,
        message: MessageId::new(at(100), random()),
        organization: organization("sunnanvik"),
        portal: account.portal,
        guardian: account.guardian.clone(),
        credential_epoch: account.credential_epoch,
        address_digest: [42; 32],
        made: at(100),
        expires: at(160),
    }
}

pub async fn add_token(world: &World, account: &Account, digest: [u8; 32]) {
    world.store.add_reset_token(&token(account, digest)).await.expect("it is kept");
}

pub async fn is_ended(world: &World, digest: [u8; 32]) -> bool {
    world.store.reset_token(&digest).await.expect("an answer").expect("a token").is_ended
}

/// The reset from password 1 to password 2, at minute 105.
pub fn confirmed(account: &Account, digest: [u8; 32]) -> ConfirmedReset {
    ConfirmedReset {
        digest,
        guardian: account.guardian.clone(),
        portal: account.portal,
        credential_epoch: account.credential_epoch,
        email: email(ADDRESS),
        hash: hash(2),
        at: at(105),
        event: event(Fact::PasswordReset, Some(&account.guardian)),
        notices: vec![message(Some(&account.guardian), Some(Template::PasswordChanged))],
    }
}
