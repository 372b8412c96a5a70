//! Text messages by a gateway that speaks as 46elks does.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::messenger::{ElksSender, ElksSettings};
use guardian_auth::domain::identifier::{Mobile, Region};
use guardian_auth::domain::message::DeliveryFault::{
    self, BrokenOff, CountryNotAllowed, MessageRefused, Unreachable,
};
use guardian_auth::domain::secret::Secret;
use guardian_auth::ports::messenger::{SendError, TextMessage, TextSender};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::PATIENT;
use crate::support::ports::free_port;
use crate::support::sms_gateway::{Gateway, TAKEN};

fn settings(port: u16) -> ElksSettings {
    let mut settings = ElksSettings::new("user", Secret::new("password".to_owned()), "Skolan");
    settings.base_url = format!("http://127.0.0.1:{port}");
    settings.timeout = PATIENT;
    settings
}

async fn send(port: u16, to: &str) -> Result<(), SendError> {
    send_with(settings(port), to).await
}

async fn send_with(settings: ElksSettings, to: &str) -> Result<(), SendError> {
    let sender = ElksSender::new(settings).expect("usable settings");
    let to = Mobile::parse(to, Region::Se).expect("a number");
    let result = sender.send(&TextMessage { to: to.clone(), text: "Hej å & ö+1".to_owned() }).await;
    if let Err(error) = &result {
        assert!(!format!("{error} {error:?}").contains(&to.as_str()[3..]), "{error:?}");
    }
    result
}

/// What an answer means; nothing if the message was taken.
async fn meaning(status: u16, body: &str) -> Option<(DeliveryFault, String)> {
    let gateway = Gateway::answering(status, &[], body).await;
    let result = send(gateway.port, "0701740635").await;
    assert_eq!(gateway.heard().len(), 1, "one request, whatever the answer");
    result.err().map(|error| (error.fault, error.detail))
}

async fn means(status: u16, body: &str, fault: DeliveryFault) {
    assert_eq!(meaning(status, body).await, Some((fault, format!("gateway: {status}"))), "{status} {body}");
}

#[tokio::test]
async fn a_message_is_posted_as_a_form_with_the_accounts_password() {
    let gateway = Gateway::answering(200, &[], TAKEN).await;
    send(gateway.port, "0701740635").await.expect("it is taken");
    let heard = gateway.heard();
    assert_eq!(heard.len(), 1);
    let (path, authorization, form) = &heard[0];
    assert_eq!(path, "/a1/sms");
    assert_eq!(authorization, "Basic dXNlcjpwYXNzd29yZA==");
    assert_eq!(form, "from=Skolan&to=%2B46701740635&message=Hej+%C3%A5+%26+%C3%B6%2B1");
}

#[tokio::test]
async fn a_message_with_an_id_is_taken() {
    assert_eq!(meaning(200, TAKEN).await, None);
    assert_eq!(meaning(201, r#"{"id":"s1"}"#).await, None);
}

#[tokio::test]
async fn a_yes_without_an_id_has_broken_off() {
    for body in ["", "ok", "{}", r#"{"id":""}"#, r#"{"id":7}"#] {
        means(200, body, BrokenOff).await;
    }
}

#[tokio::test]
async fn a_message_that_the_gateway_does_not_take_is_refused() {
    means(400, "Invalid to number +46701740635", MessageRefused).await;
    means(422, "", MessageRefused).await;
}

#[tokio::test]
async fn what_only_the_operator_can_mend_is_unreachable() {
    for (status, body) in [
        (400, "Not enough credits"),
        (401, "API access requires Basic HTTP authentication"),
        (402, ""),
        (403, r#"{"error":"Not enough credits"}"#),
        (403, ""),
        (404, ""),
        (405, ""),
    ] {
        means(status, body, Unreachable).await;
    }
}

#[tokio::test]
async fn a_gateway_without_time_is_unreachable() {
    for status in [408, 429, 500, 502, 503, 504] {
        means(status, "", Unreachable).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let gateway = Gateway::answering(307, &[("location", "/elsewhere")], "").await;
    let error = send(gateway.port, "0701740635").await.expect_err("it is not taken");
    assert_eq!((error.fault, error.detail.as_str()), (Unreachable, "gateway: 307"));
    assert_eq!(gateway.heard().len(), 1);
}

#[tokio::test]
async fn a_country_that_is_not_allowed_is_not_even_asked_for() {
    let gateway = Gateway::answering(200, &[], TAKEN).await;
    for to in ["+31612345678", "+46701740635"] {
        send(gateway.port, to).await.expect("Sweden and the Netherlands are allowed");
    }
    for to in ["+4915123456789", "+358401234567"] {
        assert_eq!(send(gateway.port, to).await.expect_err("it is not allowed").fault, CountryNotAllowed);
    }
    assert_eq!(gateway.heard().len(), 2);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_has_broken_off() {
    let fits = format!(r#"{{"id":"s1","x":"{}"}}"#, "x".repeat(16_000));
    assert_eq!(meaning(200, &fits).await, None);
    let long = format!(r#"{{"id":"s1","x":"{}"}}"#, "x".repeat(17_000));
    assert_eq!(meaning(200, &long).await, Some((BrokenOff, "gateway: the answer is too long".to_owned())));
}

#[tokio::test]
async fn no_gateway_is_unreachable() {
    let error = send(free_port(), "0701740635").await.expect_err("nobody is there");
    assert_eq!((error.fault, error.detail.as_str()), (Unreachable, "gateway: no connection"));
}

/// A gateway that takes connections and says nothing, until its task is aborted.
async fn silent_gateway() -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("a bound port").port();
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    (port, holding)
}

#[tokio::test]
async fn a_gateway_that_has_the_message_and_says_nothing_has_broken_off_in_time() {
    let (port, holding) = silent_gateway().await;
    let mut settings = settings(port);
    settings.timeout = Duration::from_secs(3);
    let begin = Instant::now();
    let error = send_with(settings, "0701740635").await.expect_err("no answer");
    assert_eq!((error.fault, error.detail.as_str()), (BrokenOff, "gateway: no answer"));
    assert!(begin.elapsed() < PATIENT, "{:?}", begin.elapsed());
    holding.abort();
}

#[tokio::test]
async fn a_gateway_that_does_not_come_to_tls_is_unreachable_in_time() {
    let (port, holding) = silent_gateway().await;
    let mut settings = settings(port);
    settings.base_url = format!("https://127.0.0.1:{port}/");
    settings.timeout = Duration::from_secs(3);
    let begin = Instant::now();
    let error = send_with(settings, "0701740635").await.expect_err("no connection");
    assert_eq!((error.fault, error.detail.as_str()), (Unreachable, "gateway: no connection"));
    assert!(begin.elapsed() < PATIENT, "{:?}", begin.elapsed());
    holding.abort();
}

#[tokio::test]
async fn a_gateway_that_hangs_up_with_the_message_has_broken_off() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("a bound port").port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = String::new();
        while !request.contains("message=Hej") {
            let mut buffer = [0; 1024];
            let length = stream.read(&mut buffer).await.expect("a request");
            request.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
    let error = send(port, "0701740635").await.expect_err("no answer");
    assert_eq!((error.fault, error.detail.as_str()), (BrokenOff, "gateway: no answer"));
    serving.await.expect("it got the whole message");
}

#[tokio::test]
async fn a_gateway_over_tls_has_to_have_a_certificate_of_a_trusted_authority() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("usable versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key"),
        )
        .expect("a usable certificate");
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("a bound port").port();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = tls.accept(stream).await else { continue };
            let mut buffer = [0; 4096];
            let _request = stream.read(&mut buffer).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{TAKEN}", TAKEN.len());
            stream.write_all(answer.as_bytes()).await.expect("an answer");
        }
    });
    let send = async |authorities_pem| {
        let mut settings = settings(port);
        settings.base_url = format!("https://localhost:{port}");
        settings.authorities_pem = authorities_pem;
        send_with(settings, "0701740635").await
    };
    let error = send(None).await.expect_err("nobody knows it");
    assert_eq!((error.fault, error.detail.as_str()), (Unreachable, "gateway: no connection"));
    send(Some(key.cert.pem().into_bytes())).await.expect("it is trusted");
    serving.abort();
}

#[tokio::test]
async fn settings_that_give_the_password_away_or_cannot_work_are_refused() {
    let refused = |change: fn(&mut ElksSettings)| {
        let mut settings = ElksSettings::new("user", Secret::new("password".to_owned()), "Skolan");
        change(&mut settings);
        ElksSender::new(settings).err().map(|error| error.to_string())
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|settings| settings.base_url = "http://[::1]:8080/".to_owned()), None);
    for url in ["", "api.46elks.com", "https://x.example/?a=b", "https://user:p@x.example", "data:x"] {
        let mut settings = settings(1);
        settings.base_url = url.to_owned();
        assert!(ElksSender::new(settings).is_err(), "{url}");
    }
    for change in [
        (|settings| settings.base_url = "http://api.46elks.com".to_owned()) as fn(&mut ElksSettings),
        |settings| settings.base_url = "ftp://127.0.0.1".to_owned(),
    ] {
        assert!(refused(change).is_some_and(|error| error.contains("on this machine only")));
    }
    for prefix in ["46", "+", "+4a", ""] {
        let mut settings = settings(1);
        settings.dial_prefixes = vec![prefix.to_owned()];
        assert!(ElksSender::new(settings).is_err(), "{prefix}");
    }
}
