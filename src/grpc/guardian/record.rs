//! Looking at one guardian.

use tonic::{Request, Response, Status};

use super::links::child_link;
use super::{GuardianHandlers, change_failed, wire_state};
use crate::domain::id::GuardianId;
use crate::flows::guardian_record::{ClearNumber, MaskedNumber, MaskedProposal, Record};
use crate::grpc::at_work::{at_work, wire_portal};
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::login::timestamp;
use crate::ports::store::PasswordOnFile;
use crate::proto;

pub(super) async fn get_guardian(
    handlers: &GuardianHandlers,
    request: Request<proto::GetGuardianRequest>,
) -> Result<Response<proto::GetGuardianResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let Some(guardian) = guardian else { return Err(faults.refuse()) };
    let record = handlers.record.record(&work, &guardian).await;
    let record = record.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::GetGuardianResponse { guardian: Some(wire_guardian(record)) }))
}

pub(super) async fn show_national_ids(
    handlers: &GuardianHandlers,
    request: Request<proto::ShowNationalIdsRequest>,
) -> Result<Response<proto::ShowNationalIdsResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let Some(guardian) = guardian else { return Err(faults.refuse()) };
    let numbers = handlers.record.numbers(&work, &guardian).await;
    let numbers = numbers.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::ShowNationalIdsResponse {
        national_ids: numbers.iter().map(clear_number).collect(),
    }))
}

fn wire_guardian(record: Record) -> proto::Guardian {
    let Record { guardian, numbers, proposals } = record;
    let (email, email_usable) =
        guardian.email.map_or_else(Default::default, |email| (email.delivered, email.is_usable));
    let (mobile, mobile_usable) =
        guardian.mobile.map_or_else(Default::default, |mobile| (mobile.delivered, mobile.is_usable));
    proto::Guardian {
        guardian_id: guardian.id.as_str().to_owned(),
        given_name: guardian.given_name,
        family_name: guardian.family_name,
        locale: guardian.locale.as_str().to_owned(),
        state: wire_state(guardian.state).into(),
        merged_into_guardian_id: guardian.merged_into.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        email,
        email_usable,
        mobile,
        mobile_usable,
        national_ids: numbers.into_iter().map(masked_number).collect(),
        number_proposals: proposals.into_iter().map(number_proposal).collect(),
        login_names: guardian
            .logins
            .iter()
            .map(|(portal, name)| proto::GuardianLoginName {
                portal: wire_portal(*portal).into(),
                login_name: name.as_str().to_owned(),
            })
            .collect(),
        child_links: guardian.links.into_iter().map(child_link).collect(),
        has_contract: guardian.contract.is_some(),
        contract_confirmed: guardian.contract.unwrap_or(false),
        passwords: guardian.passwords.iter().map(password).collect(),
    }
}

/// A masked number on the wire.
pub(super) fn masked_number(number: MaskedNumber) -> proto::MaskedNationalId {
    proto::MaskedNationalId {
        scheme: number.scheme.as_str().to_owned(),
        masked: number.masked,
        source: number.source,
        add_time: Some(timestamp(number.added)),
    }
}

fn number_proposal(proposal: MaskedProposal) -> proto::NumberProposal {
    proto::NumberProposal {
        proposal_id: proposal.id.as_str().to_owned(),
        scheme: proposal.scheme.as_str().to_owned(),
        masked: proposal.masked,
        propose_time: Some(timestamp(proposal.at)),
    }
}

fn clear_number(number: &ClearNumber) -> proto::NationalIdInClear {
    proto::NationalIdInClear {
        scheme: number.scheme.as_str().to_owned(),
        number: number.number.expose().clone(),
        add_time: Some(timestamp(number.added)),
        retire_time: number.retired.map(timestamp),
    }
}

fn password(password: &PasswordOnFile) -> proto::GuardianPassword {
    proto::GuardianPassword {
        portal: wire_portal(password.portal).into(),
        set_time: Some(timestamp(password.set)),
        closed: password.is_closed,
        must_change: password.must_change,
    }
}
