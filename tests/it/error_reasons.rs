//! Ties the reasons of errors together: the enum with its comments, the constructors and docs/errors.md.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use guardian_auth::domain::id::{GuardianId, IncidentId, SchoolId};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::reference_code::ReferenceCode;
use guardian_auth::domain::staff::Role;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::grpc::status::{self, FaultReason, FieldFault, Outcome};
use guardian_auth::proto::{self, ErrorReason};
use prost::Message as _;
use tonic::Status;
use tonic_types::pb;

const DOCUMENT: &str = include_str!("../../docs/errors.md");

/// A status of every constructor.
fn made() -> Vec<(ErrorReason, Status)> {
    let code = ReferenceCode::new([0; 8]);
    let wait = Duration::from_secs(7);
    let epoch = Timestamp::from_millis(0);
    let faults = [FieldFault { field: "field", reason: FaultReason::Missing, description: "required" }];
    vec![
        (ErrorReason::InvalidRequest, status::invalid_request(&faults)),
        (ErrorReason::InvalidCredentials, status::invalid_credentials(&code)),
        (ErrorReason::WrongPortal, status::wrong_portal(Portal::Childminder, &code)),
        (ErrorReason::RateLimited, status::rate_limited(wait, Some(&code))),
        (ErrorReason::Overloaded, status::overloaded(wait, Some(&code))),
        (ErrorReason::CallerUnknown, status::caller_unknown()),
        (ErrorReason::CallerNotAllowed, status::caller_not_allowed("sync-nightly")),
        (ErrorReason::SessionInvalid, status::session_invalid()),
        (ErrorReason::PasswordRefused, status::password_refused(&faults)),
        (ErrorReason::ChangeTokenInvalid, status::change_token_invalid(&code)),
        (ErrorReason::ResetTokenInvalid, status::reset_token_invalid(&code)),
        (ErrorReason::LoginAttemptInvalid, status::login_attempt_invalid(&code)),
        (ErrorReason::LoginNotFinished, status::login_not_finished()),
        (ErrorReason::EidLoginFailed, status::eid_login_failed(Some("RFA6"), &code)),
        (ErrorReason::EidLoginDenied, status::eid_login_denied(&code)),
        (ErrorReason::DependencyUnavailable, status::dependency_unavailable("store")),
        (ErrorReason::DeadlineExceeded, status::deadline_exceeded()),
        (ErrorReason::Internal, status::internal(IncidentId::new(Timestamp::from_millis(0), [0; 10]))),
        (ErrorReason::MethodUnknown, status::method_unknown()),
        (ErrorReason::StaffTokenInvalid, status::staff_token_invalid()),
        (ErrorReason::StaffNotAllowed, status::staff_not_allowed(Role::SupportPerson)),
        (ErrorReason::StrongerLoginNeeded, status::stronger_login_needed()),
        (ErrorReason::NotFound, status::not_found("guardian_id")),
        (
            ErrorReason::AlreadyExists,
            status::already_exists("national_id", Some(&GuardianId::new(epoch, [0; 10]))),
        ),
        (ErrorReason::LinkNotConfirmed, status::link_not_confirmed()),
        (ErrorReason::StaffLimitReached, status::staff_limit_reached(&SchoolId::new(epoch, [0; 10]), 5)),
        (
            ErrorReason::IssuingNeedsApproval,
            status::issuing_needs_approval(&GuardianId::new(epoch, [0; 10]), 60),
        ),
        (ErrorReason::StateConflict, status::state_conflict("account_locked")),
    ]
}

/// The one `ErrorInfo` of a status.
fn info(status: &Status) -> pb::ErrorInfo {
    let rich = pb::Status::decode(status.details()).unwrap();
    assert_eq!((rich.code, rich.message.as_str()), (status.code() as i32, status.message()));
    let url = "type.googleapis.com/google.rpc.ErrorInfo";
    let mut infos: Vec<_> = rich.details.iter().filter(|any| any.type_url == url).collect();
    assert_eq!(infos.len(), 1, "exactly one ErrorInfo: {status:?}");
    pb::ErrorInfo::decode(infos.remove(0).value.as_slice()).unwrap()
}

/// The comments of the enum's values by name.
fn comments() -> BTreeMap<String, String> {
    let set = prost_types::FileDescriptorSet::decode(proto::DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.name().ends_with("/error_reason.proto")).unwrap();
    let locations = &file.source_code_info.as_ref().unwrap().location;
    let values = file.enum_type[0].value.iter().enumerate().skip(1);
    values
        .map(|(index, value)| {
            let place = [5, 0, 2, i32::try_from(index).unwrap()];
            let location = locations.iter().find(|location| location.path == place).unwrap();
            let name = value.name().strip_prefix("ERROR_REASON_").unwrap().to_owned();
            (name, location.leading_comments().replace('\n', " "))
        })
        .collect()
}

/// The sections of the document by heading.
fn sections() -> BTreeMap<&'static str, &'static str> {
    let (reasons, _) = DOCUMENT.split_once("\n# ").expect("the table of violations follows");
    reasons.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect()
}

/// `(reason, keys of the metadata)` of an example.
fn example(json: &str) -> (String, BTreeSet<String>) {
    let value: serde_json::Value =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let keys = value["metadata"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    (value["reason"].as_str().unwrap().to_owned(), keys)
}

#[test]
fn every_reason_has_a_constructor_a_comment_and_a_heading() {
    let constructed: BTreeSet<&str> = made().iter().map(|(reason, _)| status::reason_name(*reason)).collect();
    let commented = comments();
    let commented: BTreeSet<&str> = commented.keys().map(String::as_str).collect();
    let documented: BTreeSet<&str> = sections().keys().copied().collect();
    assert_eq!(constructed, commented, "constructors and the enum");
    assert_eq!(documented, commented, "docs/errors.md and the enum");
}

#[test]
fn a_constructor_says_what_comment_and_document_say() {
    let (comments, sections) = (comments(), sections());
    for (reason, status) in made() {
        let name = status::reason_name(reason);
        let info = info(&status);
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (name, status::DOMAIN));
        let outcome = Outcome::of(&status).expect("the log learns the reason");
        assert_eq!(outcome.reason, reason);

        let code = status::code_name(status.code());
        let comment = comments[name].trim();
        assert!(comment.starts_with(&format!("{code}. ")), "{name} is {code}: {comment}");
        let section = sections[name];
        assert!(section.starts_with(&format!("- **Code:** `{code}`\n")), "{name} is {code}");
        for part in ["- **Meaning:** ", "- **Who sees it:** ", "- **What to do:** "] {
            assert!(section.contains(part), "{name} lacks {part}");
        }

        let keys: BTreeSet<String> = info.metadata.keys().cloned().collect();
        let (_, rest) = section.split_once("```json\n").expect("an example");
        let (json, _) = rest.split_once("\n```").unwrap();
        assert_eq!(example(json), (name.to_owned(), keys.clone()), "docs/errors.md");
        let (_, rest) = comment.split_once("Example: ").expect("an example");
        let json = rest.split(" with violation").next().unwrap().trim_end_matches('.');
        let (example_reason, example_keys) = example(json);
        assert_eq!(example_reason, name);
        assert!(example_keys.is_subset(&keys), "{name}: {example_keys:?}");
    }
}

#[test]
fn refusals_by_limits_say_when_to_come_back() {
    for (reason, status) in made() {
        let rich = pb::Status::decode(status.details()).unwrap();
        let has = |name: &str| rich.details.iter().any(|any| any.type_url.ends_with(name));
        let limits = matches!(reason, ErrorReason::RateLimited | ErrorReason::Overloaded);
        assert_eq!(has(".RetryInfo"), limits, "{reason:?}");
        let fields = matches!(reason, ErrorReason::InvalidRequest | ErrorReason::PasswordRefused);
        assert_eq!(has(".BadRequest"), fields, "{reason:?}");
    }
}

#[test]
fn every_reason_of_a_violation_is_in_the_document() {
    let (_, table) = DOCUMENT.split_once("\n# ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<&str> = rows.collect();
    let known: BTreeSet<&str> = FaultReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(documented, known);
}

/// B14: no field of the answer differs, to the last byte.
#[test]
fn the_answer_of_a_failed_login_is_the_same_bytes_for_the_same_code() {
    let code = ReferenceCode::new([7; 8]);
    let bytes = || {
        let response: http::Response<()> = status::invalid_credentials(&code).into_http();
        format!("{:?}", response.headers())
    };
    assert_eq!(bytes(), bytes());
    let other: http::Response<()> = status::invalid_credentials(&ReferenceCode::new([3; 8])).into_http();
    assert_eq!(bytes().len(), format!("{:?}", other.headers()).len(), "codes are of one length");
}
