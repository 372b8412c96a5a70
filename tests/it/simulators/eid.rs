//! Logins with an eID, clicked through as a browser does: BankID by its simulated app, and each form of a provider.

use std::net::SocketAddr;
use std::time::Duration;

use guardian_auth::adapters::system::SystemEntropy;
use guardian_auth::app::{EidListeners, Outside, SimulatedEids};
use guardian_auth::config::{Config, OidcAccess, OidcClientAuth};
use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::secret::Secret;
use guardian_auth::simulators::oidc::Broker;
use guardian_auth::simulators::{Pages, PortalAccess, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::browser::{Browser, Page};
use crate::support::service::{KOMMUN, OPVANG, Parts, Service, TestClock, guardian, school_and_child};

/// Alma Sjöberg of the sample.
const ALMA: &str = "197001019806";

/// What a portal waits for at most: BankID is asked every few milliseconds here.
const PATIENCE: Duration = Duration::from_secs(20);

/// The service of `dev` with its simulators.
struct Bed {
    service: Service,
    pages: SocketAddr,
    providers: SocketAddr,
    clients: Vec<(String, String, String)>,
    _eids: SimulatedEids,
    _files: TempDir,
    _stop: DropGuard,
}

impl Bed {
    async fn start() -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(local).await.unwrap();
        let pages = listener.local_addr().unwrap();
        let listeners = EidListeners::bind(local, local).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let (mut eids, mut clients) = (None, Vec::new());
        let service = Service::start_with(Parts::Embedded, |config| {
            let outside =
                Outside { clock: TestClock::at_noon(), entropy: std::sync::Arc::new(SystemEntropy) };
            let started = SimulatedEids::start(listeners, config, pages, files.path(), &outside).unwrap();
            eids = Some(started);
            clients = config.oidc.iter().map(registered).collect();
            hurry(config);
        })
        .await;
        let eids = eids.unwrap();
        let mut rows = school_and_child();
        rows.extend([with_number("g-1", ALMA), with_number("g-2", "197302889931")]);
        service.import(KOMMUN, &rows).await;
        let mut rows = school_and_child();
        rows.push(with_number("o-1", "999990007"));
        rows.push(json!({
            "type": "guardian", "key": "o-4", "given_name": "Ruben", "family_name": "Smit", "national_id": "999990032",
            "contract": {"confirmed": true},
        }));
        service.import(OPVANG, &rows).await;
        let portal = |organization: &str| PortalAccess {
            organization: organization.to_owned(),
            display_name: organization.to_owned(),
            portal: Portal::Parent,
            token: Secret::new(service.token(&format!("{organization}-portal"))),
        };
        let settings = Settings {
            mailbox_dir: files.path().join("mails"),
            grpc: service.grpc(),
            portals: vec![portal(KOMMUN), portal(OPVANG)],
            bankid: Some(eids.bankid()),
            providers: Some(eids.providers()),
        };
        let stop = CancellationToken::new();
        tokio::spawn(Pages::serve(listener, settings, stop.clone()));
        let providers = eids.providers();
        Self { service, pages, providers, clients, _eids: eids, _files: files, _stop: stop.drop_guard() }
    }

    /// The address of a portal, or of a page below it.
    fn portal(&self, organization: &str, below: &str) -> String {
        format!("http://{}/portal/{organization}/parent{below}", self.pages)
    }

    fn provider(&self, below: &str) -> String {
        format!("http://{}{below}", self.providers)
    }

    /// Begins an order; the page that waits.
    async fn begin(&self, browser: &mut Browser, device: &str) -> Page {
        let page = browser.post(&self.portal(KOMMUN, "/bankid"), &[("device", device)]).await;
        assert_eq!(page.status, 200, "{}", page.body);
        page
    }

    /// Off to a provider, by a button of the portal; the provider's page.
    async fn to_provider(&self, browser: &mut Browser, organization: &str, provider: &str) -> Page {
        let login = browser.get(&self.portal(organization, "")).await;
        let action = format!("/portal/{organization}/parent/oidc/{provider}");
        login.has(&[&format!("action=\"{action}\"")]);
        let policy = login.header("content-security-policy").unwrap();
        assert!(policy.contains(&format!("form-action 'self' http://{};", self.providers)), "{policy}");
        let page = browser.post(&self.portal(organization, &format!("/oidc/{provider}")), &[]).await;
        assert!(page.url.starts_with(&self.provider(&format!("/{provider}/authorize?"))), "{}", page.url);
        page
    }
}

/// Name, secret and return address of a client.
fn registered(access: &OidcAccess) -> (String, String, String) {
    let OidcClientAuth::SecretBasic(secret) = &access.client_auth else { panic!("another method") };
    (access.client_id.clone(), secret.expose().clone(), access.redirect_uri.clone())
}

/// BankID wants two seconds between questions, the simulated one has time.
fn hurry(config: &mut Config) {
    for organization in &mut config.organizations {
        if let Some(bankid) = &mut organization.bankid {
            bankid.collect_pause = Duration::from_millis(50);
        }
    }
}

fn with_number(key: &str, number: &str) -> Value {
    let mut row = guardian(key, &format!("user-{key}"), None);
    row["national_id"] = json!(number);
    row
}

/// Clicks at the provider: a person of its list, and whether to go on.
async fn decide(browser: &mut Browser, page: &Page, person: usize, decision: &str) -> Page {
    let (action, transaction) = (page.attribute("action"), page.hidden("transaction"));
    let person = person.to_string();
    let form = [("transaction", transaction.as_str()), ("person", &person), ("decision", decision)];
    browser.post(&action, &form).await
}

/// Which place of a provider's list somebody has.
fn place(broker: Broker, number: &str) -> usize {
    broker.persons().iter().position(|person| person.number == number).unwrap()
}

#[tokio::test]
async fn bankid_on_this_device_comes_back_with_the_nonce() {
    let bed = Bed::start().await;
    let mut browser = Browser::default();
    browser.get(&bed.portal(KOMMUN, "")).await.has(&["value=\"same\"", "value=\"other\""]);
    let waiting = bed.begin(&mut browser, "same").await;
    waiting.has(&["https://app.bankid.com/?autostarttoken=", "bankid:///?autostarttoken=", "content=\"1\""]);
    let cookie = waiting.set_cookie.clone().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.starts_with("bankid=same."), "{cookie}");

    let app = browser.get(&waiting.link("/bankid?autostarttoken=")).await;
    app.has(&["Logga in hos Sample kommun", "sample-kommun.example", "pending, started"]);
    let signed = [("persona", ALMA), ("decision", "sign")];
    let mut page = browser.post(&app.url, &signed).await;
    assert!(page.url.starts_with(&bed.portal(KOMMUN, "/bankid/return?nonce=")), "{}", page.url);
    let back = page.url.clone();
    page = browser.until(&back, page, PATIENCE, |page| !page.body.contains("One moment")).await;
    page.has(&["Logged in.", "<dd>eid</dd>"]);

    assert_eq!(browser.get(&back).await.status, 403, "the cookie is gone, and the order became its session");
}

#[tokio::test]
async fn bankid_on_another_device_scans_what_the_portal_shows() {
    let bed = Bed::start().await;
    let (mut browser, mut phone) = (Browser::default(), Browser::default());
    let waiting = bed.begin(&mut browser, "other").await;
    waiting.has(&["<svg class=\"qr\"", "bankid."]);
    assert!(!waiting.body.contains("autostarttoken"), "a token to start with is no code's business");
    let app = phone.get(&waiting.link("/bankid?scanned=")).await;
    phone.post(&app.url, &[("persona", ALMA), ("decision", "sign")]).await.has(&["Done."]);
    let url = bed.portal(KOMMUN, "/bankid");
    let page = browser.until(&url, waiting, PATIENCE, |page| !page.body.contains("content=\"1\"")).await;
    page.has(&["Logged in.", "<dd>eid</dd>"]);
    phone.get(&app.url).await.has(&["There is no such page"]);
}

#[tokio::test]
async fn who_declines_in_the_app_is_told_so_with_a_reference_code() {
    let bed = Bed::start().await;
    let mut browser = Browser::default();
    let waiting = bed.begin(&mut browser, "other").await;
    let app = browser.get(&waiting.link("/bankid?scanned=")).await;
    browser.post(&app.url, &[("persona", ALMA), ("decision", "decline")]).await.has(&["Done."]);
    let url = bed.portal(KOMMUN, "/bankid");
    let page = browser.until(&url, waiting, PATIENCE, |page| page.body.contains("Reference code")).await;
    page.has(&["(RFA6)", "Begin again"]);
}

#[tokio::test]
async fn an_order_that_is_given_up_is_one_that_the_phone_does_not_find() {
    let bed = Bed::start().await;
    let mut browser = Browser::default();
    let waiting = bed.begin(&mut browser, "other").await;
    let page = browser.post(&bed.portal(KOMMUN, "/bankid/cancel"), &[]).await;
    assert_eq!(page.url, bed.portal(KOMMUN, ""));
    let gone = |page: &Page| page.body.contains("there is no such order");
    let scan = waiting.link("/bankid?scanned=");
    let first = browser.get(&scan).await;
    browser.until(&scan, first, PATIENCE, gone).await.has(&["It did not work"]);
}

#[tokio::test]
async fn the_phone_takes_codes_of_bankid_alone() {
    let bed = Bed::start().await;
    let mut phone = Browser::default();
    let app = format!("http://{}/bankid", bed.pages);
    phone.get(&app).await.has(&["name=\"scanned\""]);
    for (scanned, why) in [("hello", "this is no BankID code"), ("bankid.a.0.b", "there is no such order")] {
        phone.get(&format!("{app}?scanned={scanned}")).await.has(&[why]);
    }
    assert_eq!(phone.get(&format!("{app}/unknown")).await.status, 404);
}

#[tokio::test]
async fn a_browser_that_began_nothing_completes_nothing() {
    let bed = Bed::start().await;
    let (mut browser, mut stranger) = (Browser::default(), Browser::default());
    let waiting = bed.begin(&mut browser, "same").await;
    let app = stranger.get(&waiting.link("/bankid?autostarttoken=")).await;
    let page = stranger.post(&app.url, &[("persona", ALMA), ("decision", "sign")]).await;
    assert_eq!(page.status, 403);
    page.has(&["begun in another browser"]);
    assert_eq!(stranger.get(&bed.portal(KOMMUN, "/bankid")).await.status, 403);
    // With the secret, but without the nonce.
    let url = bed.portal(KOMMUN, "/bankid/return?nonce=");
    let first = browser.get(&url).await;
    let page = browser.until(&url, first, PATIENCE, |page| !page.body.contains("One moment")).await;
    page.has(&["LOGIN_ATTEMPT_INVALID"]);
}

#[tokio::test]
async fn each_form_of_a_provider_names_its_guardian() {
    let bed = Bed::start().await;
    for (organization, broker, number) in [
        (KOMMUN, Broker::Idura, ALMA),
        (KOMMUN, Broker::Signicat, ALMA),
        (KOMMUN, Broker::Freja, ALMA),
        (KOMMUN, Broker::SwedenConnect, ALMA),
        (KOMMUN, Broker::SwedenConnect, "197302889931"),
        (OPVANG, Broker::DigiD, "999990007"),
    ] {
        let mut browser = Browser::default();
        let page = bed.to_provider(&mut browser, organization, broker.path()).await;
        let is_pushed = page.url.contains("request_uri=urn") && !page.url.contains("redirect_uri");
        assert_eq!(is_pushed, broker == Broker::Idura, "{}", page.url);
        let page = decide(&mut browser, &page, place(broker, number), "approve").await;
        let callback = bed.portal(organization, &format!("/oidc/{}/callback?code=", broker.path()));
        assert!(page.url.starts_with(&callback), "{}", page.url);
        page.has(&["Logged in.", "<dd>eid</dd>"]);
    }
}

#[tokio::test]
async fn who_is_not_to_be_let_in_is_not() {
    let bed = Bed::start().await;
    let foreign = place(Broker::Freja, "01017012345");
    let unknown = place(Broker::Signicat, "199908072391");
    let childminder = place(Broker::DigiD, "999990032");
    let sofi = Broker::DigiD.persons().len() - 1;
    for (organization, broker, person, decision, reason) in [
        (KOMMUN, Broker::Freja, foreign, "approve", "EID_LOGIN_FAILED"),
        (KOMMUN, Broker::Signicat, unknown, "approve", "EID_LOGIN_DENIED"),
        (KOMMUN, Broker::Idura, 0, "decline", "EID_LOGIN_FAILED"),
        (OPVANG, Broker::DigiD, sofi, "approve", "EID_LOGIN_FAILED"),
        (OPVANG, Broker::DigiD, childminder, "approve", "WRONG_PORTAL"),
    ] {
        let mut browser = Browser::default();
        let page = bed.to_provider(&mut browser, organization, broker.path()).await;
        let page = decide(&mut browser, &page, person, decision).await;
        page.has(&[reason, "Reference code"]);
        if reason == "WRONG_PORTAL" {
            page.has(&["href=\"/portal/voorbeeld-opvang/childminder\""]);
        }
    }
}

#[tokio::test]
async fn an_answer_of_a_provider_is_for_the_browser_that_asked() {
    let bed = Bed::start().await;
    let (mut browser, mut stranger) = (Browser::default(), Browser::default());
    let page = bed.to_provider(&mut browser, KOMMUN, "freja").await;
    // The stranger is led to the answer: no cookie, no login.
    let led = decide(&mut stranger, &page, 0, "approve").await;
    assert_eq!(led.status, 403);
    led.has(&["begun in another browser"]);
    // The answer is still good, and once.
    browser.get(&led.url).await.has(&["Logged in."]);
    assert_eq!(browser.get(&led.url).await.status, 403);
}

#[tokio::test]
async fn the_provider_keeps_the_rules_of_openid() {
    let bed = Bed::start().await;
    let (id, secret, redirect_uri) = &bed.clients[1];
    let client = reqwest_client();
    let mut browser = Browser::default();
    let page = bed.to_provider(&mut browser, KOMMUN, "signicat").await;
    let authorize = bed.provider("/signicat/authorize");

    // A page is good for one click, from itself.
    let form = [("transaction", page.hidden("transaction")), ("decision", "approve".to_owned())];
    assert_eq!(client.post(&authorize).form(&form).send().await.unwrap().status(), 403, "without an origin");
    let sent = client.post(&authorize).header("origin", bed.provider("")).form(&form).send().await.unwrap();
    let location = sent.headers()["location"].to_str().unwrap().to_owned();
    let url = reqwest::Url::parse(&location).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(one, _)| one == name).unwrap().1.into_owned();
    assert_eq!(parameter("iss"), bed.provider("/signicat"));
    let again = client.post(&authorize).header("origin", bed.provider("")).form(&form).send().await.unwrap();
    assert_eq!(again.status(), 400);

    // A code is for its client, with its verifier, once.
    let exchange = |secret: &str| {
        let code = parameter("code");
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", redirect_uri.clone()),
            ("code_verifier", "x".repeat(43)),
        ];
        client.post(bed.provider("/signicat/token")).basic_auth(id, Some(secret)).form(&form).send()
    };
    assert_eq!(exchange("wrong").await.unwrap().status(), 401);
    let refused = exchange(secret).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.text().await.unwrap().as_str()),
        (400, r#"{"error":"invalid_grant"}"#)
    );

    // Nobody is sent to an address that is not registered, and requests are pushed where they must be.
    for query in
        ["?client_id=stranger", "?client_id=sample-kommun-parent&redirect_uri=http%3A%2F%2Fevil.example%2F"]
    {
        let answer = client.get(format!("{authorize}{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
    }
    let unpushed = bed.provider("/idura/authorize?client_id=sample-kommun-parent&response_type=code");
    assert_eq!(client.get(unpushed).send().await.unwrap().status(), 400);
    let userinfo = client.get(bed.provider("/signicat/userinfo")).bearer_auth("guess").send().await.unwrap();
    assert_eq!(userinfo.status(), 401);
    assert_eq!(client.get(bed.provider("/nobody/jwks")).send().await.unwrap().status(), 404);
    drop(bed.service);
}

fn reqwest_client() -> reqwest::Client {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn a_key_of_bankid_is_for_its_owner_alone_and_an_address_that_is_taken_is_told() {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let taken = TcpListener::bind(local).await.unwrap().local_addr().unwrap();
    let listeners = EidListeners::bind(local, taken).await.unwrap();
    let refused = EidListeners::bind(local, taken).await.err().unwrap().to_string();
    assert!(refused.contains("--providers") && refused.contains(&taken.to_string()), "{refused}");
    let files = tempfile::tempdir().unwrap();
    let digest = guardian_auth::domain::caller::TokenDigest::of;
    let mut config = Config::development(files.path(), Secret::new([7; 32]), local, digest);
    let outside = Outside::of_this_machine();
    let eids = SimulatedEids::start(listeners, &mut config, local, files.path(), &outside).unwrap();
    assert_eq!(eids.providers(), taken);
    assert_eq!((config.bankid.len(), config.oidc.len()), (1, 5));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = std::fs::metadata(files.path().join("bankid-client-key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }
}
