//! The configuration: every fault at once, no secret echoed, and a reference that says what the code does.

mod eid;
mod mail;
mod redis;
mod traces;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use guardian_auth::cli::check;
use guardian_auth::config::{Config, Faults, KeyReference, LimitsBackend, LogLevel, StoreBackend};
use guardian_auth::domain::caller::{AllOrSome, CallerKind, TokenDigest};
use guardian_auth::domain::limits::LimitPolicy;
use guardian_auth::domain::organization::{OrganizationId, Portal, SessionPolicy};
use guardian_auth::domain::password::{HashParameters, PasswordPolicy};
use guardian_auth::domain::secret::Secret;
use proptest::prelude::{any, prop_assert, proptest};
use tempfile::TempDir;

/// What must never be seen in a fault.
const CANARY: &str = "canary-7b1e";

/// A folder with a key file and whatever else a test writes.
struct Setting(TempDir);

impl Setting {
    fn new() -> Self {
        let setting = Self(TempDir::new().expect("a folder"));
        setting.write("master", &key_of(1));
        setting
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// The least configuration, with `more` before its tables and `tables` after them.
    fn least(&self, more: &str, tables: &str) -> String {
        let folder = self.0.path().display();
        format!(
            r#"
issuer = "https://login.example.se"
{more}
[[keys.master]]
id = "k1"
file = "{folder}/master"
[[organizations]]
id = "sample"
display_name = "Sample"
region = "SE"
portals = ["parent", "staff"]
[[callers]]
name = "portal"
kind = "portal"
token_sha256 = ["{digest}"]
organizations = ["sample"]
portals = ["parent"]
{tables}"#,
            digest = TokenDigest::of("one"),
        )
    }

    fn load(&self, text: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
        let path = self.write("guardian-auth.toml", text);
        Config::load(Some(Path::new(&path)), environment(variables))
    }

    /// The faults of the least configuration with these additions, one line each.
    fn faults(&self, more: &str, tables: &str, variables: &[(&str, &str)]) -> Vec<String> {
        lines(self.load(&self.least(more, tables), variables))
    }
}

const SQLITE: &str = "store = { backend = \"sqlite\", sqlite = { path = \"state.sqlite\" } }";

fn key_of(byte: u8) -> String {
    // 32 bytes: 31 zero bytes and one that differs.
    let last = ["AA=", "AE=", "AI=", "AM="][usize::from(byte)];
    format!("{}{last}\n", "A".repeat(41))
}

fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned: Vec<_> =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    owned.into_iter()
}

fn lines(result: Result<Config, Faults>) -> Vec<String> {
    result.map_or_else(|faults| faults.to_string().lines().map(str::to_owned).collect(), |_| Vec::new())
}

#[track_caller]
fn assert_only(faults: &[String], key: &str, part: &str) {
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].starts_with(key), "{faults:#?}");
    assert!(faults[0].contains(part), "{faults:#?}");
}

#[test]
fn the_least_configuration_takes_every_default() {
    let setting = Setting::new();
    let config = setting.load(&setting.least(SQLITE, ""), &[]).unwrap();
    assert_eq!(config.listen.grpc, "127.0.0.1:50051".parse().unwrap());
    assert!(matches!(config.limits.backend, LimitsBackend::Memory));
    assert_eq!(config.hash.parameters, HashParameters::default());
    assert_eq!(config.keys.master[0].key.expose()[31], 1);
    assert_eq!(config.log.level, LogLevel::Info);
    let organization = &config.organizations[0];
    assert_eq!(organization.limits, LimitPolicy::default());
    assert_eq!(organization.session, SessionPolicy::default());
    assert_eq!(organization.password, PasswordPolicy::default());
    let caller = &config.callers[0].caller;
    let sample = OrganizationId::parse("sample").unwrap();
    assert!(caller.may_act_for(&sample, Portal::Parent) && !caller.may_act_for(&sample, Portal::Staff));
    assert!(!caller.may_assert_client_address);
}

#[test]
fn an_empty_configuration_says_what_is_required() {
    let faults = lines(Config::load(None, std::iter::empty()));
    let keys: Vec<_> = faults.iter().filter_map(|fault| fault.split(": is required").next()).collect();
    assert_eq!(keys, ["issuer", "store.backend", "keys.master", "organizations", "callers"], "{faults:#?}");
}

#[test]
fn all_faults_come_at_once_with_key_and_line() {
    let setting = Setting::new();
    let text = r#"
issuer = "http://login.example.se"
[listen]
grpc = "0.0.0.0:50051"
ops = 9090
max_streams = 0
handshake_timeout = "5 seconds"
trusted_proxies = ["10.0.0.0/8", "10.0.0.1/8", "ten"]
colour = "blue"
[store]
backend = "mysql"
[limits]
backend = "memory"
redis = { timeout = "50ms" }
[hash]
memory_kib = 12288
passes = 2
[keys]
master = []
[[organizations]]
id = "Sample"
display_name = "Sample"
region = "DK"
portals = ["parent", "parents"]
[[organizations]]
id = "sample"
display_name = "Sample"
region = "SE"
portals = ["parent"]
password = { min_length = 7 }
session = { absolute_eid = "25h" }
limits = { account_long = { burst = 90 } }
[[callers]]
name = "portal"
kind = "portal"
organizations = ["sampel"]
portals = ["parent"]
"#;
    let faults = lines(setting.load(text, &[]));
    let expected = [
        "issuer (line 2): ",
        "listen.ops (line 5): ",
        "listen.trusted_proxies[1] (line 8): ",
        "listen.trusted_proxies[2] (line 8): ",
        "listen.max_streams (line 6): ",
        "listen.handshake_timeout (line 7): ",
        "listen.grpc (line 4): ",
        "listen.colour (line 9): ",
        "store.backend (line 11): ",
        "limits.redis (line 14): ",
        "hash.passes (line 17): ",
        "keys.master (line 19): ",
        "organizations[0].id (line 21): ",
        "organizations[0].region (line 23): ",
        "organizations[0].portals[1] (line 24): ",
        "organizations[1].password.min_length (line 30): ",
        "organizations[1].session.absolute_eid (line 31): ",
        "organizations[1].limits.account_long (line 32): ",
        "callers[0].token_sha256: ",
        "callers[0].organizations[0] (line 36): ",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
    for (fault, expected) in faults.iter().zip(expected) {
        assert!(fault.starts_with(expected), "{expected}: {faults:#?}");
        assert!(fault.contains("; "), "a remedy: {fault}");
    }
}

#[test]
fn all_grammar_faults_come_at_once_with_their_lines() {
    let setting = Setting::new();
    let faults = lines(setting.load(&format!("issuer = {CANARY}\n[listen]\ngrpc =\n"), &[]));
    for line in ["(line 1)", "(line 3)"] {
        assert!(faults.iter().any(|fault| fault.contains(line)), "{faults:#?}");
    }
    assert!(!faults.concat().contains(CANARY), "{faults:#?}");
}

#[test]
fn a_file_that_is_not_there_is_one_fault() {
    let faults = lines(Config::load(Some(Path::new("no/such/file.toml")), std::iter::empty()));
    assert_only(&faults, "configuration file: ", "entity not found");
}

#[test]
fn unknown_keys_and_variables_are_faults_with_the_key_that_was_meant() {
    let setting = Setting::new();
    let faults = setting.faults(SQLITE, "[listen]\nmax_conections = 10\n", &[]);
    assert_only(&faults, "listen.max_conections (line ", "did you mean `max_connections`?");
    let faults = setting.faults(SQLITE, "", &[("GUARDIAN_AUTH__LISTEN__GRPCC", "127.0.0.1:1")]);
    assert_only(&faults, "listen.grpcc (GUARDIAN_AUTH__LISTEN__GRPCC)", "did you mean `grpc`?");
    let faults = setting.faults(SQLITE, "", &[("GUARDIAN_AUTH__LOGS__LEVEL", "info")]);
    assert_only(&faults, "logs (GUARDIAN_AUTH__LOGS__LEVEL)", "did you mean `log`?");
}

#[test]
fn variables_that_fit_nowhere_are_faults() {
    let setting = Setting::new();
    for (name, part) in [
        ("GUARDIAN_AUTH__ISSUER__X", "no such part"),
        ("GUARDIAN_AUTH____LISTEN", "empty segment"),
        ("GUARDIAN_AUTH__0__X", "name of a section"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__SAMPLE__REGION", "index"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__7__REGION", "index"),
    ] {
        assert_only(&setting.faults(SQLITE, "", &[(name, "NL")]), name, part);
    }
    let faults = setting.faults(SQLITE, "", &[("GUARDIAN_AUTH__LOG__LEVEL", "\u{FFFD}")]);
    assert_only(&faults, "GUARDIAN_AUTH__LOG__LEVEL", "UTF-8");
}

#[test]
fn variables_outrank_the_file() {
    let setting = Setting::new();
    let text = setting.least(SQLITE, "[log]\nlevel = \"warn\"\n[listen]\nmax_streams = 50\n");
    let variables = [
        ("GUARDIAN_AUTH__LOG__LEVEL", "debug"),
        ("GUARDIAN_AUTH__LISTEN__MAX_STREAMS", "60"),
        ("GUARDIAN_AUTH__LISTEN__REFLECTION", "true"),
        ("GUARDIAN_AUTH__LISTEN__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.0/16"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__0__DISPLAY_NAME", "42"),
        ("GUARDIAN_AUTH__CALLERS__0__ORGANIZATIONS", "*"),
        ("GUARDIAN_AUTH_CONFIG", "of no concern"),
        ("PATH", "of no concern"),
    ];
    let config = setting.load(&text, &variables).unwrap();
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.listen.max_streams, 60);
    assert!(config.listen.reflection);
    assert_eq!(config.listen.trusted_proxies.len(), 2);
    assert_eq!(config.organizations[0].display_name, "42");
    assert_eq!(config.callers[0].caller.organizations, AllOrSome::All);
}

#[test]
fn variables_alone_make_a_configuration() {
    let setting = Setting::new();
    let (key, digest) = (setting.write("key", &key_of(2)), TokenDigest::of("one").to_string());
    let variables = [
        ("GUARDIAN_AUTH__ISSUER", "https://login.example.se"),
        ("GUARDIAN_AUTH__STORE__BACKEND", "sqlite"),
        ("GUARDIAN_AUTH__STORE__SQLITE__PATH", "state.sqlite"),
        ("GUARDIAN_AUTH__KEYS__MASTER__0__ID", "k1"),
        ("GUARDIAN_AUTH__KEYS__MASTER__0__FILE", &key),
        ("GUARDIAN_AUTH__ORGANIZATIONS__0__ID", "sample"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__0__DISPLAY_NAME", "Sample"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__0__REGION", "NL"),
        ("GUARDIAN_AUTH__ORGANIZATIONS__0__PORTALS", "parent,childminder"),
        ("GUARDIAN_AUTH__CALLERS__0__NAME", "sync"),
        ("GUARDIAN_AUTH__CALLERS__0__KIND", "sync"),
        ("GUARDIAN_AUTH__CALLERS__0__TOKEN_SHA256", &digest),
        ("GUARDIAN_AUTH__CALLERS__0__ORGANIZATIONS", "sample"),
    ];
    let config = Config::load(None, environment(&variables)).unwrap();
    assert_eq!(config.organizations[0].portals, [Portal::Parent, Portal::Childminder]);
    assert_eq!(config.callers[0].caller.portals, AllOrSome::All);
}

#[test]
fn a_secret_comes_from_its_file_without_its_line_end() {
    let setting = Setting::new();
    for content in ["postgres://a:b@c/d ", "postgres://a:b@c/d \n", "postgres://a:b@c/d \r\n"] {
        let file = setting.write("url", content);
        let store = format!("store = {{ backend = \"postgres\", postgres = {{ url_file = \"{file}\" }} }}");
        let config = setting.load(&setting.least(&store, ""), &[]).unwrap();
        let StoreBackend::Postgres { url, max_connections } = &config.store.backend else {
            panic!("chosen: postgres")
        };
        assert_eq!((url.expose().as_str(), *max_connections), ("postgres://a:b@c/d ", 10));
    }
}

#[test]
fn a_secret_is_given_once() {
    let setting = Setting::new();
    let file = setting.write("url", "redis://a");
    let limits = format!("{SQLITE}\nlimits = {{ backend = \"redis\", redis = {{ url_file = \"{file}\" }} }}");
    assert!(setting.faults(&limits, "", &[]).is_empty());
    let beside = [("GUARDIAN_AUTH__LIMITS__REDIS__URL", "redis://b")];
    let faults = setting.faults(&limits, "", &beside);
    assert_only(&faults, "limits.redis.url_file (line ", "is given beside `url`");
    let none = format!("{SQLITE}\nlimits = {{ backend = \"redis\" }}");
    assert_only(&setting.faults(&none, "", &[]), "limits.redis.url", "is required");
}

#[test]
fn secret_files_that_hold_nothing_of_use_are_faults() {
    let setting = Setting::new();
    let (empty, short) = (setting.write("empty", "\n"), setting.write("short", "AAAA\n"));
    let zeros = setting.write("zeros", &key_of(0));
    let same = setting.write("same", &key_of(1));
    for (file, part) in [
        (empty.as_str(), "empty file"),
        (&short, "32 bytes"),
        (&zeros, "not random"),
        (&same, "same key"),
        ("no/such/file", "entity not found"),
    ] {
        let second = format!("[[keys.master]]\nid = \"k2\"\nfile = \"{file}\"\n");
        assert_only(&setting.faults(SQLITE, &second, &[]), "keys.master[1].file", part);
    }
    let other = setting.write("other", &key_of(2));
    let second = format!("[[keys.master]]\nid = \"k1\"\nfile = \"{other}\"\n");
    assert_only(&setting.faults(SQLITE, &second, &[]), "keys.master[1].id", "earlier key");
}

/// ruby-jwt CVE-2026-45363: an empty key made every signature right. Keys have 32 bytes, or there is no configuration.
#[test]
fn ruby_jwt_cve_2026_45363_a_master_key_of_other_than_32_bytes_is_refused() {
    use base64::Engine as _;
    let setting = Setting::new();
    for length in [0, 1, 16, 31, 33, 64] {
        let bytes: Vec<u8> = (0..length).collect();
        let file = setting.write("short", &base64::engine::general_purpose::STANDARD.encode(bytes));
        let second = format!("[[keys.master]]\nid = \"k2\"\nfile = \"{file}\"\n");
        assert_only(&setting.faults(SQLITE, &second, &[]), "keys.master[1].file", "");
    }
}

#[test]
fn no_fault_and_no_debug_text_shows_a_value() {
    let setting = Setting::new();
    let file = setting.write("secret", CANARY);
    // A secret put where it belongs, in its file, and into every key of another form.
    let text = setting.least("", &format!("[[keys.master]]\nid = \"{CANARY}!\"\nfile = \"{file}\"\n"));
    let mut all = String::new();
    for key in Config::reference() {
        let name = key.path.replace("[]", "__0").replace('.', "__").to_uppercase();
        let variables = [(format!("GUARDIAN_AUTH__{name}"), format!("{CANARY} \u{7}"))];
        let backend =
            [("GUARDIAN_AUTH__STORE__BACKEND", "postgres"), ("GUARDIAN_AUTH__LIMITS__BACKEND", "redis")];
        let result = Config::load(
            Some(Path::new(&setting.write("c.toml", &text))),
            environment(&backend).chain(variables),
        );
        all += &result.unwrap_err().to_string();
    }
    assert!(!all.contains(CANARY), "{all}");

    let store =
        format!("store = {{ backend = \"postgres\", postgres = {{ url = \"postgres://{CANARY}\" }} }}");
    let config = setting.load(&setting.least(&store, ""), &[]).unwrap();
    assert!(!format!("{config:?}").contains(CANARY));
}

#[test]
fn passwords_of_8_to_14_characters_need_a_written_reason() {
    let setting = Setting::new();
    let faults = |password: &str| {
        setting
            .faults(SQLITE, "", &[])
            .into_iter()
            .chain(lines(
                setting.load(
                    &setting
                        .least(SQLITE, "")
                        .replace("region = \"SE\"", &format!("region = \"SE\"\npassword = {{ {password} }}")),
                    &[],
                ),
            ))
            .collect::<Vec<_>>()
    };
    assert!(faults("min_length = 15").is_empty());
    assert!(faults("min_length = 8, min_length_reason = \"Printed letters say eight.\"").is_empty());
    let key = "organizations[0].password.min_length";
    assert_only(&faults("min_length = 14"), key, "without a reason");
    assert_only(
        &faults("min_length = 7, min_length_reason = \"Printed letters say seven.\""),
        key,
        "8 to 64",
    );
    assert_only(
        &faults("min_length = 8, min_length_reason = \"because\""),
        &format!("{key}_reason"),
        "20 to",
    );
}

#[test]
fn plaintext_on_a_network_address_must_be_meant() {
    let setting = Setting::new();
    let open = "[listen]\ngrpc = \"0.0.0.0:50051\"\n";
    assert_only(&setting.faults(SQLITE, open, &[]), "listen.grpc", "plaintext");
    let mapped = "[listen]\ngrpc = \"[::ffff:192.0.2.1]:50051\"\n";
    assert_only(&setting.faults(SQLITE, mapped, &[]), "listen.grpc", "plaintext");
    assert!(setting.faults(SQLITE, &format!("{open}plaintext_behind_proxy = true\n"), &[]).is_empty());
    let (cert, key) = (setting.write("crt", "-"), setting.write("key", "-"));
    let tls = format!("{open}tls = {{ cert_file = \"{cert}\", key_file = \"{key}\" }}\n");
    assert!(setting.faults(SQLITE, &tls, &[]).is_empty());
    let both = format!("{tls}plaintext_behind_proxy = true\n");
    assert_only(&setting.faults(SQLITE, &both, &[]), "listen.plaintext_behind_proxy", "beside");
    let missing = format!("{open}tls = {{ cert_file = \"{cert}\" }}\n");
    assert_only(&setting.faults(SQLITE, &missing, &[]), "listen.tls.key_file", "is required");
}

#[test]
fn the_hashing_pool_must_fit_in_memory_and_be_strong() {
    let setting = Setting::new();
    // 64 MiB and 2 × 19 MiB with a tenth to spare: 105.8.
    assert!(setting.faults(SQLITE, "[hash]\nworkers = 2\nmemory_limit_mib = 106\n", &[]).is_empty());
    let faults = setting.faults(SQLITE, "[hash]\nworkers = 2\nmemory_limit_mib = 105\n", &[]);
    assert_only(&faults, "hash.memory_limit_mib", "106 MiB");
    for (memory_kib, passes) in [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)] {
        let hash = |memory: u32| format!("[hash]\nmemory_kib = {memory}\npasses = {passes}\n");
        assert!(setting.faults(SQLITE, &hash(memory_kib), &[]).is_empty());
        assert_eq!(setting.faults(SQLITE, &hash(memory_kib - 1), &[]).len(), 1);
    }
    let costly = "[hash]\nmemory_kib = 65536\npasses = 5\n";
    assert_only(&setting.faults(SQLITE, costly, &[]), "hash.passes", "costs too much");
}

#[test]
fn replicas_do_not_share_a_database_file() {
    let setting = Setting::new();
    assert_only(&setting.faults(SQLITE, "[limits]\nreplicas = 2\n", &[]), "limits.replicas (line ", "SQLite");
}

#[test]
fn organizations_and_callers_are_told_apart() {
    let setting = Setting::new();
    let twice =
        "[[organizations]]\nid = \"sample\"\ndisplay_name = \"S\"\nregion = \"SE\"\nportals = [\"parent\"]\n";
    assert_only(&setting.faults(SQLITE, twice, &[]), "organizations[1].id", "earlier organization");
    let caller = |name: &str, credential: &str| {
        format!("[[callers]]\nname = \"{name}\"\nkind = \"sync\"\n{credential}\norganizations = \"*\"\n")
    };
    let token = |token: &str| format!("token_sha256 = [\"{}\"]", TokenDigest::of(token));
    assert_only(
        &setting.faults(SQLITE, &caller("portal", &token("two")), &[]),
        "callers[1].name",
        "earlier caller",
    );
    let same = setting.faults(SQLITE, &caller("sync", &token("one")), &[]);
    assert_only(&same, "callers[1].token_sha256", "caller `portal`");
    let same = setting.faults(SQLITE, &caller("sync", "token_sha256 = []\nsan = []"), &[]);
    assert_only(&same, "callers[1].token_sha256", "nobody could be this caller");
    let (cert, key, ca) = (setting.write("crt", "-"), setting.write("key", "-"), setting.write("ca", "-"));
    let by_name = caller("a", "san = [\"a.example.se\"]") + &caller("b", "san = [\"a.example.se\"]");
    let tls =
        format!("listen.tls = {{ cert_file = \"{cert}\", key_file = \"{key}\", client_ca_file = \"{ca}\" }}");
    let faults = setting.faults(&format!("{SQLITE}\n{tls}"), &by_name, &[]);
    assert_only(&faults, "callers[2].san", "caller `a`");
    let faults = setting.faults(SQLITE, &caller("a", "san = [\"a.example.se\"]"), &[]);
    assert_only(&faults, "listen.tls.client_ca_file", "is required");
}

#[test]
fn a_page_is_known_by_its_origin_and_believed_least() {
    let setting = Setting::new();
    let web = |name: &str, more: &str| {
        format!(
            "[[callers]]\nname = \"{name}\"\nkind = \"web\"\n{more}\norganizations = [\"sample\"]\nportals = [\"parent\"]\n"
        )
    };
    let origins = "origins = [\"https://portal.example.se\"]";
    let config = setting.load(&setting.least(SQLITE, &web("web", origins)), &[]).unwrap();
    assert_eq!(config.callers[1].caller.kind, CallerKind::Web);
    assert_only(&setting.faults(SQLITE, &web("web", ""), &[]), "callers[1].origins", "is required");
    let slash = web("web", "origins = [\"https://portal.example.se/\"]");
    assert_only(&setting.faults(SQLITE, &slash, &[]), "callers[1].origins[0]", "not accepted");
    let token = format!("{origins}\ntoken_sha256 = [\"{}\"]", TokenDigest::of("two"));
    assert_only(&setting.faults(SQLITE, &web("web", &token), &[]), "callers[1].token_sha256", "secret");
    let asserting = format!("{origins}\nmay_assert_client_ip = true");
    assert_only(
        &setting.faults(SQLITE, &web("web", &asserting), &[]),
        "callers[1].may_assert_client_ip",
        "page",
    );
    let twice = web("web", origins) + &web("other", origins);
    assert_only(&setting.faults(SQLITE, &twice, &[]), "callers[2].origins", "caller `web`");
}

#[test]
fn a_caller_names_what_exists() {
    let setting = Setting::new();
    let caller = |more: &str| {
        format!(
            "[[callers]]\nname = \"x\"\nkind = \"sync\"\ntoken_sha256 = [\"{}\"]\n{more}\n",
            TokenDigest::of("x")
        )
    };
    let faults = setting.faults(SQLITE, &caller("organizations = [\"sampel\"]"), &[]);
    assert_only(&faults, "callers[1].organizations[0] (line ", "did you mean `sample`?");
    let faults = setting.faults(SQLITE, &caller("organizations = [\"elsewhere\"]"), &[]);
    assert_only(&faults, "callers[1].organizations[0] (line ", "known are: sample");
    let childminder = caller("organizations = \"*\"\nportals = [\"childminder\"]");
    assert_only(&setting.faults(SQLITE, &childminder, &[]), "callers[1].portals[0] (line ", "none of");
    assert_only(
        &setting.faults(SQLITE, &caller("organizations = []"), &[]),
        "callers[1].organizations",
        "is empty",
    );
}

#[test]
fn the_example_is_without_faults() {
    let setting = Setting::new();
    let folder = setting.0.path().display().to_string();
    for (name, content) in [
        ("tls/tls.crt", "-"),
        ("tls/tls.key", "-"),
        ("tls/ca.crt", "-"),
        ("secrets/postgres-url", "postgres://guardian:secret@db/guardian?sslmode=verify-full\n"),
        ("secrets/smtp-password", "secret\n"),
        ("secrets/redis-url", "rediss://guardian:secret@redis:6379/0\n"),
        ("secrets/master-2026-08", &key_of(1)),
        ("secrets/master-2025-08", &key_of(2)),
    ] {
        setting.write(name, content);
    }
    let example = include_str!("../../examples/guardian-auth.toml").replace("/etc/guardian-auth", &folder);
    let path = setting.write("example.toml", &example);
    let mut report = Vec::new();
    let checked = check::configuration(Some(Path::new(&path)), std::iter::empty(), &mut report);
    assert!(checked.is_ok(), "{}", String::from_utf8_lossy(&report));
}

/// The brokers' tables below the organizations of the example.
#[test]
fn the_examples_of_brokers_are_without_faults() {
    let setting = Setting::new();
    let folder = setting.0.path().display().to_string();
    for name in ["idura", "signicat", "freja", "sweden-connect.pem", "digid", "master"] {
        setting.write(&format!("secrets/{name}"), &key_of(1));
    }
    let brokers = include_str!("../../examples/oidc-brokers.toml").replace("/etc/guardian-auth", &folder);
    let text = format!(
        "issuer = \"https://login.example.se\"\n[store]\nbackend = \"sqlite\"\n[store.sqlite]\npath = \"x\"\n\
         [limits]\nbackend = \"memory\"\n[[keys.master]]\nid = \"a\"\nfile = \"{folder}/secrets/master\"\n\
         [[callers]]\nname = \"portal\"\nkind = \"portal\"\norganizations = \"*\"\nportals = \"*\"\n\
         token_sha256 = [\"{}\"]\n[[organizations]]\nid = \"sample-kommun\"\n\
         display_name = \"Sample kommun\"\nregion = \"SE\"\nportals = [\"parent\", \"staff\"]\n{brokers}",
        "0".repeat(64),
    );
    let config = setting.load(&text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.oidc.len(), 5);
    assert_eq!(config.organizations[0].oidc.len(), 5);
}

#[test]
fn the_example_without_any_one_line_is_read_to_its_end() {
    let setting = Setting::new();
    let example = include_str!("../../examples/guardian-auth.toml");
    let lines: Vec<&str> = example.lines().collect();
    for left_out in 0..lines.len() {
        let text = [&lines[..left_out], &lines[left_out + 1..]].concat().join("\n");
        // Its secrets are not on this machine: it has faults in any case, and says which.
        assert!(!setting.load(&text, &[]).unwrap_err().as_slice().is_empty());
    }
}

proptest! {
    #[test]
    fn any_text_and_any_variable_give_a_configuration_or_faults(
        text in "(([a-z_]{1,8}|issuer|listen|hash|\\[\\[callers\\]\\]|=|\"|\\{|\\[|\\]|0|[.\n ])){0,40}",
        name in "([A-Z0-9_]{0,12}|LISTEN__|CALLERS__0__|HASH__WORKERS){0,3}",
        value in any::<String>(),
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &text).unwrap();
        let variables = std::iter::once((format!("GUARDIAN_AUTH__{name}"), value));
        prop_assert!(Config::load(Some(file.path()), variables).is_err());
    }
}

#[test]
fn the_development_configuration_has_a_token_for_each_caller() {
    let mut names = Vec::new();
    let config = Config::development(
        Path::new("data"),
        Secret::new([7; 32]),
        "127.0.0.1:8025".parse().expect("an address"),
        |name| {
            names.push(name.to_owned());
            TokenDigest::of(name)
        },
    );
    assert!(names.contains(&"sample-kommun-portal".to_owned()), "{names:?}");
    assert_eq!(names.len(), config.callers.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(config.organizations.len(), 2);
    assert!(config.listen.grpc.ip().is_loopback() && config.listen.ops.ip().is_loopback());
}

/// A row of the reference as it must stand in the documentation.
fn row(key: &KeyReference) -> String {
    let secret = if key.secret { "secret" } else { "" };
    format!("| `{}` | {} | {} | {} | {secret} |", key.path, key.meaning, key.form, key.default)
}

#[test]
fn the_documentation_has_every_key_and_no_other() {
    let documentation = include_str!("../../docs/configuration.md");
    let documented: Vec<&str> = documentation.lines().filter(|line| line.starts_with("| `")).collect();
    let rows: Vec<String> = Config::reference().iter().map(row).collect();
    let missing: Vec<_> = rows.iter().filter(|row| !documented.contains(&row.as_str())).collect();
    let unknown: Vec<_> = documented.iter().filter(|line| !rows.iter().any(|row| row == *line)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "write: {missing:#?}\nremove: {unknown:#?}");
    assert_eq!(documented.len(), rows.len(), "each key once");
}
