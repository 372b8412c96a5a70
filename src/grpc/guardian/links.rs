//! Links between guardians and children.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{GuardianHandlers, change_failed};
use crate::domain::child_link::LinkEvidence;
use crate::domain::id::{ChildId, GuardianId};
use crate::grpc::at_work::{at_work, request_key, wire_portal};
use crate::grpc::child::wire_school;
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::login::timestamp;
use crate::grpc::session::count;
use crate::grpc::status::FaultReason;
use crate::ports::store::ChildLink;
use crate::proto;

pub(super) async fn add_child_link(
    handlers: &GuardianHandlers,
    request: Request<proto::AddChildLinkRequest>,
) -> Result<Response<proto::AddChildLinkResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let child = faults.parsed("child_id", &message.child_id, ChildId::parse);
    let (Some(key), Some(guardian), Some(child)) = (key, guardian, child) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let link = handlers.links.add(&work, &guardian, &child).await;
    let link = link.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::AddChildLinkResponse { child_link: Some(child_link(link)) }))
}

pub(super) async fn confirm_child_link(
    handlers: &GuardianHandlers,
    request: Request<proto::ConfirmChildLinkRequest>,
) -> Result<Response<proto::ConfirmChildLinkResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let child = faults.parsed("child_id", &message.child_id, ChildId::parse);
    let evidence = evidence(&mut faults, message.evidence);
    let (Some(key), Some(guardian), Some(child), Some(evidence)) = (key, guardian, child, evidence) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let link = handlers.links.confirm(&work, &guardian, &child, evidence).await;
    let link = link.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::ConfirmChildLinkResponse { child_link: Some(child_link(link)) }))
}

pub(super) async fn remove_child_link(
    handlers: &GuardianHandlers,
    request: Request<proto::RemoveChildLinkRequest>,
) -> Result<Response<proto::RemoveChildLinkResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let child = faults.parsed("child_id", &message.child_id, ChildId::parse);
    let (Some(key), Some(guardian), Some(child)) = (key, guardian, child) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let removed = handlers.links.remove(&work, &guardian, &child).await;
    let removed = removed.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::RemoveChildLinkResponse {
        ended_session_count: count(removed.ended),
        revoked_portals: removed.revoked.into_iter().map(|portal| wire_portal(portal).into()).collect(),
    }))
}

/// By what staff were convinced.
pub(super) fn evidence(faults: &mut Faults, value: i32) -> Option<LinkEvidence> {
    match proto::LinkEvidence::try_from(value) {
        Ok(proto::LinkEvidence::IdentityDocument) => Some(LinkEvidence::IdentityDocument),
        Ok(proto::LinkEvidence::PopulationRegister) => Some(LinkEvidence::PopulationRegister),
        Ok(proto::LinkEvidence::AuthorityDecision) => Some(LinkEvidence::AuthorityDecision),
        Ok(proto::LinkEvidence::KnownPerson) => Some(LinkEvidence::KnownPerson),
        Ok(proto::LinkEvidence::Unspecified) => {
            faults.add("evidence", FaultReason::Missing, "required");
            None
        }
        Err(_) => {
            faults.add("evidence", FaultReason::OutOfRange, "no such evidence");
            None
        }
    }
}

const fn wire_evidence(evidence: LinkEvidence) -> proto::LinkEvidence {
    match evidence {
        LinkEvidence::IdentityDocument => proto::LinkEvidence::IdentityDocument,
        LinkEvidence::PopulationRegister => proto::LinkEvidence::PopulationRegister,
        LinkEvidence::AuthorityDecision => proto::LinkEvidence::AuthorityDecision,
        LinkEvidence::KnownPerson => proto::LinkEvidence::KnownPerson,
    }
}

/// A link on the wire.
pub(super) fn child_link(link: ChildLink) -> proto::ChildLink {
    let confirmed_by_staff = link.confirmation.is_some();
    let (staff, at, evidence) = link.confirmation.map_or((None, None, None), |confirmation| {
        (confirmation.staff, confirmation.at, confirmation.evidence)
    });
    proto::ChildLink {
        child_id: link.child.as_str().to_owned(),
        given_name: link.given_name,
        family_name: link.family_name,
        school: Some(wire_school(link.school)),
        sources: link.sources,
        confirmed_by_staff,
        confirming_staff_id: staff.map(|staff| staff.as_str().to_owned()).unwrap_or_default(),
        confirm_time: at.map(timestamp),
        evidence: evidence.map_or(proto::LinkEvidence::Unspecified, wire_evidence).into(),
    }
}
