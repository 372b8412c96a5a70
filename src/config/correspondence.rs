//! `organizations[].mail`, `.pages` and `.reset`: how an organization writes to guardians, and what links lead to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::identifier::Email;
use crate::domain::organization::{LinkPage, Portal, PortalPages, ResetPolicy};
use crate::domain::password_reset::ResetMethod;

use super::form::{Choice, Each, Parsed, Span, Text};
use super::reader::Reader;
use super::url;

/// What mails come from.
pub(super) struct ReadMail {
    pub(super) from_name: String,
    pub(super) from_address: Email,
    pub(super) contact: String,
}

const ADDRESS: Parsed<Email> = Parsed { form: "an e-mail address", parse: |text| Email::parse(text).ok() };

const HOME: Parsed<String> =
    Parsed { form: "an https URL; http on this machine only", parse: url::parse_page };

const LINK_PAGE: Parsed<LinkPage> = Parsed {
    form: "an https URL with `{token}` once behind the host, best after a `#`; http on this machine only",
    parse: |text| LinkPage::parse(&url::parse_page(text)?),
};

const METHOD: Choice<ResetMethod> = Choice(&[
    ("debtor_number_and_email", ResetMethod::DebtorNumberAndEmail),
    ("debtor_number_and_bsn", ResetMethod::DebtorNumberAndBsn),
    ("email", ResetMethod::Email),
]);

/// NIST SP 800-63B-4: a code sent by mail lives 24 hours at most. Half an hour is longer than the pause between two
/// mails to one account (20 minutes), so that who asked always holds a live link.
const LINK_LIFETIME: Span = Span(Duration::from_mins(30)..=Duration::from_hours(24));

pub(super) fn read_mail(mail: &mut Reader<'_>) -> Option<ReadMail> {
    let from_name = mail.required("from_name", "the name that mails come from", &Text(1..=100));
    let from_address = mail.required("from_address", "the address that mails come from", &ADDRESS);
    let contact = mail
        .optional(
            "contact",
            "where guardians write or call when a mail does not help, shown in mails",
            &Text(1..=200),
            "not shown",
        )
        .unwrap_or_default();
    Some(ReadMail { from_name: from_name?, from_address: from_address?, contact })
}

pub(super) fn read_pages(
    pages: &mut Reader<'_>,
    portals: &[Portal],
    needed: bool,
) -> BTreeMap<Portal, PortalPages> {
    let mut read = BTreeMap::new();
    for portal in Portal::ALL {
        let name = portal.as_str();
        let page = pages.optional_section(name, |page| {
            let home = page.required("home", "where the portal begins", &HOME);
            let reset = page.required("reset", "the portal's page that takes a new password", &LINK_PAGE);
            let activation = page.optional(
                "activation",
                "the portal's page that takes a first password, with what staff issued",
                &LINK_PAGE,
                "none: links and QR codes for it are not made",
            );
            Some(PortalPages { home: home?, reset: reset?, activation })
        });
        let given = pages.is_given(name);
        if given && !portals.contains(&portal) {
            pages.fault(name, "is no portal of this organization", "remove it, or add it to `portals`");
        }
        if needed && !given && portals.contains(&portal) {
            pages.fault(name, "is required: mails link to it", "write its `home` and `reset` pages");
        }
        if let Some(page) = page.flatten() {
            read.insert(portal, page);
        }
    }
    read
}

pub(super) fn read_reset(reset: &mut Reader<'_>) -> ResetPolicy {
    let methods = reset
        .optional(
            "methods",
            "by what a link can be asked for, in the order in which portals offer it",
            &Each(METHOD),
            "`[\"debtor_number_and_email\"]`",
        )
        .unwrap_or_else(|| vec![ResetMethod::DebtorNumberAndEmail]);
    if methods.is_empty() {
        reset.fault("methods", "is empty", "name at least one, or remove the section");
    }
    let basis = reset.optional(
        "bsn_legal_basis",
        "the law or decision by which this organization may process BSN for this; needed for \"debtor_number_and_bsn\"",
        &Text(20..=1000),
        "none",
    );
    let needs_basis = methods.contains(&ResetMethod::DebtorNumberAndBsn);
    if needs_basis && basis.is_none() && !reset.is_given("bsn_legal_basis") {
        reset.fault(
            "bsn_legal_basis",
            "is required for \"debtor_number_and_bsn\"",
            "write down the legal basis (at least 20 characters), or remove the method",
        );
    }
    let link_lifetime =
        reset.or("link_lifetime", "how long a link works", &LINK_LIFETIME, Duration::from_hours(1));
    ResetPolicy { methods, link_lifetime }
}
