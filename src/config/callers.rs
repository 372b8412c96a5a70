//! `callers`: who may call, known by what, for which organizations and portals.

use crate::domain::caller::{
    AllOrSome, Caller, CallerKind, SubjectName, TokenDigest, WebOrigin, is_caller_name,
};
use crate::domain::organization::{OrganizationId, Portal};

use super::form::{AllOr, Choice, Each, Flag, Parsed};
use super::organizations::{ORGANIZATION_ID, PORTAL, ReadOrganization};
use super::reader::{Reader, nearest};

/// A caller and what it is known by. No two callers have a digest or a certificate name in common; two web callers
/// have no origin in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredCaller {
    /// Who it is.
    pub caller: Caller,
    /// Digests of its bearer tokens; two while a token is replaced.
    pub token_digests: Vec<TokenDigest>,
    /// Names in its client certificates.
    pub subject_names: Vec<SubjectName>,
}

const NAME: Parsed<String> = Parsed {
    form: "a name of a-z, 0-9 and -, 1 to 40 characters",
    parse: |text| is_caller_name(text).then(|| text.to_owned()),
};
const KIND: Choice<CallerKind> = Choice(&CallerKind::NAMED);
const DIGEST: Parsed<TokenDigest> =
    Parsed { form: "a SHA-256 as 64 lower-case hexadecimal digits", parse: TokenDigest::parse };
const SUBJECT: Parsed<SubjectName> =
    Parsed { form: "a DNS name in lower case without wildcard, or a URI", parse: SubjectName::parse };
const ORIGIN: Parsed<WebOrigin> = Parsed {
    form: "an origin as a browser sends it, such as https://portal.example.se",
    parse: WebOrigin::parse,
};

pub(super) fn read(root: &mut Reader<'_>, organizations: &[ReadOrganization]) -> Vec<ConfiguredCaller> {
    let mut earlier: Vec<ConfiguredCaller> = Vec::new();
    root.list("callers", "who may call", |reader| {
        if let Some(read) = read_one(reader, organizations) {
            check_against(reader, &read, &earlier);
            earlier.push(read);
        }
    });
    earlier
}

fn read_one(reader: &mut Reader<'_>, known: &[ReadOrganization]) -> Option<ConfiguredCaller> {
    let name = reader.required("name", "its name: `client_id` in tokens, in logs and the audit log", &NAME);
    let kind = reader.required("kind", "what it is; decides which services it reaches", &KIND);
    let token_digests = reader.optional(
        "token_sha256",
        "digests of its bearer tokens, as `guardian-auth callers token` prints them; two while a token is replaced",
        &Each(DIGEST),
        "none",
    );
    let subject_names = reader.optional(
        "san",
        "names in its client certificates, one of which must match",
        &Each(SUBJECT),
        "none",
    );
    let origins = reader.optional(
        "origins",
        "where its pages are; kind `web` only, and needed there",
        &Each(ORIGIN),
        "none",
    );
    let organizations = reader.required(
        "organizations",
        "ids of the organizations for which it may act; \"*\" for all, later ones too",
        &AllOr(Each(ORGANIZATION_ID)),
    );
    let portals = reader.optional(
        "portals",
        "the portals for which it may act; needed but for kinds `sync` and `operator`",
        &AllOr(Each(PORTAL)),
        "all",
    );
    let may_assert_client_address = reader.or(
        "may_assert_client_ip",
        "whether the end user's address that it states is believed; limits count per address",
        &Flag,
        false,
    );
    if let Some(kind) = kind {
        // A list that could not be read is there: it has a fault of its own.
        let credential = is_there(reader, "token_sha256", token_digests.as_ref())
            || is_there(reader, "san", subject_names.as_ref());
        check_credentials(reader, kind, credential, is_there(reader, "origins", origins.as_ref()));
        if kind == CallerKind::Web && may_assert_client_address {
            reader.fault(
                "may_assert_client_ip",
                "is true for a web caller",
                "a page is never believed: remove it",
            );
        }
        let portals_needed = match kind {
            CallerKind::Portal | CallerKind::AdminPortal | CallerKind::Web => true,
            CallerKind::Sync | CallerKind::Operator => false,
        };
        if portals_needed && !reader.is_given("portals") {
            reader.fault("portals", "is required for this kind", "name the portals for which it may act");
        }
    }
    if let Some(organizations) = &organizations {
        check_organizations(reader, organizations, portals.as_ref(), known);
    }
    let caller = Caller {
        name: name?,
        kind: kind?,
        organizations: organizations?,
        portals: portals.unwrap_or(AllOrSome::All),
        may_assert_client_address,
        origins: origins.unwrap_or_default(),
    };
    Some(ConfiguredCaller {
        caller,
        token_digests: token_digests.unwrap_or_default(),
        subject_names: subject_names.unwrap_or_default(),
    })
}

fn is_there<T>(reader: &Reader<'_>, name: &str, list: Option<&Vec<T>>) -> bool {
    list.map_or_else(|| reader.is_given(name), |list| !list.is_empty())
}

/// A page holds no secret and everything else does.
fn check_credentials(reader: &Reader<'_>, kind: CallerKind, has_credential: bool, has_origin: bool) {
    match kind {
        CallerKind::Web => {
            for name in ["token_sha256", "san"].into_iter().filter(|name| reader.is_given(name)) {
                reader.fault(name, "is given for a web caller", "a page cannot keep a secret: remove it");
            }
            if !has_origin {
                reader.fault("origins", "is required for a web caller", "name the origins of its pages");
            }
        }
        CallerKind::Portal | CallerKind::AdminPortal | CallerKind::Sync | CallerKind::Operator => {
            if reader.is_given("origins") {
                reader.fault(
                    "origins",
                    "is given for a caller that is no page",
                    "remove it, or make it kind \"web\"",
                );
            }
            if !has_credential {
                let remedy = "run `guardian-auth callers token NAME` and paste its line, or give `san`";
                reader.fault("token_sha256", "is missing, as is `san`: nobody could be this caller", remedy);
            }
        }
    }
}

fn check_organizations(
    reader: &Reader<'_>,
    organizations: &AllOrSome<OrganizationId>,
    portals: Option<&AllOrSome<Portal>>,
    known: &[ReadOrganization],
) {
    let of_caller =
        || known.iter().filter(|read| read.id.as_ref().is_some_and(|id| organizations.contains(id)));
    if let AllOrSome::Some(named) = organizations {
        let ids: Vec<String> =
            known.iter().filter_map(|read| Some(read.id.as_ref()?.as_str().to_owned())).collect();
        for (index, id) in
            named.iter().enumerate().filter(|(_, id)| !ids.iter().any(|known| known == id.as_str()))
        {
            let near = nearest(id.as_str(), &ids);
            let remedy = near
                .map_or(format!("known are: {}", ids.join(", ")), |near| format!("did you mean `{near}`?"));
            reader.fault(&format!("organizations[{index}]"), "is not the id of an organization", remedy);
        }
    }
    if let Some(AllOrSome::Some(portals)) = portals
        && of_caller().next().is_some()
    {
        for (index, portal) in portals.iter().enumerate() {
            if !of_caller().any(|organization| organization.portals.contains(portal)) {
                let what = "is a portal that none of the caller's organizations has";
                reader.fault(&format!("portals[{index}]"), what, "remove it, or add it to the organization");
            }
        }
    }
}

fn check_against(reader: &Reader<'_>, read: &ConfiguredCaller, earlier: &[ConfiguredCaller]) {
    for other in earlier {
        let name = &other.caller.name;
        if read.caller.name == *name {
            reader.fault("name", "is that of an earlier caller", "give each caller a name of its own");
        }
        if read.token_digests.iter().any(|digest| other.token_digests.contains(digest)) {
            let what = format!("has a digest that caller `{name}` has too");
            reader.fault("token_sha256", what, "make a token for each caller");
        }
        if read.subject_names.iter().any(|subject| other.subject_names.contains(subject)) {
            let what = format!("has a name that caller `{name}` has too");
            reader.fault("san", what, "a certificate is of one caller");
        }
        let shared_origin = read.caller.origins.iter().any(|origin| other.caller.origins.contains(origin));
        if shared_origin {
            let what = format!("has an origin that caller `{name}` has too");
            reader.fault("origins", what, "an origin is of one caller; it may have several organizations");
        }
    }
}
