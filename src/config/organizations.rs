//! `organizations`: the tenants with their portals and rules.

use std::time::Duration;

use crate::domain::identifier::Region;
use crate::domain::limits::{LimitPolicy, Quota};
use crate::domain::login_password::FAILURES_UNTIL_CLOSED;
use crate::domain::organization::{Correspondence, Organization, OrganizationId, Portal, SessionPolicy};
use crate::domain::password::PasswordPolicy;

use super::bankid::{self, BankIdAccess};
use super::correspondence;
use super::form::{Choice, Count, Each, Flag, Parsed, Span, Text, duration_text};
use super::oidc::{self, OidcAccess};
use super::reader::Reader;
use super::staff;

/// An organization as far as it could be read: callers name it also when something else in it is wrong.
pub(super) struct ReadOrganization {
    pub(super) id: Option<OrganizationId>,
    pub(super) portals: Vec<Portal>,
    pub(super) organization: Option<Organization>,
    pub(super) bankid: Option<BankIdAccess>,
    pub(super) oidc: Vec<OidcAccess>,
}

pub(super) const ORGANIZATION_ID: Parsed<OrganizationId> =
    Parsed { form: "a name of a-z, 0-9 and -, 1 to 40 characters", parse: OrganizationId::parse };

pub(super) const PORTAL: Choice<Portal> = Choice(&[
    (Portal::Parent.as_str(), Portal::Parent),
    (Portal::Childminder.as_str(), Portal::Childminder),
    (Portal::Staff.as_str(), Portal::Staff),
]);

const REGION: Choice<Region> = Choice(&[("SE", Region::Se), ("NL", Region::Nl)]);

/// A password of fewer characters than this, as the only factor, needs a written reason (NIST SP 800-63B-4 §3.1.1.2).
const USUAL_MIN_LENGTH: u16 = 15;

/// NIST SP 800-63B-4 §2.1.3: a session of one factor is authenticated anew after 30 days at the latest.
const LONGEST_PASSWORD_SESSION: Duration = Duration::from_hours(30 * 24);

/// NIST SP 800-63B-4 §2.2.3: a session of two factors after 24 hours.
const LONGEST_EID_SESSION: Duration = Duration::from_hours(24);

/// Failures that close a password must take at least this long from any number of networks, so that an owner who was
/// away for a night is not locked out by a stranger's sprint.
const SHORTEST_TIME_TO_CLOSE: Duration = Duration::from_hours(12);

pub(super) fn read(root: &mut Reader<'_>, sends_mail: bool) -> Vec<ReadOrganization> {
    let mut taken: Vec<OrganizationId> = Vec::new();
    root.list("organizations", "the tenants", |reader| {
        let read = read_one(reader, sends_mail);
        if let Some(id) = &read.id {
            if taken.contains(id) {
                reader.fault(
                    "id",
                    "is that of an earlier organization",
                    "give each organization an id of its own",
                );
            }
            taken.push(id.clone());
        }
        read
    })
}

fn read_one(reader: &mut Reader<'_>, sends_mail: bool) -> ReadOrganization {
    let id =
        reader.required("id", "its short name in tokens, keys and logs; never changed", &ORGANIZATION_ID);
    let display_name = reader.required("display_name", "its name for people", &Text(1..=200));
    let region = reader.required("region", "region of mobile numbers that are written without one", &REGION);
    let strip_leading_zeros = reader.or(
        "strip_leading_zeros",
        "whether leading zeros of debtor numbers and user names are dropped on both sides",
        &Flag,
        false,
    );
    let portals = reader.required("portals", "the portals that it has", &Each(PORTAL));
    if portals.as_ref().is_some_and(Vec::is_empty) {
        reader.fault("portals", "is empty", "name at least one portal");
    }
    let password = reader.section("password", read_password);
    let session = reader.section("session", read_session);
    let limits = reader.section("limits", read_limits);
    let writes = reader.is_given("mail");
    let mail = reader.optional_section("mail", correspondence::read_mail);
    let pages = reader.section("pages", |pages| {
        correspondence::read_pages(pages, portals.as_deref().unwrap_or_default(), writes)
    });
    let reset = reader.optional_section("reset", correspondence::read_reset);
    if reader.is_given("reset") && !writes {
        reader.fault("mail", "is required: reset links go by mail", "write [organizations.mail]");
    }
    if writes && !sends_mail {
        reader.fault("mail", "is given, but nothing says how mails leave this service", "write [mail]");
    }
    let given_portals = portals.as_deref().unwrap_or_default();
    let bankid =
        reader.optional_section("bankid", |it| bankid::read(it, id.as_ref(), given_portals)).flatten();
    let (bankid_policy, bankid) = bankid.map_or((None, None), |read| (Some(read.policy), read.access));
    let providers = oidc::read(reader, id.as_ref(), given_portals);
    let (providers, oidc): (Vec<_>, Vec<_>) =
        providers.into_iter().map(|read| (read.provider, read.access)).unzip();
    let staff = reader.section("staff", staff::read);
    let organization = match (id.clone(), display_name, region, portals.clone()) {
        (Some(id), Some(display_name), Some(region), Some(portals)) => Some(Organization {
            id,
            display_name,
            region,
            strip_leading_zeros,
            portals,
            password,
            session,
            limits,
            correspondence: mail.flatten().map(|mail| Correspondence {
                from_name: mail.from_name,
                from_address: mail.from_address,
                contact: mail.contact,
                pages,
            }),
            reset,
            bankid: bankid_policy,
            oidc: providers,
            staff,
        }),
        _ => None,
    };
    ReadOrganization { id, portals: portals.unwrap_or_default(), organization, bankid, oidc }
}

fn read_password(password: &mut Reader<'_>) -> PasswordPolicy {
    let usual = PasswordPolicy::default();
    let min_length = password.or(
        "min_length",
        "least length of a new password in characters; 8 to 14 only with a `min_length_reason`",
        &Count(8..=64),
        usual.min_length,
    );
    let reason = password.optional(
        "min_length_reason",
        "why this organization must allow passwords under 15 characters",
        &Text(20..=1000),
        "none",
    );
    if min_length < USUAL_MIN_LENGTH && reason.is_none() && !password.is_given("min_length_reason") {
        password.fault(
            "min_length",
            "is under 15 without a reason",
            "raise it to 15, or write down the reason in min_length_reason (at least 20 characters)",
        );
    }
    let blocked_words = password.or(
        "blocked_words",
        "words that no password may be equal to: names of the organization and its portals",
        &Each(Text(1..=100)),
        usual.blocked_words,
    );
    PasswordPolicy { min_length, blocked_words }
}

fn read_session(session: &mut Reader<'_>) -> SessionPolicy {
    const MINUTE: Duration = Duration::from_mins(1);
    let usual = SessionPolicy::default();
    let read = SessionPolicy {
        idle: session.or(
            "idle",
            "a session without a refresh for this long is over",
            &Span(MINUTE..=LONGEST_PASSWORD_SESSION),
            usual.idle,
        ),
        absolute_password: session.or(
            "absolute_password",
            "a session that began with a password is over after this time",
            &Span(MINUTE..=LONGEST_PASSWORD_SESSION),
            usual.absolute_password,
        ),
        absolute_eid: session.or(
            "absolute_eid",
            "a session that began with an eID is over after this time",
            &Span(MINUTE..=LONGEST_EID_SESSION),
            usual.absolute_eid,
        ),
    };
    if read.idle > read.absolute_password.min(read.absolute_eid) {
        session.fault(
            "idle",
            "is longer than a whole session",
            "make it at most absolute_password and absolute_eid",
        );
    }
    read
}

fn read_limits(limits: &mut Reader<'_>) -> LimitPolicy {
    let usual = LimitPolicy::default();
    let read = LimitPolicy {
        organization: quota(limits, "organization", FAILURES, usual.organization),
        network: quota(limits, "network", FAILURES, usual.network),
        account: quota(limits, "account", FAILURES, usual.account),
        account_long: quota(limits, "account_long", FAILURES, usual.account_long),
        account_network: quota(limits, "account_network", FAILURES, usual.account_network),
        device: quota(limits, "device", FAILURES, usual.device),
        reset_organization: quota(limits, "reset_organization", REQUESTS, usual.reset_organization),
        reset_network: quota(limits, "reset_network", REQUESTS, usual.reset_network),
        eid_organization: quota(limits, "eid_organization", LOGINS, usual.eid_organization),
        eid_network: quota(limits, "eid_network", LOGINS, usual.eid_network),
    };
    let waits =
        u32::try_from(FAILURES_UNTIL_CLOSED).unwrap_or(u32::MAX).saturating_sub(read.account_long.burst);
    if read.account_long.refill.saturating_mul(waits) < SHORTEST_TIME_TO_CLOSE {
        let what = format!(
            "lets {FAILURES_UNTIL_CLOSED} failures close a password in less than {}",
            duration_text(SHORTEST_TIME_TO_CLOSE)
        );
        limits.fault("account_long", what, "lower its burst or lengthen its refill");
    }
    read
}

const FAILURES: &str = "failures that a full bucket admits at once";
const LOGINS: &str = "logins with an eID that a full bucket lets begin at once";
const REQUESTS: &str = "requests that a full bucket admits at once";

/// The same two keys for each bucket of [`LimitPolicy`]; what a bucket counts is told there and in the documentation.
fn quota(limits: &mut Reader<'_>, bucket: &str, what: &'static str, usual: Quota) -> Quota {
    limits.section(bucket, |quota| Quota {
        burst: quota.or("burst", what, &Count(1..=1_000_000), usual.burst),
        refill: quota.or(
            "refill",
            "time after which one more is admitted",
            &Span(Duration::from_millis(1)..=Duration::from_hours(24)),
            usual.refill,
        ),
    })
}
