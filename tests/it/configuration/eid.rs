//! The configuration of logins with an eID: mistakes that would open a door.

use super::{SQLITE, Setting, assert_only, lines};

/// The faults of the least configuration with these tables of its organization.
fn faults(setting: &Setting, tables: &str) -> Vec<String> {
    let portals = "portals = [\"parent\", \"staff\"]\n";
    let text = setting.least(SQLITE, "").replacen(portals, &format!("{portals}{tables}\n"), 1);
    assert!(text.contains(tables));
    lines(setting.load(&text, &[]))
}

/// A provider without faults, and more of it.
fn provider(id: &str, more: &str) -> String {
    let identifier = if more.contains("identifier") { "" } else { SSN };
    format!(
        "[[organizations.oidc]]\nid = \"{id}\"\ndisplay_name = \"{id}\"\nissuer = \"https://op.example.se\"\n\
         client_id = \"portal\"\nclient_auth = \"client_secret_basic\"\nclient_secret = \"canary\"\n\
         redirect_uri = \"https://portal.example.se/login/{id}\"\n{identifier}{more}\n"
    )
}

const SSN: &str = "identifier = { claims = [\"ssn\"], scheme = \"se_pnr\" }\n";

#[test]
fn two_providers_at_one_address_are_refused() {
    let setting = Setting::new();
    let two = provider("a", "") + &provider("b", "");
    assert_eq!(faults(&setting, &two), [""; 0]);
    let same = two.replace("login/b", "login/a");
    assert_only(&faults(&setting, &same), "organizations[0].oidc[1].redirect_uri", "earlier provider");
}

/// The address stands in the browser: who asks for another eID there must not be taken for who was asked for.
#[test]
fn what_a_provider_is_asked_for_is_checked_in_its_answer() {
    let setting = Setting::new();
    let asked = "acr_values = [\"idp:sbid\"]\n";
    assert_only(&faults(&setting, &provider("a", asked)), "organizations[0].oidc[0].acr_values", "checked");
    let required = format!("{asked}required_acr = [\"idp:sbid\"]");
    assert_eq!(faults(&setting, &provider("a", &required)), [""; 0]);
    let claimed = format!(
        "{asked}identifier = {{ claims = [\"nin\"], scheme = \"se_pnr\", require = [{{ claim = \"idp\", \
         any_of = [\"sbid\"] }}] }}"
    );
    assert_eq!(faults(&setting, &provider("a", &claimed)), [""; 0]);
}

#[test]
fn no_name_of_an_email_address_identifies_anybody() {
    let setting = Setting::new();
    let identified_by = |claim: &str| {
        let more = format!("identifier = {{ claims = [\"{claim}\"], scheme = \"opaque\" }}");
        faults(&setting, &provider("a", &more))
    };
    for address in [
        "email",
        "Mail",
        "emailAddress",
        "https://op.example.se/claims/email",
        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
        "urn:oid:0.9.2342.19200300.100.1.3",
    ] {
        assert_only(&identified_by(address), "organizations[0].oidc[0].identifier.claims", "e-mail");
    }
    assert_eq!(identified_by("https://op.example.se/claims/mailbox_owner_id"), [""; 0]);
}

#[test]
fn bankid_is_offered_at_portals_that_there_are() {
    let setting = Setting::new();
    let file = setting.write("any.pem", "any");
    let bankid = |portal: &str| {
        format!(
            "[organizations.bankid]\nenvironment = \"test\"\nca_file = \"{file}\"\ncertificate_file = \"{file}\"\n\
             key_file = \"{file}\"\nreferring_domain = \"portal.example.se\"\nportals = [\"{portal}\"]"
        )
    };
    assert_eq!(faults(&setting, &bankid("parent")), [""; 0]);
    assert_only(&faults(&setting, &bankid("childminder")), "organizations[0].bankid.portals", "has not");
}

/// Its certificates are what makes it BankID: none is reached without TLS, on this machine neither.
#[test]
fn what_speaks_as_bankid_does_is_reached_over_tls() {
    let setting = Setting::new();
    let file = setting.write("any.pem", "any");
    let at = |url: &str| {
        let tables = format!(
            "[organizations.bankid]\nenvironment = \"other\"\nurl = \"{url}\"\nca_file = \"{file}\"\n\
             certificate_file = \"{file}\"\nkey_file = \"{file}\"\nreferring_domain = \"portal.example.se\""
        );
        faults(&setting, &tables)
    };
    assert_eq!(at("https://127.0.0.1:8443/rp/v6.0"), [""; 0]);
    for url in ["http://127.0.0.1:8443/rp/v6.0", "https://127.0.0.1:8443/x/rp/v6.0", "https://127.0.0.1:8443"]
    {
        assert_only(&at(url), "organizations[0].bankid.url", "is not accepted");
    }
}
