//! The configuration of Redis: one server, Sentinels, a cluster, and what does not go together.

use std::time::Duration;

use guardian_auth::config::{Config, LimitsBackend, Redis, RedisServers, RedisTls};

use super::{CANARY, SQLITE, Setting, assert_only};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

/// A setting with the files that the tables name.
fn setting() -> Setting {
    let setting = Setting::new();
    setting.write("ca.pem", CERTIFICATE);
    setting.write("cert.pem", CERTIFICATE);
    setting.write("key.pem", KEY);
    setting.write("password", "from a file\n");
    setting
}

fn tables(setting: &Setting, text: &str) -> String {
    let text = text.replace("{folder}", &setting.0.path().display().to_string());
    format!("[limits]\nbackend = \"redis\"\n[limits.redis]\n{text}")
}

fn faults(text: &str) -> Vec<String> {
    let setting = setting();
    let faults = setting.faults(SQLITE, &tables(&setting, text), &[]);
    assert!(!faults.iter().any(|fault| fault.contains(CANARY)), "{faults:#?}");
    faults
}

fn redis(config: Config) -> Redis {
    match config.limits.backend {
        LimitsBackend::Redis(redis) => *redis,
        LimitsBackend::Memory => panic!("no Redis"),
    }
}

fn loaded(text: &str) -> (Setting, Redis) {
    let setting = setting();
    let config = setting.load(&setting.least(SQLITE, &tables(&setting, text)), &[]);
    let config = config.unwrap_or_else(|faults| panic!("{faults}"));
    (setting, redis(config))
}

const SENTINEL: &str = r#"
mode = "sentinel"
username = "guardian"
password_file = "{folder}/password"
[limits.redis.sentinel]
addresses = ["sentinel-0:26379", "[2001:db8::7]:26380"]
master_name = "guardian-set"
username = "watcher"
password = "canary-7b1e"
"#;

const CLUSTER: &str = r#"
mode = "cluster"
password = "canary-7b1e"
[limits.redis.cluster]
addresses = ["redis-0:6379"]
"#;

#[test]
fn one_server_by_its_url_is_what_it_was() {
    let (_, redis) = loaded("url = \"redis://u:canary-7b1e@redis:6379/3\"");
    assert!(matches!(&redis.servers, RedisServers::Standalone { url } if url.expose().ends_with("/3")));
    assert_eq!((redis.tls, redis.timeout), (None, Duration::from_millis(50)));
    let (_, redis) = loaded("mode = \"standalone\"\nurl = \"rediss://redis/0\"\ntimeout = \"80ms\"");
    assert_eq!((redis.tls, redis.timeout), (Some(RedisTls::default()), Duration::from_millis(80)));
}

#[test]
fn sentinels_have_a_login_of_their_own() {
    let (_, redis) = loaded(SENTINEL);
    let RedisServers::Sentinel { sentinels, master_name, sentinel_login, login } = redis.servers else {
        panic!("no Sentinels")
    };
    let nodes: Vec<_> = sentinels.iter().map(|node| (node.host.as_str(), node.port)).collect();
    assert_eq!(nodes, [("sentinel-0", 26_379), ("2001:db8::7", 26_380)]);
    assert_eq!(master_name, "guardian-set");
    let said = |login: &guardian_auth::config::RedisLogin| {
        let password = login.password.as_ref().map(|password| password.expose().clone());
        (login.username.clone().unwrap(), password.unwrap())
    };
    assert_eq!(said(&sentinel_login), ("watcher".to_owned(), CANARY.to_owned()));
    assert_eq!(said(&login), ("guardian".to_owned(), "from a file".to_owned()));
    assert_eq!(redis.tls, None);
}

#[test]
fn a_cluster_with_certificates_of_its_own_authority() {
    let files = "[limits.redis.tls]\nenabled = true\nca_file = \"{folder}/ca.pem\"\n\
                 certificate_file = \"{folder}/cert.pem\"\nkey_file = \"{folder}/key.pem\"\n";
    let (setting, redis) = loaded(&format!("{CLUSTER}{files}"));
    assert!(matches!(&redis.servers, RedisServers::Cluster { nodes, .. } if nodes[0].host == "redis-0"));
    let tls = redis.tls.expect("TLS");
    assert_eq!(tls.ca_file, Some(setting.0.path().join("ca.pem")));
    assert_eq!(tls.identity.expect("ours").1, setting.0.path().join("key.pem"));
}

#[test]
fn variables_alone_are_enough() {
    let setting = setting();
    let password = setting.0.path().join("password").display().to_string();
    let config = setting.load(
        &setting.least(SQLITE, ""),
        &[
            ("GUARDIAN_AUTH__LIMITS__BACKEND", "redis"),
            ("GUARDIAN_AUTH__LIMITS__REDIS__MODE", "cluster"),
            ("GUARDIAN_AUTH__LIMITS__REDIS__PASSWORD_FILE", &password),
            ("GUARDIAN_AUTH__LIMITS__REDIS__CLUSTER__ADDRESSES", "redis-0:6379, redis-1:6379"),
            ("GUARDIAN_AUTH__LIMITS__REDIS__TLS__ENABLED", "true"),
        ],
    );
    let redis = redis(config.unwrap_or_else(|faults| panic!("{faults}")));
    assert!(matches!(&redis.servers, RedisServers::Cluster { nodes, .. } if nodes.len() == 2));
    assert_eq!(redis.tls, Some(RedisTls::default()));
}

#[test]
fn each_mode_names_the_keys_that_are_missing() {
    let url = faults("");
    assert_only(&url, "limits.redis.url", "is required");
    let sentinel = faults("mode = \"sentinel\"");
    assert_eq!(sentinel.len(), 2, "{sentinel:#?}");
    assert!(sentinel[0].starts_with("limits.redis.sentinel.addresses: is required"), "{sentinel:#?}");
    assert!(sentinel[1].starts_with("limits.redis.sentinel.master_name: is required"), "{sentinel:#?}");
    let cluster = faults("mode = \"cluster\"\n[limits.redis.cluster]\naddresses = []");
    assert_only(&cluster, "limits.redis.cluster.addresses (line ", "is empty");
    // What the mode is, is not known: nothing else is said.
    assert_only(&faults("mode = \"proxy\""), "limits.redis.mode (line ", "is not accepted");
}

#[test]
fn what_goes_with_another_mode_is_named() {
    let beside_url = faults("url = \"redis://redis\"\nusername = \"guardian\"\npassword = \"canary-7b1e\"");
    assert_eq!(beside_url.len(), 2, "{beside_url:#?}");
    assert!(beside_url[0].starts_with("limits.redis.username (line "), "{beside_url:#?}");
    assert!(beside_url[1].contains("write the credentials into the URL"), "{beside_url:#?}");
    let url = faults(&CLUSTER.replacen("password", "url = \"redis://u:canary-7b1e@redis\"\npassword", 1));
    assert_only(&url, "limits.redis.url (line ", "is for `mode = \"standalone\"`");
    let both = faults(&format!("{CLUSTER}[limits.redis.sentinel]\nmaster_name = \"m\""));
    assert_only(&both, "limits.redis.sentinel (line ", "choose it by `mode`");
}

#[test]
fn addresses_have_a_port_and_stand_once() {
    for (addresses, key, part) in [
        ("[\"redis-0\"]", "limits.redis.cluster.addresses[0] (line ", "a host and a port"),
        (
            "[\"redis://u:canary-7b1e@redis:6379\"]",
            "limits.redis.cluster.addresses[0] (line ",
            "is not accepted",
        ),
        ("[\"a:1\", \"a:1\"]", "limits.redis.cluster.addresses[1] (line ", "stands in the list already"),
    ] {
        assert_only(&faults(&CLUSTER.replace("[\"redis-0:6379\"]", addresses)), key, part);
    }
}

#[test]
fn a_user_has_a_password() {
    let without = SENTINEL.replace("password_file = \"{folder}/password\"\n", "");
    assert_only(&faults(&without), "limits.redis.username (line ", "is given without a password");
    let without = SENTINEL.replace("password = \"canary-7b1e\"\n", "");
    assert_only(&faults(&without), "limits.redis.sentinel.username (line ", "is given without a password");
    let twice = SENTINEL.replacen("password_file", "password = \"canary-7b1e\"\npassword_file", 1);
    assert_only(&faults(&twice), "limits.redis.password_file (line ", "is given beside `password`");
}

#[test]
fn certificates_go_with_tls_and_with_their_keys() {
    let ca = "[limits.redis.tls]\nca_file = \"{folder}/ca.pem\"\n";
    let off = faults(&format!("{CLUSTER}{ca}"));
    assert_only(&off, "limits.redis.tls.ca_file (line ", "write `enabled = true` beside it");
    let clear = faults(&format!("url = \"redis://redis\"\n{ca}"));
    assert_only(&clear, "limits.redis.tls.ca_file (line ", "write rediss:// in the URL");
    let torn = faults("url = \"rediss://redis\"\n[limits.redis.tls]\nenabled = false\n");
    assert_only(&torn, "limits.redis.tls.enabled (line ", "is not what the scheme of `url` says");
    for (key, other) in [("certificate_file", "key_file"), ("key_file", "certificate_file")] {
        let file = if key == "key_file" { "key.pem" } else { "cert.pem" };
        let half = format!("{CLUSTER}[limits.redis.tls]\nenabled = true\n{key} = \"{{folder}}/{file}\"\n");
        let part = format!("is given without `{other}`");
        assert_only(&faults(&half), &format!("limits.redis.tls.{key} (line "), &part);
    }
    let swapped = format!("{CLUSTER}[limits.redis.tls]\nenabled = true\nca_file = \"{{folder}}/key.pem\"\n");
    assert_only(&faults(&swapped), "limits.redis.tls.ca_file (line ", "names a file without a line");
}
