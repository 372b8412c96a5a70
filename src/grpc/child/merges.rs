//! Children that are there twice.

use prost::Message as _;
use tonic::{Request, Response, Status};

use super::ChildHandlers;
use crate::domain::id::{ChildId, MergeId};
use crate::flows::duplicates::{self, Wanted};
use crate::flows::merge_children;
use crate::grpc::at_work::{at_work, request_key};
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::guardian::{Fields, not_found_duplicates, not_merged};
use crate::grpc::login::timestamp;
use crate::grpc::session::count;
use crate::grpc::status::FaultReason;
use crate::ports::store::SummarizedChild;
use crate::proto;

/// Longest page token that is looked at.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

pub(super) async fn find_duplicate_children(
    handlers: &ChildHandlers,
    request: Request<proto::FindDuplicateChildrenRequest>,
) -> Result<Response<proto::FindDuplicateChildrenResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let size = faults.page_size("page_size", message.page_size);
    let token = faults.optional_text("page_token", message.page_token, MAX_PAGE_TOKEN_BYTES);
    let (Some(size), Some(token)) = (size, token) else { return Err(faults.refuse()) };
    let wanted = Wanted { size, token: Some(token.as_str()).filter(|token| !token.is_empty()) };
    let page = duplicates::find_children(&handlers.search.parts, &work, wanted)
        .await
        .map_err(|error| not_found_duplicates(&context, &error))?;
    let pairs = page.pairs.into_iter().map(|pair| proto::DuplicateChildPair {
        one: Some(summary(pair.one)),
        other: Some(summary(pair.other)),
        common_guardian_count: i32::try_from(pair.common_guardians).unwrap_or(i32::MAX),
    });
    Ok(Response::new(proto::FindDuplicateChildrenResponse {
        pairs: pairs.collect(),
        next_page_token: page.next.unwrap_or_default(),
    }))
}

fn summary(child: SummarizedChild) -> proto::ChildSummary {
    proto::ChildSummary {
        child_id: child.id.as_str().to_owned(),
        given_name: child.given_name,
        family_name: child.family_name,
        school: Some(proto::School {
            school_id: child.school.as_str().to_owned(),
            display_name: child.school_name,
        }),
    }
}

pub(super) async fn merge_children(
    handlers: &ChildHandlers,
    request: Request<proto::MergeChildrenRequest>,
) -> Result<Response<proto::MergeChildrenResponse>, Status> {
    const FIELDS: Fields = Fields { kept: "kept_child_id", absorbed: "absorbed_child_id" };
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let kept = faults.parsed(FIELDS.kept, &message.kept_child_id, ChildId::parse);
    let absorbed = faults.parsed(FIELDS.absorbed, &message.absorbed_child_id, ChildId::parse);
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    if kept.is_some() && kept == absorbed {
        faults.add(FIELDS.absorbed, FaultReason::NotAllowed, "a child is not merged into itself");
    }
    let (Some(kept), Some(absorbed), Some(key), true) = (kept, absorbed, key, faults.is_empty()) else {
        return Err(faults.refuse());
    };
    work.request = key;
    let merged = merge_children::merge(&handlers.search.parts, &work, kept, absorbed, message.validate_only)
        .await
        .map_err(|error| not_merged(&context, &work, &error, FIELDS))?;
    let (merge, undo_until) = merged.merge.unzip();
    Ok(Response::new(proto::MergeChildrenResponse {
        merge_id: merge.map(|merge| merge.as_str().to_owned()).unwrap_or_default(),
        undo_expire_time: undo_until.map(timestamp),
        moved_child_link_count: count(merged.counts.child_links),
    }))
}

pub(super) async fn undo_merge_children(
    handlers: &ChildHandlers,
    request: Request<proto::UndoMergeChildrenRequest>,
) -> Result<Response<proto::UndoMergeChildrenResponse>, Status> {
    let (context, message) = open(request)?;
    let mut work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let merge = faults.parsed("merge_id", &message.merge_id, MergeId::parse);
    let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
    let (Some(merge), Some(key)) = (merge, key) else { return Err(faults.refuse()) };
    work.request = key;
    let fields = Fields { kept: "merge_id", absorbed: "merge_id" };
    merge_children::undo(&handlers.search.parts, &work, merge)
        .await
        .map_err(|error| not_merged(&context, &work, &error, fields))?;
    Ok(Response::new(proto::UndoMergeChildrenResponse {}))
}
