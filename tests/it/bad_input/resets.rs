//! Bad values of `PasswordResetService`.

use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;

use super::{Case, MARK, case, client, long};
use crate::support::service::KOMMUN;

const REQUEST: &str = "PasswordResetService/RequestPasswordReset";
const INSPECT: &str = "PasswordResetService/InspectResetToken";
const CONFIRM: &str = "PasswordResetService/ConfirmPasswordReset";

fn by_bsn(debtor_number: &str, bsn: &str) -> Option<Identification> {
    let (debtor_number, bsn) = (debtor_number.to_owned(), bsn.to_owned());
    Some(Identification::DebtorNumberAndBsn(proto::DebtorNumberAndBsn { debtor_number, bsn }))
}

fn by_email(debtor_number: &str, email: &str) -> Option<Identification> {
    let (debtor_number, email) = (debtor_number.to_owned(), email.to_owned());
    Some(Identification::DebtorNumberAndEmail(proto::DebtorNumberAndEmail { debtor_number, email }))
}

fn email_alone(email: &str) -> Option<Identification> {
    Some(Identification::Email(email.to_owned()))
}

fn request(identification: Option<Identification>) -> proto::RequestPasswordResetRequest {
    proto::RequestPasswordResetRequest {
        organization: KOMMUN.to_owned(),
        portal: proto::Portal::Parent.into(),
        identification,
        locale: String::new(),
        client: None,
    }
}

/// The same organization and portal in each of the three.
pub(super) fn at(organization: &str, portal: i32, faults: &[&'static str]) -> Vec<Case> {
    let organization = organization.to_owned();
    let asked = proto::RequestPasswordResetRequest {
        organization: organization.clone(),
        portal,
        ..request(email_alone(MARK))
    };
    let inspected = proto::InspectResetTokenRequest {
        organization: organization.clone(),
        portal,
        reset_token: MARK.to_owned(),
        ..Default::default()
    };
    let confirmed = proto::ConfirmPasswordResetRequest {
        organization,
        portal,
        reset_token: MARK.to_owned(),
        new_password: MARK.to_owned(),
        client: None,
    };
    vec![case(REQUEST, &asked, faults), case(INSPECT, &inspected, faults), case(CONFIRM, &confirmed, faults)]
}

pub(super) fn resets() -> Vec<Case> {
    let mut cases: Vec<Case> = identifications()
        .into_iter()
        .map(|(identification, faults)| case(REQUEST, &request(identification), &faults))
        .collect();
    let of_client = ["client.ip TOO_LONG", "client.user_agent TOO_LONG", "client.device_token TOO_LONG"];
    let bad_client = || client(&long(46), &long(4097), &long(1025));
    let beside = proto::RequestPasswordResetRequest {
        locale: long(36),
        client: bad_client(),
        ..request(email_alone(MARK))
    };
    cases.push(case(
        REQUEST,
        &beside,
        &[&["email MALFORMED", "locale TOO_LONG"], of_client.as_slice()].concat(),
    ));
    let (organization, portal) = (KOMMUN.to_owned(), proto::Portal::Parent.into());
    for (reset_token, new_password, faults) in [
        (String::new(), String::new(), ["reset_token MISSING", "new_password MISSING"]),
        // Devise CVE-2019-16109: a blank token must not match a blank column.
        (" \t\n".to_owned(), long(257), ["reset_token MISSING", "new_password TOO_LONG"]),
        (long(257), long(1025), ["reset_token TOO_LONG", "new_password TOO_LONG"]),
    ] {
        let inspected = proto::InspectResetTokenRequest {
            organization: organization.clone(),
            portal,
            reset_token: reset_token.clone(),
            locale: long(36),
            client: bad_client(),
        };
        let of_token = [faults[0], "locale TOO_LONG"];
        cases.push(case(INSPECT, &inspected, &[of_token.as_slice(), &of_client].concat()));
        let confirmed = proto::ConfirmPasswordResetRequest {
            organization: organization.clone(),
            portal,
            reset_token,
            new_password,
            client: bad_client(),
        };
        cases.push(case(CONFIRM, &confirmed, &[faults.as_slice(), &of_client].concat()));
    }
    cases
}

fn identifications() -> Vec<(Option<Identification>, Vec<&'static str>)> {
    const BSN: &str = "debtor_number_and_bsn.bsn MALFORMED";
    const NUMBER: &str = "debtor_number_and_email.debtor_number MALFORMED";
    const EMAIL: &str = "debtor_number_and_email.email MALFORMED";
    let mut cases = vec![
        (None, vec!["identification MISSING"]),
        (
            by_bsn("", ""),
            vec!["debtor_number_and_bsn.debtor_number MISSING", "debtor_number_and_bsn.bsn MISSING"],
        ),
        (
            by_bsn(&long(33), &long(33)),
            vec!["debtor_number_and_bsn.debtor_number TOO_LONG", "debtor_number_and_bsn.bsn TOO_LONG"],
        ),
        (by_bsn("XQZCANARY_", "1234567"), vec!["debtor_number_and_bsn.debtor_number MALFORMED", BSN]),
        (
            by_email("", ""),
            vec!["debtor_number_and_email.debtor_number MISSING", "debtor_number_and_email.email MISSING"],
        ),
        (
            by_email(&long(33), &long(321)),
            vec!["debtor_number_and_email.debtor_number TOO_LONG", "debtor_number_and_email.email TOO_LONG"],
        ),
        (by_email("xqzcanary@example.se", MARK), vec![NUMBER, EMAIL]),
        (email_alone(""), vec!["email MISSING"]),
        (email_alone(&long(321)), vec!["email TOO_LONG"]),
    ];
    for bsn in ["123456789", "000000000", "99999001\u{0669}", "XQZCANARY", "9999900190", "19990807-2391"] {
        cases.push((by_bsn("10234", bsn), vec![BSN]));
    }
    for email in [
        "XQZCANARY",
        "xqzcanary@",
        "@example.se",
        "xqzcanary@example.se xqzcanary@example.nl",
        "xqzcanary@example.se,eva@example.se",
        "xqzcanary@example.se\r\nBcc: eva@example.se",
        "xqzcanary@example.se\u{0}",
        "xqzcanary@[192.0.2.7]",
        "\"xqzcanary\"@example.se",
        "xqzcanary@example",
        "xqzcanary@ex\u{200b}ample.se",
        // Letters that fold to ASCII elsewhere (GitHub 2016, Django CVE-2019-19844).
        "xqzcanar\u{0131}@example.se",
        "\u{212a}im@example.se",
    ] {
        cases.push((by_email("10234", email), vec![EMAIL]));
        cases.push((email_alone(email), vec!["email MALFORMED"]));
    }
    cases
}
