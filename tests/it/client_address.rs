//! The end user's address: whom we believe, and what of it, through the wire.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use guardian_auth::domain::caller::CallerKind;
use guardian_auth::grpc::client_address::TrustedProxies;
use guardian_auth::proto;

use crate::wire::raw::{self, Answer, Client, bearer, framed};
use crate::wire::{ORIGIN, Port, Setup};

async fn behind_proxies() -> Port {
    let mut setup = Setup::usual().await;
    let networks = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
    setup.parts.trusted_proxies = TrustedProxies::new(networks);
    setup.open().await
}

async fn from_page(client: &Client, headers: &[(&str, &str)], ip: &str) -> Answer {
    let mut message = raw::login("name");
    message.client = Some(proto::ClientContext { ip: ip.to_owned(), ..proto::ClientContext::default() });
    let page = [("content-type", "application/grpc-web+proto"), ("origin", ORIGIN)];
    client.post(raw::LOGIN, &[&page, headers].concat(), framed(&message)).await.unwrap()
}

/// The network that limits would see.
fn network(answer: &Answer) -> String {
    let message: proto::LoginWithPasswordResponse = answer.message();
    message.device_token.split('|').nth(1).unwrap().to_owned()
}

fn v4(text: &str) -> String {
    format!("V4({text})")
}

fn v6(prefix: [u8; 8]) -> String {
    format!("V6({prefix:?})")
}

const DB8_1_2: [u8; 8] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2];

#[tokio::test]
async fn b08_ip_truth_of_pages() {
    let (trusting, direct) = (behind_proxies().await, Port::usual().await);
    let trusting = Client::connect(trusting.address).await;
    let direct = Client::connect(direct.address).await;
    let oversized = vec!["10.0.0.1"; 40].join(", ");
    let (peer, user, unknown) = (v4("127.0.0.1"), v4("192.0.2.7"), "Unknown".to_owned());
    let xff = "x-forwarded-for";
    let cases: [(&[(&str, &str)], String); 29] = [
        // Nothing forwarded by a proxy of ours: nobody's address, and not the proxy's for everybody.
        (&[], unknown.clone()),
        (&[(xff, "192.0.2.7")], user.clone()),
        (&[(xff, "  192.0.2.7\t")], user.clone()),
        // What the user's side wrote is left of what our proxies wrote.
        (&[(xff, "198.51.100.1, 192.0.2.7")], user.clone()),
        (&[(xff, "198.51.100.1,192.0.2.7,10.1.2.3")], user.clone()),
        (&[(xff, "192.0.2.7, 10.1.2.3, 10.9.9.9, fd00::1")], user.clone()),
        (&[(xff, "127.0.0.1, 192.0.2.7")], user.clone()),
        (&[(xff, "10.0.0.5, 192.0.2.7, 10.1.2.3")], user.clone()),
        // Several headers are one list, in order.
        (&[(xff, "198.51.100.1"), (xff, "192.0.2.7")], user.clone()),
        (&[(xff, "192.0.2.7"), (xff, "10.1.2.3")], user.clone()),
        // All ours: the leftmost.
        (&[(xff, "10.1.2.3, 10.9.9.9")], v4("10.1.2.3")),
        // Garbage left of the user changes nothing.
        (&[(xff, "unknown, 192.0.2.7")], user.clone()),
        (&[(xff, "<script>, \", 192.0.2.7")], user.clone()),
        // Garbage where the user should be: the same.
        (&[(xff, "192.0.2.7, unknown")], unknown.clone()),
        (&[(xff, "")], unknown.clone()),
        (&[(xff, "192.0.2.7,")], unknown.clone()),
        (&[(xff, "192.0.2.256")], unknown.clone()),
        (&[(xff, "192.0.2")], unknown.clone()),
        (&[(xff, "fe80::1%eth0")], unknown.clone()),
        (&[(xff, "[192.0.2.7]")], unknown.clone()),
        (&[(xff, &oversized)], unknown.clone()),
        // Forms that proxies write.
        (&[(xff, "192.0.2.7:51234")], user.clone()),
        (&[(xff, "[2001:db8:1:2::7]")], v6(DB8_1_2)),
        (&[(xff, "[2001:db8:1:2::7]:443")], v6(DB8_1_2)),
        (&[(xff, "2001:db8:1:2:ffff:ffff:ffff:ffff")], v6(DB8_1_2)),
        (&[(xff, "::ffff:192.0.2.7, ::ffff:10.1.2.3")], user.clone()),
        (&[(xff, "64:ff9b::192.0.2.7")], user.clone()),
        // Other headers are never read.
        (
            &[
                ("forwarded", "for=198.51.100.1"),
                ("x-real-ip", "198.51.100.1"),
                ("true-client-ip", "198.51.100.1"),
            ],
            unknown.clone(),
        ),
        (&[("x_forwarded_for", "198.51.100.1"), ("x-client-ip", "198.51.100.1")], unknown.clone()),
    ];
    for (headers, expected) in &cases {
        assert_eq!(network(&from_page(&trusting, headers, "").await), *expected, "{headers:?}");
        // The same from a peer that is no proxy of ours is a claim.
        assert_eq!(network(&from_page(&direct, headers, "").await), peer, "untrusted {headers:?}");
    }
    for client in [&trusting, &direct] {
        let answer = from_page(client, &[(xff, "192.0.2.7")], "192.0.2.7").await;
        assert_eq!(answer.violations(), ["client.ip NOT_ALLOWED"], "a page cannot assert addresses");
    }
}

#[tokio::test]
async fn b08_ip_truth_of_backends() {
    let port = behind_proxies().await;
    let client = Client::connect(port.address).await;
    let ok = |network: &str| Ok::<_, &str>(network.to_owned());
    let cases = [
        (CallerKind::Portal, "192.0.2.7", ok(&v4("192.0.2.7"))),
        (CallerKind::Portal, "::ffff:192.0.2.7", ok(&v4("192.0.2.7"))),
        (CallerKind::Portal, "64:ff9b::c000:207", ok(&v4("192.0.2.7"))),
        (CallerKind::Portal, "2001:db8:1:2::1", ok(&v6(DB8_1_2))),
        (CallerKind::Portal, "2001:0DB8:0001:0002:ffff:ffff:192.0.2.7", ok(&v6(DB8_1_2))),
        (CallerKind::Portal, "", ok("Unknown")),
        (CallerKind::Portal, "192.0.2.7:443", Err("client.ip MALFORMED")),
        (CallerKind::Portal, "192.0.2.7, 10.0.0.1", Err("client.ip MALFORMED")),
        (CallerKind::Portal, "[2001:db8::1]", Err("client.ip MALFORMED")),
        (CallerKind::Portal, "0300.0.2.7", Err("client.ip MALFORMED")),
        (CallerKind::Portal, "2001:0db8:0001:0002:0003:0004:0005:0006:0007:0008", Err("client.ip TOO_LONG")),
        (CallerKind::AdminPortal, "", ok("Unknown")),
        (CallerKind::AdminPortal, "192.0.2.7", Err("client.ip NOT_ALLOWED")),
    ];
    for (kind, ip, expected) in cases {
        let mut message = raw::login("name");
        message.client = Some(proto::ClientContext { ip: ip.to_owned(), ..proto::ClientContext::default() });
        // A backend's own connection says nothing of the end user.
        let token = bearer(kind);
        let headers = [("authorization", token.as_str()), ("x-forwarded-for", "198.51.100.1")];
        let answer = client.call(raw::LOGIN, &headers, framed(&message)).await.unwrap();
        let seen =
            if answer.code() == 0 { Ok(network(&answer)) } else { Err(answer.violations().join(", ")) };
        assert_eq!(seen, expected.map_err(ToOwned::to_owned), "{kind:?} {ip}");
    }
}
