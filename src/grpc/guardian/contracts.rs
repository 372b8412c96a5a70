//! Childminders' contracts.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::links::evidence;
use super::{GuardianHandlers, change_failed};
use crate::domain::id::GuardianId;
use crate::grpc::at_work::{at_work, request_key};
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::session::count;
use crate::proto;

pub(super) async fn confirm_contract(
    handlers: &GuardianHandlers,
    request: Request<proto::ConfirmContractRequest>,
) -> Result<Response<proto::ConfirmContractResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let evidence = evidence(&mut faults, message.evidence);
    let (Some(key), Some(guardian), Some(evidence)) = (key, guardian, evidence) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let confirmed = handlers.links.confirm_contract(&work, &guardian, evidence).await;
    confirmed.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::ConfirmContractResponse {}))
}

pub(super) async fn remove_contract(
    handlers: &GuardianHandlers,
    request: Request<proto::RemoveContractRequest>,
) -> Result<Response<proto::RemoveContractResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let (Some(key), Some(guardian)) = (key, guardian) else { return Err(faults.refuse()) };
    work.request = key;
    let removed = handlers.links.remove_contract(&work, &guardian).await;
    let removed = removed.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::RemoveContractResponse {
        ended_session_count: count(removed.ended),
        revoked: !removed.revoked.is_empty(),
    }))
}
