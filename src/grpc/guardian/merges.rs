//! Accounts that are there twice, and what persons may ask for.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::domain::duplicate::DuplicateSign;
use crate::domain::id::{GuardianId, MergeId};
use crate::flows::duplicates::{self, Pair, Wanted};
use crate::flows::duty::AtWork;
use crate::flows::{data_subject, merge_guardians};
use crate::grpc::at_work::{at_work, refused, request_key, wire_portal};
use crate::grpc::context::{CallerContext, open};
use crate::grpc::fields::Faults;
use crate::grpc::login::timestamp;
use crate::grpc::session::count;
use crate::grpc::status::{self, FaultReason};
use crate::ports::store::SummarizedGuardian;
use crate::proto;

/// Longest page token that is looked at.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

pub(super) async fn find_duplicates(
    handlers: &GuardianHandlers,
    request: Request<proto::FindDuplicatesRequest>,
) -> Result<Response<proto::FindDuplicatesResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let guardian = faults.optional_parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let size = faults.page_size("page_size", message.page_size);
    let token = faults.optional_text("page_token", message.page_token, MAX_PAGE_TOKEN_BYTES);
    let (Some(guardian), Some(size), Some(token)) = (guardian, size, token) else {
        return Err(faults.refuse());
    };
    let wanted = Wanted { size, token: Some(token.as_str()).filter(|token| !token.is_empty()) };
    let page = duplicates::find(&handlers.parts, &work, guardian.as_ref(), wanted)
        .await
        .map_err(|error| not_found_duplicates(&context, &error))?;
    Ok(Response::new(proto::FindDuplicatesResponse {
        pairs: page.pairs.into_iter().map(pair).collect(),
        next_page_token: page.next.unwrap_or_default(),
    }))
}

/// The answer when there is no page.
pub(in crate::grpc) fn not_found_duplicates(context: &CallerContext, error: &duplicates::Error) -> Status {
    match error {
        duplicates::Error::PageToken => {
            let mut faults = Faults::default();
            faults.add("page_token", FaultReason::Malformed, "not from an answer to this request");
            faults.refuse()
        }
        duplicates::Error::GuardianUnknown => status::not_found("guardian_id"),
        duplicates::Error::Port(error) => context.port_failed(error),
    }
}

fn pair(pair: Pair) -> proto::DuplicatePair {
    let sign = |sign: &DuplicateSign| match sign {
        DuplicateSign::Name => proto::DuplicateSign::Name,
        DuplicateSign::Email => proto::DuplicateSign::Email,
        DuplicateSign::Mobile => proto::DuplicateSign::Mobile,
        DuplicateSign::Child => proto::DuplicateSign::Child,
        DuplicateSign::BirthDate => proto::DuplicateSign::BirthDate,
    };
    proto::DuplicatePair {
        signs: pair.signs.iter().map(|found| sign(found).into()).collect(),
        one: Some(summary(pair.one)),
        other: Some(summary(pair.other)),
    }
}

fn summary(guardian: SummarizedGuardian) -> proto::GuardianSummary {
    proto::GuardianSummary {
        guardian_id: guardian.id.as_str().to_owned(),
        given_name: guardian.given_name,
        family_name: guardian.family_name,
        state: super::wire_state(guardian.state).into(),
        children: guardian.children,
    }
}

pub(super) async fn merge_guardians(
    handlers: &GuardianHandlers,
    request: Request<proto::MergeGuardiansRequest>,
) -> Result<Response<proto::MergeGuardiansResponse>, Status> {
    const ABSORBED: &str = "absorbed_guardian_id";
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let kept = faults.parsed("kept_guardian_id", &message.kept_guardian_id, GuardianId::parse);
    let absorbed = faults.parsed(ABSORBED, &message.absorbed_guardian_id, GuardianId::parse);
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    if kept.is_some() && kept == absorbed {
        faults.add(ABSORBED, FaultReason::NotAllowed, "an account is not merged into itself");
    }
    let (Some(kept), Some(absorbed), Some(key), true) = (kept, absorbed, key, faults.is_empty()) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let merged = merge_guardians::merge(&handlers.parts, &work, kept, absorbed, message.validate_only)
        .await
        .map_err(|error| {
            let fields = Fields { kept: "kept_guardian_id", absorbed: ABSORBED };
            not_merged(&context, &work, &error, fields)
        })?;
    let counts = merged.counts;
    let (merge, undo_until) = merged.merge.unzip();
    Ok(Response::new(proto::MergeGuardiansResponse {
        merge_id: merge.map(|merge| merge.as_str().to_owned()).unwrap_or_default(),
        undo_expire_time: undo_until.map(timestamp),
        moved_national_id_count: count(counts.national_ids),
        moved_login_name_count: count(counts.login_names),
        moved_child_link_count: count(counts.child_links),
        colliding_portals: counts
            .colliding_portals
            .iter()
            .map(|portal| wire_portal(*portal).into())
            .collect(),
        ended_session_count: count(counts.ended_sessions),
    }))
}

/// The fields of a request that name the two.
#[derive(Clone, Copy)]
pub(in crate::grpc) struct Fields {
    pub(in crate::grpc) kept: &'static str,
    pub(in crate::grpc) absorbed: &'static str,
}

/// The answer to a merge that was not made, or not undone.
pub(in crate::grpc) fn not_merged(
    context: &CallerContext,
    work: &AtWork,
    error: &merge_guardians::Error,
    fields: Fields,
) -> Status {
    match error {
        merge_guardians::Error::Refused(reason) => refused(work, *reason),
        merge_guardians::Error::KeptUnknown => status::not_found(fields.kept),
        merge_guardians::Error::AbsorbedUnknown => status::not_found(fields.absorbed),
        merge_guardians::Error::MergeUnknown => status::not_found("merge_id"),
        merge_guardians::Error::Conflict(conflict) => status::state_conflict(conflict.as_str()),
        merge_guardians::Error::Port(error) => context.port_failed(error),
    }
}

pub(super) async fn undo_merge(
    handlers: &GuardianHandlers,
    request: Request<proto::UndoMergeRequest>,
) -> Result<Response<proto::UndoMergeResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let merge = faults.parsed("merge_id", &message.merge_id, MergeId::parse);
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let (Some(merge), Some(key)) = (merge, key) else { return Err(faults.refuse()) };
    work.request = key;
    let fields = Fields { kept: "merge_id", absorbed: "merge_id" };
    let ended = merge_guardians::undo(&handlers.parts, &work, merge)
        .await
        .map_err(|error| not_merged(&context, &work, &error, fields))?;
    Ok(Response::new(proto::UndoMergeResponse { ended_session_count: count(ended) }))
}

pub(super) async fn export_guardian(
    handlers: &GuardianHandlers,
    request: Request<proto::ExportGuardianRequest>,
) -> Result<Response<proto::ExportGuardianResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let Some(guardian) = guardian else { return Err(faults.refuse()) };
    let document = data_subject::export(&handlers.parts, &work, &guardian)
        .await
        .map_err(|error| not_answered(&context, &work, &error))?;
    Ok(Response::new(proto::ExportGuardianResponse { document: document.expose().clone() }))
}

pub(super) async fn erase_guardian(
    handlers: &GuardianHandlers,
    request: Request<proto::EraseGuardianRequest>,
) -> Result<Response<proto::EraseGuardianResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let (Some(guardian), Some(key)) = (guardian, key) else { return Err(faults.refuse()) };
    work.request = key;
    let ended = data_subject::erase(&handlers.parts, &work, &guardian)
        .await
        .map_err(|error| not_answered(&context, &work, &error))?;
    Ok(Response::new(proto::EraseGuardianResponse { ended_session_count: count(ended) }))
}

fn not_answered(context: &CallerContext, work: &AtWork, error: &data_subject::Error) -> Status {
    match error {
        data_subject::Error::Refused(reason) => refused(work, *reason),
        data_subject::Error::GuardianUnknown => status::not_found("guardian_id"),
        data_subject::Error::Port(error) => context.port_failed(error),
    }
}
