//! Bad values in requests of staff, and of those who choose a password with what staff issued.

use std::collections::BTreeMap;

use guardian_auth::proto;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::{Value, json};

use super::{Case, MARK, case, long};
use crate::support::service::KOMMUN;

const ID: &str = "01KAMXJ7VQ3S8Z0H2T9B4C5D6E";

/// Bad values of fields that mean the same everywhere.
fn usual() -> BTreeMap<&'static str, (Value, &'static str)> {
    let id = || (json!(MARK), "MALFORMED");
    BTreeMap::from([
        ("staff_id", id()),
        ("guardian_id", id()),
        ("child_id", id()),
        ("merge_id", id()),
        ("proposal_id", id()),
        ("kept_guardian_id", id()),
        ("absorbed_guardian_id", id()),
        ("kept_child_id", id()),
        ("absorbed_child_id", id()),
        ("school_id", id()),
        ("request_id", id()),
        ("page_size", (json!(201), "OUT_OF_RANGE")),
        ("page_token", (json!(long(513)), "TOO_LONG")),
        ("locale", (json!(long(36)), "TOO_LONG")),
        ("evidence", (json!(99), "OUT_OF_RANGE")),
        ("reason", (json!(99), "OUT_OF_RANGE")),
        ("role", (json!(99), "OUT_OF_RANGE")),
        ("change", (json!(99), "OUT_OF_RANGE")),
        ("reference_code", (json!(MARK), "MALFORMED")),
        ("given_name", (json!(long(401)), "TOO_LONG")),
        ("family_name", (json!(format!("{MARK}\u{7}")), "MALFORMED")),
        ("email", (json!(MARK), "MALFORMED")),
        ("mobile", (json!(MARK), "MALFORMED")),
        ("user_name", (json!("XQZCANARY@example.se"), "MALFORMED")),
        ("school_ids", (json!([MARK]), "MALFORMED")),
        ("national_id", (json!(MARK), "MALFORMED")),
        ("replaced_national_id", (json!(MARK), "MALFORMED")),
        ("begin_time", (json!("9999-12-31T23:59:59Z"), "")),
        ("end_time", (json!("9999-12-31T23:59:59Z"), "")),
        ("portal", (json!(99), "OUT_OF_RANGE")),
        ("name", (json!("- -"), "MALFORMED")),
    ])
}

/// The staff services.
pub(super) fn is_of_staff(rpc: &str) -> bool {
    let service = rpc.split('/').next().unwrap_or_default();
    matches!(service, "StaffService" | "FallbackCredentialService" | "GuardianService" | "ChildService")
}

fn methods() -> Vec<(&'static str, MessageDescriptor)> {
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for service in pool.services().filter(|service| service.package_name() == "guardian.auth.v1") {
        for method in service.methods() {
            let name = format!("{}/{}", service.name(), method.name());
            if is_of_staff(&name) {
                // A few dozen names, for as long as the tests run.
                methods.push((&*name.leak(), method.input()));
            }
        }
    }
    methods
}

fn of_json(rpc: &'static str, message: &MessageDescriptor, json: &Value, faults: &[&'static str]) -> Case {
    let message = DynamicMessage::deserialize(message.clone(), json).unwrap();
    case(rpc, &message, faults)
}

/// Every staff rpc with a bad organization, and then with a bad value in every field that means the same everywhere.
pub(super) fn staff() -> Vec<Case> {
    let usual = usual();
    let mut cases = Vec::new();
    for (rpc, request) in methods() {
        for (organization, fault) in [("", "organization MISSING"), (MARK, "organization MALFORMED")] {
            cases.push(of_json(rpc, &request, &json!({ "organization": organization }), &[fault]));
        }
        let mut bad = json!({ "organization": KOMMUN });
        let mut faults: Vec<&'static str> = Vec::new();
        for field in request.fields() {
            // One of a choice at a time: those are below.
            let is_choice = field.containing_oneof().is_some();
            let Some((value, fault)) = usual.get(field.name()).filter(|_| !is_choice) else { continue };
            if fault.is_empty() {
                continue;
            }
            bad[field.name()] = value.clone();
            faults.push(format!("{} {fault}", field.name()).leak());
        }
        for choice in request.oneofs() {
            faults.push(format!("{} MISSING", choice.name()).leak());
        }
        // Nobody has to have an eID; what needs a role says nothing of schools without one.
        faults.retain(|fault| *fault != "eid MISSING");
        if !faults.is_empty() {
            cases.push(of_json(rpc, &request, &bad, &faults));
        }
    }
    cases.extend(choices());
    cases
}

/// One of each choice.
fn choices() -> Vec<Case> {
    let requests: BTreeMap<&str, MessageDescriptor> = methods().into_iter().collect();
    let one = |rpc: &'static str, mut json: Value, faults: &[&'static str]| {
        json["organization"] = json!(KOMMUN);
        of_json(rpc, &requests[rpc], &json, faults)
    };
    let search = "GuardianService/SearchGuardians";
    let change = "GuardianService/ChangeIdentifier";
    let invite = "StaffService/InviteStaff";
    let issue = "FallbackCredentialService/IssueFallbackCredential";
    let invited = |eid: Value| {
        let mut json = json!({
            "given_name": "Robin", "family_name": "Exempel", "email": "robin@example.se", "mobile": "070-1740605",
            "role": "STAFF_ROLE_SUPPORT_PERSON",
        });
        json.as_object_mut().unwrap().extend(eid.as_object().unwrap().clone());
        json
    };
    let issued = |delivery: Value| {
        let mut json = json!({ "portal": "PORTAL_PARENT", "guardian_id": ID });
        json.as_object_mut().unwrap().extend(delivery.as_object().unwrap().clone());
        json
    };
    vec![
        one(search, json!({"name": "- -"}), &["name MALFORMED"]),
        one(search, json!({"name": long(801)}), &["name TOO_LONG"]),
        one(search, json!({"name": "a b c d e f g"}), &["name TOO_LONG"]),
        one(search, json!({"national_id": MARK}), &["national_id MALFORMED"]),
        one(search, json!({"login_name": "XQZCANARY@example.se"}), &["login_name MALFORMED"]),
        one(search, json!({"child_name": ""}), &["child_name MISSING"]),
        one(search, json!({"child_id": MARK}), &["child_id MALFORMED"]),
        one(
            change,
            json!({"guardian_id": ID, "national_id": MARK, "change": "IDENTIFIER_CHANGE_FIRST"}),
            &["national_id MALFORMED"],
        ),
        one(
            change,
            json!({"guardian_id": ID, "proposal_id": MARK, "change": "IDENTIFIER_CHANGE_CORRECTION", "replaced_national_id": MARK}),
            &["proposal_id MALFORMED", "replaced_national_id MALFORMED"],
        ),
        one(invite, invited(json!({"national_id": "19990807-2390"})), &["national_id MALFORMED"]),
        one(
            invite,
            invited(json!({"provider_identity": {"provider": "XQZ CANARY", "subject": "x"}})),
            &["provider_identity.provider MALFORMED"],
        ),
        one(
            invite,
            invited(json!({"provider_identity": {"provider": "sample", "subject": "XQZ CANARY"}})),
            &["provider_identity.subject MALFORMED"],
        ),
        one(issue, issued(json!({"sheet": {"lifetime": "1s"}})), &["sheet.lifetime OUT_OF_RANGE"]),
        one(issue, issued(json!({"link": {}})), &["link.channel MISSING"]),
        one(issue, issued(json!({"link": {"channel": 99}})), &["link.channel OUT_OF_RANGE"]),
    ]
}

/// Attempts to choose a password with what was issued.
pub(super) fn activations() -> Vec<Case> {
    const RPC: &str = "LoginService/ActivateCredential";
    let pool = DescriptorPool::decode(proto::DESCRIPTOR_SET).unwrap();
    let request = pool.get_message_by_name("guardian.auth.v1.ActivateCredentialRequest").unwrap();
    let one = |json: Value, faults: &[&'static str]| of_json(RPC, &request, &json, faults);
    let bad_client = json!({"ip": long(46), "user_agent": long(4097), "device_token": long(1025)});
    vec![
        one(json!({}), &["organization MISSING", "portal MISSING"]),
        one(json!({"organization": MARK, "portal": 99}), &["organization MALFORMED", "portal OUT_OF_RANGE"]),
        one(
            json!({"organization": KOMMUN, "portal": "PORTAL_PARENT", "client": bad_client}),
            &[
                "proof MISSING",
                "new_password MISSING",
                "client.ip TOO_LONG",
                "client.user_agent TOO_LONG",
                "client.device_token TOO_LONG",
            ],
        ),
        one(
            json!({
                "organization": KOMMUN, "portal": "PORTAL_PARENT", "new_password": long(257),
                "code": {"user_name": "", "code": ""},
            }),
            &["code.user_name MISSING", "code.code MISSING", "new_password TOO_LONG"],
        ),
        one(
            json!({
                "organization": KOMMUN, "portal": "PORTAL_PARENT", "new_password": MARK,
                "code": {"user_name": "XQZCANARY@example.se", "code": long(65)},
            }),
            &["code.user_name MALFORMED", "code.code TOO_LONG"],
        ),
        one(
            json!({
                "organization": KOMMUN, "portal": "PORTAL_PARENT", "new_password": MARK, "link_token": long(257),
            }),
            &["link_token TOO_LONG"],
        ),
    ]
}
