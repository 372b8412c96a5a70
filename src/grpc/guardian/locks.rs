//! Locking and unlocking accounts.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{GuardianHandlers, change_failed};
use crate::domain::guardian_lock::LockReason;
use crate::domain::id::GuardianId;
use crate::grpc::at_work::{at_work, request_key};
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::session::count;
use crate::grpc::status::FaultReason;
use crate::proto;

pub(super) async fn lock_guardian(
    handlers: &GuardianHandlers,
    request: Request<proto::LockGuardianRequest>,
) -> Result<Response<proto::LockGuardianResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let reason = reason(&mut faults, message.reason);
    let (Some(key), Some(guardian), Some(reason)) = (key, guardian, reason) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let ended = handlers.locks.lock(&work, &guardian, reason).await;
    let ended = ended.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::LockGuardianResponse { ended_session_count: count(ended) }))
}

pub(super) async fn unlock_guardian(
    handlers: &GuardianHandlers,
    request: Request<proto::UnlockGuardianRequest>,
) -> Result<Response<proto::UnlockGuardianResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let (Some(key), Some(guardian)) = (key, guardian) else { return Err(faults.refuse()) };
    work.request = key;
    let unlocked = handlers.locks.unlock(&work, &guardian).await;
    unlocked.map_err(|error| change_failed(&context, &work, error))?;
    Ok(Response::new(proto::UnlockGuardianResponse {}))
}

fn reason(faults: &mut Faults, value: i32) -> Option<LockReason> {
    match proto::LockReason::try_from(value) {
        Ok(proto::LockReason::Compromised) => Some(LockReason::Compromised),
        Ok(proto::LockReason::AskedByGuardian) => Some(LockReason::AskedByGuardian),
        Ok(proto::LockReason::RelationContested) => Some(LockReason::RelationContested),
        Ok(proto::LockReason::Misuse) => Some(LockReason::Misuse),
        Ok(proto::LockReason::Unspecified) => {
            faults.add("reason", FaultReason::Missing, "required");
            None
        }
        Err(_) => {
            faults.add("reason", FaultReason::OutOfRange, "no such reason");
            None
        }
    }
}
