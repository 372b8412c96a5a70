//! Attempts, orders, sessions and denials of logins with an eID as flows hand them to the store.

use guardian_auth::domain::audit::{Cause, Eid, EidCause, Fact};
use guardian_auth::domain::bankid::{BankIdFault, Device, OrderState, Signal};
use guardian_auth::domain::id::{BankIdLoginId, EvidenceId, GuardianId, ProposalId};
use guardian_auth::domain::login_password::Account;
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::session::{Method, Session};
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::key_vault::Sealed;
use guardian_auth::ports::store::{
    BankIdOrder, CollectorLease, DeniedEidLogin, LoginBankIdStore, NewEidSession, NewEvidence,
    NumberProposal, Progress,
};

use super::world::{
    World, at, child, event, guardian, national_id, numbered, organization, random, school, session_of,
};

pub fn sealed() -> Sealed {
    Sealed { bytes: random::<40>().to_vec(), key_id: "k1".to_owned() }
}

/// A guardian of the child `c` whose number has the digest `[seed; 32]`, in the store.
pub async fn import_numbered(world: &World, debtor_number: &str, seed: u8) -> Account {
    let guardian = numbered(guardian(debtor_number), national_id(seed));
    world.import(vec![school("s"), child("c", "s"), guardian]).await;
    world.account(debtor_number).await
}

/// An order of minute 100 that lives for ten.
pub fn order() -> BankIdOrder {
    BankIdOrder {
        id: BankIdLoginId::new(at(100), random()),
        organization: organization("sunnanvik"),
        portal: Portal::Parent,
        device: Device::Other,
        binding_digest: random(),
        nonce_digest: None,
        sealed: sealed(),
        state: OrderState::Pending,
        hint: None,
        fault: None,
        result: None,
        address: Some([192, 0, 2, 7].into()),
        user_agent: "Suite/1".to_owned(),
        begun: at(100),
        started: at(100),
        restarts: 0,
        expires: at(110),
    }
}

/// A lease of minute 100 to 101.
pub fn lease(collector: &str) -> CollectorLease {
    lease_until(collector, at(101))
}

pub fn lease_until(collector: &str, until: Timestamp) -> CollectorLease {
    CollectorLease { collector: collector.to_owned(), until }
}

/// Puts an order in that `one` collects.
pub async fn begin(world: &World, order: &BankIdOrder) {
    world.store.add_bankid_order(order, &lease("one")).await.expect("it is kept");
}

pub async fn begun(world: &World) -> BankIdOrder {
    let order = order();
    begin(world, &order).await;
    order
}

/// The order as it stands.
pub async fn standing(world: &World, id: &BankIdLoginId) -> BankIdOrder {
    world.store.bankid_order(id).await.expect("an answer").expect("an order")
}

/// A result that waits until minute 104.
pub fn complete() -> Progress {
    Progress::Complete { result: sealed(), expires: at(104) }
}

pub fn failed(fault: BankIdFault) -> Progress {
    let event = event(Fact::EidLoginDenied(EidCause::BankId(fault)), None);
    Progress::Failed { hint: None, fault, event: Box::new(event) }
}

pub async fn note(world: &World, id: &BankIdLoginId, collector: &str, progress: &Progress) -> bool {
    world.store.note_bankid_progress(id, collector, progress).await.expect("an answer")
}

/// An order that was signed.
pub async fn signed(world: &World) -> BankIdLoginId {
    let order = begun(world).await;
    assert!(note(world, &order.id, "one", &complete()).await);
    order.id
}

pub fn eid_session(account: &Account) -> Session {
    Session { method: Method::Eid, ..session_of(account) }
}

/// A session of minute 100 for the person whose number has the digest `[seed; 32]`.
pub fn new_eid_session(account: &Account, seed: u8, order: Option<BankIdLoginId>) -> NewEidSession {
    let session = eid_session(account);
    let events = vec![
        event(Fact::LoggedInWithEid(Eid::BankId), Some(&session.guardian)),
        event(Fact::BankIdSignal(Signal::RiskModerate), Some(&session.guardian)),
    ];
    let evidence = NewEvidence { id: EvidenceId::new(at(100), random()), sealed: sealed(), expires: at(500) };
    NewEidSession { session, identifier: vec![[seed; 32]], order, evidence: Some(evidence), events }
}

/// A denial of minute 100.
pub fn denied(order: Option<BankIdLoginId>) -> DeniedEidLogin {
    let cause = EidCause::Account(Cause::UnknownNationalId);
    DeniedEidLogin {
        order: order.map(|order| (order, at(100))),
        events: vec![event(Fact::EidLoginDenied(cause), None)],
        proposal: None,
    }
}

/// A proposal of the number with the digest `[seed; 32]`.
pub fn proposal(guardian: &GuardianId, seed: u8) -> NumberProposal {
    NumberProposal {
        id: ProposalId::new(at(100), random()),
        organization: organization("sunnanvik"),
        guardian: guardian.clone(),
        number: national_id(seed),
        at: at(100),
    }
}
