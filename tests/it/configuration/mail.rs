//! The configuration of mails, text messages, pages and resets.

use guardian_auth::config::{Mail, SmtpSecurity};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::password_reset::ResetMethod;

use super::{SQLITE, Setting, assert_only};

/// A whole correspondence, as variables.
const WHOLE: [(&str, &str); 12] = [
    ("MAIL__BACKEND", "smtp"),
    ("MAIL__SMTP__HOST", "smtp.example.se"),
    ("MAIL__SMTP__USER", "guardian-auth"),
    ("MAIL__SMTP__PASSWORD", "canary-7b1e"),
    ("ORGANIZATIONS__0__MAIL__FROM_NAME", "Sample"),
    ("ORGANIZATIONS__0__MAIL__FROM_ADDRESS", "No-Reply@Example.se"),
    ("ORGANIZATIONS__0__PAGES__PARENT__HOME", "https://portal.example.se"),
    ("ORGANIZATIONS__0__PAGES__PARENT__RESET", "https://portal.example.se/new#{token}"),
    ("ORGANIZATIONS__0__PAGES__STAFF__HOME", "https://admin.example.se"),
    ("ORGANIZATIONS__0__PAGES__STAFF__RESET", "https://admin.example.se/new?t={token}&a=1"),
    ("ORGANIZATIONS__0__RESET__METHODS", "email,debtor_number_and_bsn"),
    ("ORGANIZATIONS__0__RESET__BSN_LEGAL_BASIS", "Wet kinderopvang, artikel 1.48b, lid 2"),
];

/// [`WHOLE`] without some keys and with others.
fn variables<'a>(without: &[&str], with: &[(&'a str, &'a str)]) -> Vec<(String, &'a str)> {
    let kept = WHOLE.into_iter().filter(|(name, _)| {
        !without.iter().any(|gone| name.starts_with(gone)) && !with.iter().any(|(other, _)| other == name)
    });
    kept.chain(with.iter().copied()).map(|(name, value)| (format!("GUARDIAN_AUTH__{name}"), value)).collect()
}

fn faults(without: &[&str], with: &[(&str, &str)]) -> Vec<String> {
    let variables = variables(without, with);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    Setting::new().faults(SQLITE, "", &variables)
}

#[test]
fn a_whole_correspondence_is_read() {
    let variables = variables(&[], &[]);
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let setting = Setting::new();
    let config = setting.load(&setting.least(SQLITE, ""), &variables).unwrap();
    let Some(Mail::Smtp(smtp)) = &config.mail else { panic!("{:?}", config.mail) };
    assert_eq!((smtp.port, smtp.security), (587, SmtpSecurity::StartTls));
    let organization = &config.organizations[0];
    let correspondence = organization.correspondence.as_ref().unwrap();
    assert_eq!(correspondence.from_address.as_str(), "no-reply@example.se");
    let link = correspondence.pages[&Portal::Staff].reset.link("grt_x");
    assert_eq!(link, "https://admin.example.se/new?t=grt_x&a=1");
    let reset = organization.reset.as_ref().unwrap();
    assert_eq!(reset.methods, [ResetMethod::Email, ResetMethod::DebtorNumberAndBsn]);
    assert_eq!(reset.link_lifetime.as_secs(), 3600);
    assert!(!format!("{config:?}").contains("canary-7b1e"));
}

#[test]
fn bsn_needs_a_legal_basis() {
    let found = faults(&["ORGANIZATIONS__0__RESET__BSN"], &[]);
    assert_only(&found, "organizations[0].reset.bsn_legal_basis", "is required for");
    let found = faults(&[], &[("ORGANIZATIONS__0__RESET__BSN_LEGAL_BASIS", "because")]);
    assert_only(&found, "organizations[0].reset.bsn_legal_basis", "is not accepted");
}

#[test]
fn a_reset_needs_a_way_for_mail_and_pages_for_each_portal() {
    let found = faults(&["MAIL"], &[]);
    assert_only(&found, "organizations[0].mail", "nothing says how mails leave this service");
    let found = faults(&["ORGANIZATIONS__0__MAIL", "ORGANIZATIONS__0__PAGES"], &[]);
    assert_only(&found, "organizations[0].mail", "reset links go by mail");
    let found = faults(&["ORGANIZATIONS__0__PAGES__STAFF"], &[]);
    assert_only(&found, "organizations[0].pages.staff", "mails link to it");
    let found = faults(
        &[],
        &[
            ("ORGANIZATIONS__0__PAGES__CHILDMINDER__HOME", "https://portal.example.se"),
            ("ORGANIZATIONS__0__PAGES__CHILDMINDER__RESET", "https://portal.example.se/#{token}"),
        ],
    );
    assert_only(&found, "organizations[0].pages.childminder", "is no portal of this organization");
}

#[test]
fn a_page_for_links_has_one_place_for_the_token_behind_its_host() {
    for page in [
        "https://portal.example.se/new",
        "https://portal.example.se/{token}/{token}",
        "https://{token}.example.se/new",
        "http://portal.example.se/#{token}",
        "//portal.example.se/#{token}",
        "https://portal.example.se#{token}",
        "javascript:alert('{token}')",
    ] {
        let found = faults(&[], &[("ORGANIZATIONS__0__PAGES__PARENT__RESET", page)]);
        assert_only(&found, "organizations[0].pages.parent.reset", "is not accepted");
    }
}

#[test]
fn links_live_half_an_hour_to_a_day() {
    for lifetime in ["29m", "25h"] {
        let found = faults(&[], &[("ORGANIZATIONS__0__RESET__LINK_LIFETIME", lifetime)]);
        assert_only(&found, "organizations[0].reset.link_lifetime", "is not accepted");
    }
}

#[test]
fn mail_leaves_in_clear_for_this_machine_only() {
    let user = ["MAIL__SMTP__USER", "MAIL__SMTP__PASSWORD"];
    let none = ("MAIL__SMTP__SECURITY", "none");
    assert_only(
        &faults(&user, &[none]),
        "mail.smtp.security",
        "is none for a server that is not on this machine",
    );
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(faults(&user, &[none, ("MAIL__SMTP__HOST", host)]), Vec::<String>::new());
    }
    let found = faults(&[], &[none, ("MAIL__SMTP__HOST", "localhost")]);
    assert_only(&found, "mail.smtp.user", "would travel in clear");
    let found = faults(&["MAIL__SMTP__PASSWORD"], &[]);
    assert_only(&found, "mail.smtp.user", "password come together");
}

#[test]
fn text_messages_go_to_countries_that_are_named() {
    let whole = [("SMS__USER", "u"), ("SMS__PASSWORD", "p"), ("SMS__FROM", "Skolan")];
    assert_eq!(faults(&[], &whole), Vec::<String>::new());
    for (key, value) in
        [("COUNTRIES", "46"), ("COUNTRIES", "+0"), ("FROM", "a name too long"), ("FROM", "+46x")]
    {
        let name = format!("SMS__{key}");
        let mut with: Vec<(&str, &str)> = whole.into_iter().filter(|(other, _)| *other != name).collect();
        with.push((&name, value));
        let found = faults(&[], &with);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("sms.{}", key.to_lowercase())), "{found:?}");
    }
    let mut with = whole.to_vec();
    with.push(("SMS__BASE_URL", "http://api.46elks.com"));
    assert_only(&faults(&[], &with), "sms.base_url", "is not accepted");
}
