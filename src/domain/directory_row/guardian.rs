//! The row of a guardian.

use jiff::civil::Date;

use super::super::directory::{
    Contact, GuardianLogin, GuardianRecord, ImportedPassword, LoginNameKind, Relation,
};
use super::super::identifier::{
    Bsn, DebtorNumber, Email, LoginName, Mobile, NationalId, Region, Rejection, SwedishNumber,
};
use super::super::organization::{Organization, Portal};
use super::super::passphrase::Locale;
use super::super::password::PasswordHash;
use super::fields::Fields;
use super::key;

/// Names of one kind in a row: one per portal is usual, two after a merger of customers.
const MOST_LOGIN_NAMES: usize = 4;
/// Children of one guardian, with room for foster homes.
const MOST_CHILD_LINKS: usize = 32;
/// Bytes of a contact value as delivered: what the e-mail rule reads at most. Longer ones are not kept.
const LONGEST_CONTACT_BYTES: usize = 320;

/// Reads a guardian; nothing if it has no name or no key.
pub(super) fn read(mut fields: Fields<'_>, organization: &Organization, on: Date) -> Option<GuardianRecord> {
    let key = key(&mut fields, "key");
    let given_name = fields.person_text("given_name");
    let family_name = fields.person_text("family_name");
    let locale = locale(&mut fields, organization.region);
    let logins = logins(&mut fields, organization);
    let national_id = national_id(&mut fields, organization.region, on);
    let email = contact(&mut fields, "email", Email::parse);
    let mobile = contact(&mut fields, "mobile", |text| Mobile::parse(text, organization.region));
    let relations = relations(&mut fields, organization);
    let password = password(&mut fields, organization, &relations);
    fields.finish();
    Some(GuardianRecord {
        key: key?,
        given_name: given_name?,
        family_name: family_name?,
        locale,
        logins,
        spare_user_names: Vec::new(),
        national_id,
        email,
        mobile,
        relations,
        password,
    })
}

fn locale(fields: &mut Fields<'_>, region: Region) -> Locale {
    let Some(tag) = fields.text("locale") else {
        return match region {
            Region::Se => Locale::Sv,
            Region::Nl => Locale::Nl,
        };
    };
    Locale::from_tag(&tag)
}

/// A portal of guardians that the organization has.
fn portal(fields: &mut Fields<'_>, organization: &Organization) -> Option<Portal> {
    let text = fields.required_text("portal")?;
    match Portal::parse(&text) {
        Some(portal @ (Portal::Parent | Portal::Childminder)) if organization.portals.contains(&portal) => {
            Some(portal)
        }
        Some(Portal::Parent | Portal::Childminder) => {
            let message =
                "The organization has no such portal. Open it in the configuration, or leave this out.";
            fields.fault("portal", "portal_not_open", message);
            None
        }
        Some(Portal::Staff) => {
            let message = "Staff get their login by invitation, never from a file. Leave this out.";
            fields.fault("portal", "staff_portal", message);
            None
        }
        None => {
            fields.fault("portal", "unknown_portal", "A portal is `parent` or `childminder`.");
            None
        }
    }
}

fn logins(fields: &mut Fields<'_>, organization: &Organization) -> Vec<GuardianLogin> {
    let zeros = organization.leading_zeros();
    let debtor_number = |text: &str| DebtorNumber::parse(text, zeros).map(LoginName::from);
    let user_name = |text: &str| LoginName::parse(text, zeros);
    let debtor_numbers = fields.objects("debtor_numbers", MOST_LOGIN_NAMES, |entry| {
        login(entry, organization, LoginNameKind::DebtorNumber, "number", debtor_number)
    });
    let user_names = fields.objects("user_names", MOST_LOGIN_NAMES, |entry| {
        login(entry, organization, LoginNameKind::UserName, "name", user_name)
    });
    let mut logins: Vec<GuardianLogin> = Vec::new();
    for login in debtor_numbers.into_iter().chain(user_names) {
        let known = logins.iter().any(|other| other.portal == login.portal && other.name == login.name);
        if !known {
            logins.push(login);
        }
    }
    logins
}

fn login(
    mut entry: Fields<'_>,
    organization: &Organization,
    kind: LoginNameKind,
    field: &'static str,
    parse: impl FnOnce(&str) -> Result<LoginName, Rejection>,
) -> Option<GuardianLogin> {
    let portal = portal(&mut entry, organization);
    let name = entry.text(field).and_then(|text| match parse(&text) {
        Ok(name) => Some(name),
        Err(rejection) => {
            let message = format!("{} The guardian is taken without it.", rejection.reason());
            entry.finding(field, rejection.code(), message);
            None
        }
    });
    entry.finish();
    Some(GuardianLogin { portal: portal?, kind, name: name? })
}

/// A wrong number does not keep the guardian out: the account would be missing, and nobody could say why.
fn national_id(fields: &mut Fields<'_>, region: Region, on: Date) -> Option<NationalId> {
    let text = fields.text("national_id")?;
    let parsed = match region {
        Region::Se => SwedishNumber::parse(&text, on).map(NationalId::from),
        Region::Nl => Bsn::parse(&text).map(NationalId::from),
    };
    parsed
        .map_err(|rejection| {
            let message = format!(
                "{} The guardian is taken without it and cannot log in with eID until it is corrected.",
                rejection.reason()
            );
            fields.finding("national_id", rejection.code(), message);
        })
        .ok()
}

fn contact<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Rejection>,
) -> Option<Contact<T>> {
    let delivered = fields.text(name)?;
    // No store keeps U+0000 in a text.
    if delivered.len() > LONGEST_CONTACT_BYTES || delivered.contains('\0') {
        fields.finding(
            name,
            "not_kept",
            "This is too long or holds a character that cannot be stored. Nothing of it is kept.",
        );
        return None;
    }
    let canonical = parse(&delivered)
        .map_err(|rejection| {
            let message = format!(
                "{} It is kept as delivered and marked: nothing is sent to it and nothing matches it.",
                rejection.reason()
            );
            fields.finding(name, rejection.code(), message);
        })
        .ok();
    Some(Contact { delivered, canonical })
}

fn relations(fields: &mut Fields<'_>, organization: &Organization) -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    let links = fields.objects("child_links", MOST_CHILD_LINKS, |mut entry| {
        let child = key(&mut entry, "child");
        let confirmed = entry.flag("confirmed");
        entry.finish();
        Some((child?, confirmed))
    });
    for (child, confirmed) in links {
        let twice = relations
            .iter()
            .any(|relation| matches!(relation, Relation::Child { child: other, .. } if *other == child));
        if twice {
            let message =
                "A child is named twice here. Name it once, and say there whether the link is confirmed.";
            fields.fault("child_links", "child_given_twice", message);
        } else {
            relations.push(Relation::Child { child, confirmed });
        }
    }
    let contract = fields.object("contract", |mut entry| {
        let confirmed = entry.flag("confirmed");
        entry.finish();
        Some(Relation::Contract { confirmed })
    });
    if contract.is_some() && !organization.portals.contains(&Portal::Childminder) {
        let message =
            "The organization has no childminder portal. Open it in the configuration, or leave this out.";
        fields.fault("contract", "portal_not_open", message);
    }
    relations.extend(contract);
    relations
}

/// Takes a hash over only where the source confirmed a relation for its portal (domain rule 1).
fn password(
    fields: &mut Fields<'_>,
    organization: &Organization,
    relations: &[Relation],
) -> Option<ImportedPassword> {
    fields.object("password", |mut entry| {
        let portal = portal(&mut entry, organization);
        let phc = entry.required_text("hash");
        let must_change = entry.flag("must_change");
        let hash = phc.and_then(|phc| match PasswordHash::parse(&phc) {
            Ok(hash) => Some(hash),
            Err(rejection) => {
                let message = format!("The hash {rejection}. The guardian is taken without a password.");
                entry.finding("hash", "hash_refused", message);
                None
            }
        });
        entry.finish();
        Some((portal?, hash?, must_change))
    })
    .and_then(|(portal, hash, must_change)| {
        if relations.iter().any(|relation| relation.portal() == portal && relation.confirmed()) {
            return Some(ImportedPassword { portal, hash, must_change });
        }
        let message = match portal {
            Portal::Parent => "No child link of this guardian is confirmed, so the password is not kept. Staff of the \
                               child's school can confirm the link and issue one.",
            Portal::Childminder | Portal::Staff => {
                "The contract of this childminder is not confirmed, so the password is not kept. Staff can confirm the \
                 contract and issue one."
            }
        };
        fields.finding("password", "relation_not_confirmed", message);
        None
    })
}
