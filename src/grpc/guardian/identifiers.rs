//! Changing numbers.

use jiff::civil::Date;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::record::masked_number;
use super::{GuardianHandlers, change_failed};
use crate::domain::id::{GuardianId, ProposalId};
use crate::domain::identifier::{Bsn, NationalId, Region, SwedishNumber};
use crate::domain::identifier_change::IdentifierChange;
use crate::domain::organization::Organization;
use crate::flows::duty::AtWork;
use crate::flows::identifiers::{self, Error, Source};
use crate::grpc::at_work::{at_work, request_key};
use crate::grpc::context::{CallerContext, open};
use crate::grpc::fields::Faults;
use crate::grpc::session::count;
use crate::grpc::status::{self, FaultReason};
use crate::proto;
use crate::proto::change_identifier_request::NewNumber;

/// Longest number as typed (`identifiers.md`, common screen).
const MAX_NUMBER_BYTES: usize = 32;

pub(super) async fn change_identifier(
    handlers: &GuardianHandlers,
    request: Request<proto::ChangeIdentifierRequest>,
) -> Result<Response<proto::ChangeIdentifierResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let today = handlers.identifiers.parts.today().map_err(|error| context.port_failed(&error))?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let field = match &message.new_number {
        Some(NewNumber::ProposalId(_)) => "proposal_id",
        Some(NewNumber::NationalId(_)) | None => "national_id",
    };
    let request = parse(&mut faults, &work.organization, message, today);
    let (Some(key), Some(request)) = (key, request) else { return Err(faults.refuse()) };
    work.request = key;
    let changed = handlers.identifiers.change(&work, &request).await;
    let changed = changed.map_err(|error| failed(&context, &work, field, error))?;
    Ok(Response::new(proto::ChangeIdentifierResponse {
        national_ids: changed.in_use.into_iter().map(masked_number).collect(),
        ended_session_count: count(changed.ended),
    }))
}

pub(super) async fn reject_number_proposal(
    handlers: &GuardianHandlers,
    request: Request<proto::RejectNumberProposalRequest>,
) -> Result<Response<proto::RejectNumberProposalResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let proposal = faults.parsed("proposal_id", &message.proposal_id, ProposalId::parse);
    let (Some(key), Some(guardian), Some(proposal)) = (key, guardian, proposal) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let rejected = handlers.identifiers.reject(&work, &guardian, &proposal).await;
    rejected.map_err(|error| failed(&context, &work, "proposal_id", error))?;
    Ok(Response::new(proto::RejectNumberProposalResponse {}))
}

fn parse(
    faults: &mut Faults,
    organization: &Organization,
    message: proto::ChangeIdentifierRequest,
    today: Date,
) -> Option<identifiers::Request> {
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let new = faults.required("new_number", message.new_number).and_then(|new| match new {
        NewNumber::NationalId(typed) => {
            national_id(faults, "national_id", organization, typed, today).map(Source::Typed)
        }
        NewNumber::ProposalId(id) => {
            faults.parsed("proposal_id", &id, ProposalId::parse).map(Source::Proposal)
        }
    });
    let replaced = if message.replaced_national_id.is_empty() {
        Some(None)
    } else {
        let typed = message.replaced_national_id;
        national_id(faults, "replaced_national_id", organization, typed, today).map(Some)
    };
    let change = change(faults, message.change);
    if change == Some(IdentifierChange::First) && matches!(replaced, Some(Some(_))) {
        let description = "a first number takes the place of none";
        faults.add("replaced_national_id", FaultReason::NotAllowed, description);
        return None;
    }
    Some(identifiers::Request { guardian: guardian?, new: new?, replaced: replaced?, change: change? })
}

fn change(faults: &mut Faults, value: i32) -> Option<IdentifierChange> {
    match proto::IdentifierChange::try_from(value) {
        Ok(proto::IdentifierChange::First) => Some(IdentifierChange::First),
        Ok(proto::IdentifierChange::Correction) => Some(IdentifierChange::Correction),
        Ok(proto::IdentifierChange::Succession) => Some(IdentifierChange::Succession),
        Ok(proto::IdentifierChange::Unspecified) => {
            faults.add("change", FaultReason::Missing, "required");
            None
        }
        Err(_) => {
            faults.add("change", FaultReason::OutOfRange, "no such change");
            None
        }
    }
}

/// A number as staff type it: of the organization's state, or a temporary one.
pub(super) fn national_id(
    faults: &mut Faults,
    field: &'static str,
    organization: &Organization,
    typed: String,
    today: Date,
) -> Option<NationalId> {
    let typed = faults.text(field, typed, MAX_NUMBER_BYTES)?;
    let parsed = match organization.region {
        Region::Se => SwedishNumber::parse(&typed, today).map(NationalId::from),
        Region::Nl => Bsn::parse(&typed).map(NationalId::from),
    };
    parsed.map_err(|rejection| faults.add(field, FaultReason::Malformed, rejection.reason())).ok()
}

fn failed(context: &CallerContext, work: &AtWork, field: &'static str, error: Error) -> Status {
    match error {
        Error::Change(error) => change_failed(context, work, error),
        Error::NoProposal => status::not_found("proposal_id"),
        Error::Refused(refusal) => status::state_conflict(refusal.as_str()),
        Error::Taken(holder) => status::already_exists(field, holder.as_ref()),
    }
}
