//! `organizations[].oidc[].identifier`: how a provider's claims name a person, and what they say of staff.

use crate::domain::oidc::{ClaimMapping, ClaimSource, IdentifierScheme, Requirement, RoleMapping};
use crate::domain::staff::Role;

use super::super::form::{Choice, Each, Parsed, Text};
use super::super::reader::Reader;

const VALUE_AND_ROLE: Parsed<(String, Role)> = Parsed {
    form: "`value=role`, the role one of organization_administrator, school_administrator and support_person",
    parse: parse_value_and_role,
};

pub(super) fn read(identifier: &mut Reader<'_>) -> Option<ClaimMapping> {
    let source = identifier.or(
        "source",
        "where the claim is believed from",
        &Choice(&[
            ("id_token", ClaimSource::IdToken),
            ("userinfo", ClaimSource::Userinfo),
            ("either", ClaimSource::Either),
        ]),
        ClaimSource::Either,
    );
    let claims = identifier.required(
        "claims",
        "exact names of the claim, URIs literally; of several exactly one must be there",
        &Each(Text(1..=200)),
    );
    if claims.as_ref().is_some_and(Vec::is_empty) {
        identifier.fault("claims", "is empty", "name the claim that identifies the person");
    }
    if claims.as_ref().is_some_and(|claims| claims.iter().any(|claim| is_email(claim))) {
        identifier.fault(
            "claims",
            "names an e-mail address",
            "an address never identifies a person: name another claim",
        );
    }
    let scheme = identifier.required(
        "scheme",
        "what it holds",
        &Choice(&[
            ("se_pnr", IdentifierScheme::SePnr),
            ("se_snr", IdentifierScheme::SeSnr),
            ("se_any", IdentifierScheme::SeAny),
            ("nl_bsn", IdentifierScheme::NlBsn),
            ("opaque", IdentifierScheme::Opaque),
        ]),
    );
    let strip_prefix = identifier.optional(
        "strip_prefix",
        "dropped in front of the value, which is refused without it",
        &Text(1..=100),
        "none",
    );
    let previous_claim =
        identifier.optional("previous_claim", "the claim with the number before", &Text(1..=200), "none");
    let require = identifier.optional_list("require", |reader| {
        let claim = reader.required("claim", "a claim that must be there", &Text(1..=200));
        let any_of = reader.required("any_of", "with one of these values", &Each(Text(1..=200)));
        Some(Requirement { claim: claim?, any_of: any_of? })
    });
    let require = require.into_iter().flatten().collect();
    let staff_roles = identifier
        .optional_section("staff_roles", |roles| {
            let claim = roles.required("claim", "the claim that tells the roles of staff", &Text(1..=200));
            let values = roles.required("values", "its values with the role of each", &Each(VALUE_AND_ROLE));
            if values.as_ref().is_some_and(Vec::is_empty) {
                roles.fault("values", "is empty", "name a value, or remove the section");
            }
            Some(RoleMapping { claim: claim?, roles: values? })
        })
        .flatten();
    Some(ClaimMapping {
        source,
        claims: claims?,
        scheme: scheme?,
        strip_prefix,
        require,
        previous_claim,
        staff_roles,
    })
}

/// Behind the last `=`: values may hold one themselves (names in a directory: `CN=Admins`).
fn parse_value_and_role(text: &str) -> Option<(String, Role)> {
    let (value, role) = text.rsplit_once('=')?;
    let role = Role::parse(role).filter(|role| *role != Role::PlatformOperator)?;
    (!value.is_empty()).then(|| (value.to_owned(), role))
}

/// The names that e-mail addresses have in use, of URIs the last part: `email`, `mail`, `emailAddress`, the OID of `mail`.
fn is_email(claim: &str) -> bool {
    const NAMES: [&str; 6] =
        ["email", "e-mail", "mail", "emailaddress", "email_address", "urn:oid:0.9.2342.19200300.100.1.3"];
    let claim = claim.to_ascii_lowercase();
    let last = claim.rsplit(['/', '#', '.']).next().unwrap_or_default();
    NAMES.contains(&claim.as_str()) || NAMES.contains(&last)
}
