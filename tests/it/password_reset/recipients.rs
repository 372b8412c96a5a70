//! B18: a mail goes to one address, the one on file, with a link whose host is the configured one, whatever a request
//! says in headers, in doubled fields or in letters that look alike.
//!
//! Parameters that arrive as a list where one value is meant, as in `email[]=victim&email[]=thief` (GitLab
//! CVE-2023-7028), have no counterpart in Protobuf: a singular field has one value. What comes next to it is a field sent
//! twice, of which the last one counts, and a text that looks like a list.

use std::collections::BTreeSet;

use bytes::Bytes;
use guardian_auth::domain::organization::Organization;
use guardian_auth::proto;
use guardian_auth::proto::request_password_reset_request::Identification;
use http::Request;
use prost::Message as _;
use serde_json::json;

use super::{
    Bed, KOMMUN, OLD, SOON, address, by_email, has_link, of, on_all_parts, parents, request, token_in,
    with_email,
};
use crate::session::number;
use crate::support::eventually;
use crate::support::service::{OPVANG, guardian, hash, reason};
use crate::support::smtp::ReceivedMail;
use crate::wire::raw::{Answer, Client, framed, prefixed};

const REQUEST: &str = "/guardian.auth.v1.PasswordResetService/RequestPasswordReset";
const EVIL: &str = "thief@evil.example";

/// Waits until all requests are looked at and nothing waits to be sent.
async fn mails(bed: &Bed) -> Vec<ReceivedMail> {
    let left = "SELECT (SELECT count(*) FROM reset_request) + \
                (SELECT count(*) FROM message WHERE state = 'queued')";
    eventually(SOON, "nothing waits", async || number(&bed.service, left).await == 0).await;
    bed.smtp.mails()
}

fn bearer(bed: &Bed) -> String {
    format!("Bearer {}", bed.service.token(&format!("{KOMMUN}-portal")))
}

/// Ways in which a stranger says by which host he came, as proxies and frameworks read them.
const FORWARDED: [&[(&str, &str)]; 15] = [
    &[("host", "evil.example")],
    &[("x-forwarded-host", "evil.example")],
    &[("x-forwarded-host", "portal.example"), ("x-forwarded-host", "evil.example")],
    &[("x-forwarded-proto", "javascript")],
    &[("x-forwarded-for", "evil.example"), ("x-forwarded-port", "666")],
    &[("forwarded", "host=evil.example;proto=http;for=192.0.2.66")],
    &[("x_forwarded_host", "evil.example")],
    &[("x-original-url", "http://evil.example/"), ("x-original-host", "evil.example")],
    &[("x-rewrite-url", "http://evil.example/")],
    &[("x-http-host-override", "evil.example")],
    &[("x-forwarded-server", "evil.example"), ("x-host", "evil.example"), ("x-real-ip", "192.0.2.66")],
    &[("x-forwarded-prefix", "//evil.example"), ("x-forwarded-scheme", "http"), ("front-end-https", "off")],
    &[("origin", "http://evil.example")],
    &[("referer", "http://evil.example/reset"), ("via", "1.1 evil.example")],
    &[("x-envoy-original-path", "//evil.example"), ("x-forwarded-email", "thief@evil.example")],
];

/// Asks with an `:authority` of the test's choice.
async fn ask_at(client: &Client, authority: &str, bearer: &str, body: Bytes) -> Answer {
    let request = Request::post(format!("http://{authority}{REQUEST}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", bearer);
    client.send(request.body(()).unwrap(), body).await.unwrap()
}

fn code_of(answer: &Answer) -> String {
    assert_eq!(answer.code(), 0, "{answer:?}");
    answer.message::<proto::RequestPasswordResetResponse>().reference_code
}

/// Everything of a mail but what differs from mail to mail: its token, code, id and recipient.
fn skeleton(mail: &ReceivedMail, code: &str) -> (Vec<(String, String)>, String, String) {
    let (token, id) = (token_in(mail), mail.header("Message-ID"));
    let id = id.trim_start_matches('<').split_once('@').unwrap().0;
    let bare = |text: &str| {
        text.replace(&token, "TOKEN")
            .replace(code, "CODE")
            .replace(id, "ID")
            .replace(&mail.recipients[0], "TO")
    };
    let headers = mail.headers.iter().map(|(name, value)| (name.clone(), bare(value))).collect();
    (headers, bare(&mail.plain), bare(&mail.html))
}

#[tokio::test]
async fn b18_zitadel_cve_2025_64101_no_header_of_a_request_gets_into_a_mail() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let count = FORWARDED.len() + 2;
        bed.service.import(KOMMUN, &parents(count).await).await;
        let (client, bearer) = (Client::connect(bed.service.grpc()).await, bearer(&bed));
        let mut codes = vec![bed.ask(of(0)).await.unwrap()];
        for (number, headers) in (1..).zip(FORWARDED) {
            let headers = [&[("authorization", bearer.as_str())], headers].concat();
            codes.push(code_of(&client.call(REQUEST, &headers, framed(&request(of(number)))).await.unwrap()));
        }
        let last = framed(&request(of(count - 1)));
        codes.push(code_of(&ask_at(&client, "evil.example:666", &bearer, last).await));
        let mails = mails(&bed).await;
        assert_eq!(mails.len(), count, "{parts:?}");
        let by_number =
            |number: usize| mails.iter().find(|mail| mail.recipients == [address(number)]).unwrap();
        let expected = skeleton(by_number(0), &codes[0]);
        for (number, code) in codes.iter().enumerate() {
            let mail = by_number(number);
            assert_eq!(
                skeleton(mail, code),
                expected,
                "{parts:?} {:?}",
                FORWARDED.get(number.wrapping_sub(1))
            );
            assert!(
                !mail.raw.contains("evil") && !mail.plain.contains("evil") && !mail.html.contains("evil")
            );
            let link = format!("http://127.0.0.1:8025/portal/{KOMMUN}/parent/new-password#token=");
            assert_eq!(mail.plain.matches("://").count(), 1, "one link: {}", mail.plain);
            assert!(mail.plain.contains(&link), "{}", mail.plain);
        }
    })
    .await;
}

/// A request, and after it the fields of another one: what a parser makes of a field sent twice is to let the last one
/// count, and to merge messages.
fn doubled(first: Identification, second: Identification) -> Bytes {
    let second = proto::RequestPasswordResetRequest { identification: Some(second), ..Default::default() };
    prefixed(0, &[request(first).encode_to_vec(), second.encode_to_vec()].concat())
}

/// Two addresses within one message.
fn doubled_inside(name: &str, first: &str, second: &str) -> Bytes {
    let part = |debtor_number: &str, email: &str| {
        let (debtor_number, email) = (debtor_number.to_owned(), email.to_owned());
        proto::DebtorNumberAndEmail { debtor_number, email }.encode_to_vec()
    };
    let inner = [part(name, first), part("", second)].concat();
    let outer = proto::RequestPasswordResetRequest { identification: None, ..request(of(0)) };
    // Field 4, with a length.
    let head = [4 << 3 | 2, u8::try_from(inner.len()).unwrap()];
    prefixed(0, &[outer.encode_to_vec(), head.to_vec(), inner].concat())
}

#[tokio::test]
async fn b18_gitlab_cve_2023_7028_mattermost_cve_2017_18908_fields_sent_twice_reach_one_owner_at_most() {
    const BO: &str = "bo@exempel.se";
    const ALMA: &str = "alma.berg@exempel.se";
    let email = |text: &str| Identification::Email(text.to_owned());
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let (client, bearer) = (Client::connect(bed.service.grpc()).await, bearer(&bed));
        let cases = [
            (doubled(email(BO), email(EVIL)), None),
            (doubled(email(EVIL), email(BO)), Some(BO)),
            (doubled(email(BO), email(ALMA)), Some(ALMA)),
            (doubled(by_email("bo", BO), email(EVIL)), None),
            (doubled(email(EVIL), by_email("bo", BO)), Some(BO)),
            (doubled(by_email("bo", BO), by_email("", EVIL)), None),
            (doubled(by_email("bo", EVIL), by_email("", BO)), Some(BO)),
            (doubled_inside("bo", BO, EVIL), None),
            (doubled_inside("alma", EVIL, ALMA), Some(ALMA)),
        ];
        let mut expected = Vec::new();
        for (body, recipient) in cases {
            let answer = client.call(REQUEST, &[("authorization", &bearer)], body).await.unwrap();
            expected.push((code_of(&answer), recipient));
        }
        let sent = mails(&bed).await;
        for (turn, (code, recipient)) in expected.iter().enumerate() {
            let own: Vec<_> = sent.iter().filter(|mail| mail.plain.contains(code)).collect();
            let reached: Vec<_> = own.iter().flat_map(|mail| &mail.recipients).collect();
            assert_eq!(reached, Vec::from_iter(*recipient), "{parts:?} case {turn}");
        }
        for mail in bed.smtp.mails() {
            assert!(!mail.raw.contains("evil"), "{}", mail.raw);
        }
        let lists = [
            format!("{BO},{EVIL}"),
            format!("{BO};{EVIL}"),
            format!("{BO} {EVIL}"),
            format!("[\"{BO}\",\"{EVIL}\"]"),
            format!("{BO}\r\nBcc: {EVIL}"),
            format!("{BO}%0d%0aBcc:{EVIL}"),
            format!("{BO}\0{EVIL}"),
            format!("<{BO}> <{EVIL}>"),
            format!("{BO}&email={EVIL}"),
        ];
        for list in lists {
            for identification in [email(&list), by_email("bo", &list)] {
                assert_eq!(
                    reason(&bed.ask(identification).await.unwrap_err()),
                    "INVALID_REQUEST",
                    "{list:?}"
                );
            }
        }
        // The last organization counts as well, and it is not the caller's.
        let other =
            proto::RequestPasswordResetRequest { organization: OPVANG.to_owned(), ..Default::default() };
        let body = [request(email(BO)).encode_to_vec(), other.encode_to_vec()].concat();
        let answer = client.call(REQUEST, &[("authorization", &bearer)], prefixed(0, &body)).await.unwrap();
        assert_ne!(answer.code(), 0);
        assert_eq!(mails(&bed).await.len(), sent.len());
    })
    .await;
}

/// Ways to write an address that some other system takes for `kifis@exempel.se`, the address of a guardian.
const LOOK_ALIKES: [&str; 36] = [
    "k\u{131}fis@exempel.se",
    "K\u{130}FIS@exempel.se",
    "\u{212a}ifis@exempel.se",
    "ki\u{fb01}s@exempel.se",
    "kifi\u{17f}@exempel.se",
    "\u{ff4b}\u{ff49}\u{ff46}\u{ff49}\u{ff53}@exempel.se",
    "\u{24da}ifis@exempel.se",
    "\u{1d42}ifis@exempel.se",
    "\u{1d5c4}ifis@exempel.se",
    "k\u{456}fis@exempel.se",
    "\u{43a}ifis@exempel.se",
    "\u{3ba}ifis@exempel.se",
    "ki\u{307}fis@exempel.se",
    "kifi\u{301}s@exempel.se",
    "ki\u{200b}fis@exempel.se",
    "ki\u{200d}fis@exempel.se",
    "ki\u{ad}fis@exempel.se",
    "\u{202e}sifik@exempel.se",
    "kifi\u{df}@exempel.se",
    "\u{feff}kifis@exempel.se",
    "kifis\u{ff20}exempel.se",
    "kifis@\u{435}xempel.se",
    "kifis@exemp\u{435}l.se",
    "kifis@\u{ff45}xempel.se",
    "kifis@exempel\u{3002}se",
    "kifis@exempel\u{ff0e}se",
    "kifis@exempel.\u{17f}e",
    "kifis@ex\u{ad}empel.se",
    "kifis@exempe\u{2113}.se",
    "kifis@exemp\u{e9}l.se",
    "kifis@exemp\u{65}\u{301}l.se",
    "kifis@exempel.se\u{200b}",
    "kifis@exempel.se.evil.example",
    "kifis@exempel.se@evil.example",
    "\"kifis\"@exempel.se",
    "kifis+x@exempel.se",
];

#[tokio::test]
async fn b18_github_2016_django_cve_2019_19844_no_look_alike_makes_a_mail_to_anybody() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let hash = hash(OLD).await;
        let kifis = with_email(guardian("g-40", "kifis", Some(&hash)), "4000", "kifis@exempel.se");
        bed.service.import(KOMMUN, &[kifis]).await;
        let mut taken_in = 0;
        for typed in LOOK_ALIKES {
            for identification in [Identification::Email(typed.to_owned()), by_email("kifis", typed)] {
                match bed.ask(identification).await {
                    Ok(_) => taken_in += 1,
                    Err(status) => assert_eq!(reason(&status), "INVALID_REQUEST", "{typed:?}"),
                }
            }
        }
        assert!(taken_in > 10, "some are addresses: {taken_in}");
        assert!(mails(&bed).await.is_empty(), "{parts:?}");
        let mismatched = "SELECT count(*) FROM audit_event WHERE kind = 'reset_denied' \
                          AND cause IN ('unknown_email', 'email_mismatch')";
        assert_eq!(number(&bed.service, mismatched).await, taken_in);

        // Somebody who owns a look-alike, on file as such, gets his own mail and never that of the other one.
        let mallory = with_email(guardian("g-41", "mallory", Some(&hash)), "4001", "kifis@\u{435}xempel.se");
        bed.service.import(KOMMUN, &[mallory]).await;
        bed.ask(Identification::Email("kifis@\u{435}xempel.se".to_owned())).await.unwrap();
        bed.ask(by_email("kifis", "kifis@\u{435}xempel.se")).await.unwrap();
        bed.ask(by_email("mallory", "kifis@exempel.se")).await.unwrap();
        let sent = mails(&bed).await;
        assert_eq!(sent.len(), 1, "{parts:?}");
        assert_eq!(sent[0].recipients, ["kifis@xn--xempel-2of.se"]);
        // And the owner, written plainly.
        bed.ask(Identification::Email(" KIFIS@Exempel.SE;".to_owned())).await.unwrap();
        assert_eq!(mails(&bed).await[1].recipients, ["kifis@exempel.se"]);
    })
    .await;
}

#[tokio::test]
async fn b18_an_international_domain_is_one_in_both_spellings_and_the_mail_goes_to_the_form_on_file() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let row = guardian("g-42", "kim", Some(&hash(OLD).await));
        bed.service.import(KOMMUN, &[with_email(row, "4002", "mailto:<Kim.Ek@Räksmörgås.se>; ")]).await;
        for typed in [
            "KIM.EK@räksmörgås.se",
            "kim.ek@XN--RKSMRGS-5WAO1O.se",
            "kim.ek@ra\u{308}ksmo\u{308}rga\u{30a}s.se",
        ] {
            bed.ask(by_email("kim", typed)).await.unwrap();
        }
        let mails = mails(&bed).await;
        assert_eq!(mails.len(), 3, "{parts:?}");
        for mail in mails {
            const TO: &str = "kim.ek@xn--rksmrgs-5wao1o.se";
            assert_eq!(mail.recipients, [TO], "one recipient, in the form on file");
            assert_eq!(
                (mail.header("To"), mail.envelope_from.as_str()),
                (TO, "no-reply@sample-kommun.example")
            );
            let names: BTreeSet<_> = mail.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
            for absent in ["cc", "bcc", "reply-to", "sender", "resent-to", "return-receipt-to"] {
                assert!(!names.contains(absent), "{names:?}");
            }
            for (name, value) in &mail.headers {
                let may = ["to", "from", "message-id"].contains(&name.to_lowercase().as_str());
                assert!(may || !value.contains('@'), "{name}: {value}");
            }
            assert!(
                !mail.plain.contains(TO) && !mail.html.contains(TO),
                "the body holds nothing of the guardian"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn b18_what_the_organization_is_called_is_text_in_html() {
    const NAME: &str = "<b>Skolan</b> \"Ängen\" & 'Co' <script>alert(1)</script>";
    const CONTACT: &str = "<img src=x onerror=alert(2)> & \"ring\" 010-123";
    on_all_parts(async |parts| {
        let rename = |organization: &mut Organization| {
            NAME.clone_into(&mut organization.display_name);
            let correspondence = organization.correspondence.as_mut().unwrap();
            NAME.clone_into(&mut correspondence.from_name);
            CONTACT.clone_into(&mut correspondence.contact);
        };
        let bed = Bed::start_with(parts, |config| config.organizations.iter_mut().for_each(rename)).await;
        bed.ask(by_email("bo", "bo@exempel.se")).await.unwrap();
        let mails = mails(&bed).await;
        let mail = &mails[0];
        assert!(mail.plain.contains(NAME) && mail.plain.contains(CONTACT), "{}", mail.plain);
        for tag in ["<b>", "<script", "<img", "Co' <", "\"ring\""] {
            assert!(!mail.html.contains(tag), "{parts:?} {tag}: {}", mail.html);
        }
        assert!(mail.html.contains("&lt;b&gt;Skolan&lt;/b&gt;") && mail.html.contains("&lt;img src=x"));
        assert!(mail.header("From").ends_with("<no-reply@sample-kommun.example>"), "{}", mail.header("From"));
    })
    .await;
}

/// The language that was asked for, else the one on file; and headers that keep answering machines still.
#[tokio::test]
async fn b18_a_mail_has_its_language_and_the_headers_of_an_automatic_one() {
    on_all_parts(async |parts| {
        let bed = Bed::start(parts).await;
        let mut rows = parents(6).await;
        rows[1]["locale"] = json!("nl");
        rows[2]["locale"] = json!("en");
        rows[3]["locale"] = json!("nl");
        bed.service.import(KOMMUN, &rows).await;
        let cases = [
            ("", "sv", "Hej"),
            ("", "nl", "Goedendag"),
            ("", "en", "Hello"),
            ("sv-SE", "sv", "Hej"),
            ("nl", "nl", "Goedendag"),
            ("tlh", "en", "Hello"),
        ];
        for (number, (locale, _, _)) in cases.into_iter().enumerate() {
            let locale = locale.to_owned();
            let request = proto::RequestPasswordResetRequest { locale, ..request(of(number)) };
            bed.portal.reset.clone().request_password_reset(request).await.unwrap();
        }
        let mails = mails(&bed).await;
        assert_eq!(mails.len(), cases.len());
        let mut ids = BTreeSet::new();
        for (number, (locale, language, greeting)) in cases.into_iter().enumerate() {
            let mail = mails.iter().find(|mail| mail.recipients == [address(number)]).unwrap();
            assert!(has_link(mail));
            assert_eq!(mail.header("Content-Language"), language, "{parts:?} {locale:?} {number}");
            assert!(mail.plain.starts_with(greeting), "{}", mail.plain);
            assert!(mail.html.contains(&format!("<html lang=\"{language}\"")), "{}", mail.html);
            assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
            assert_eq!(mail.header("X-Auto-Response-Suppress"), "All");
            let id = mail.header("Message-ID");
            assert!(id.starts_with('<') && id.ends_with("@sample-kommun.example>"), "{id}");
            assert!(ids.insert(id.to_owned()), "an id for each");
        }
    })
    .await;
}
