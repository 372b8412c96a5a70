//! `limits.redis`: how the servers are found that count attempts for all replicas.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::secret::Secret;

use super::form::{Choice, Each, Flag, Form, Parsed, ReadableFile, Span, Text};
use super::reader::{Reader, Spot};

/// The Redis that counts for all replicas.
#[derive(Debug)]
pub struct Redis {
    /// Where it is.
    pub servers: RedisServers,
    /// The certificates of TLS; `None`: in clear, or as the scheme of a standalone server's URL says.
    pub tls: Option<RedisTls>,
    /// Time for one decision; after it the local counters decide.
    pub timeout: Duration,
}

impl Redis {
    /// One server by its URL, without certificates of our own.
    pub const fn standalone(url: Secret<String>, timeout: Duration) -> Self {
        Self { servers: RedisServers::Standalone { url }, tls: None, timeout }
    }

    /// Whether the other one says the same, secrets included.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.servers.is_same_as(&other.servers) && self.tls == other.tls && self.timeout == other.timeout
    }
}

/// How the servers are found.
#[derive(Debug)]
pub enum RedisServers {
    /// One server, or a name that leads to the primary.
    Standalone {
        /// `rediss://user:password@host:port/database`.
        url: Secret<String>,
    },
    /// Sentinels name the primary.
    Sentinel {
        /// The Sentinels, at least one.
        sentinels: Vec<HostPort>,
        /// The name under which they watch the primary.
        master_name: String,
        /// Who we are at the Sentinels.
        sentinel_login: RedisLogin,
        /// Who we are at the primary.
        login: RedisLogin,
    },
    /// Redis Cluster.
    Cluster {
        /// Some of its nodes, at least one.
        nodes: Vec<HostPort>,
        /// Who we are at each node.
        login: RedisLogin,
    },
}

impl RedisServers {
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Standalone { url }, Self::Standalone { url: other }) => url.expose() == other.expose(),
            (
                Self::Sentinel { sentinels, master_name, sentinel_login, login },
                Self::Sentinel {
                    sentinels: other_sentinels,
                    master_name: other_name,
                    sentinel_login: other_sentinel_login,
                    login: other_login,
                },
            ) => {
                sentinels == other_sentinels
                    && master_name == other_name
                    && sentinel_login.is_same_as(other_sentinel_login)
                    && login.is_same_as(other_login)
            }
            (Self::Cluster { nodes, login }, Self::Cluster { nodes: other_nodes, login: other_login }) => {
                nodes == other_nodes && login.is_same_as(other_login)
            }
            (Self::Standalone { .. } | Self::Sentinel { .. } | Self::Cluster { .. }, _) => false,
        }
    }
}

/// A server by name or address, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// Name or IP address; one of version 6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Who we are at a server.
#[derive(Debug, Default)]
pub struct RedisLogin {
    /// The ACL user; `None`: `default`.
    pub username: Option<String>,
    /// Its password; `None`: we say nothing.
    pub password: Option<Secret<String>>,
}

impl RedisLogin {
    fn is_same_as(&self, other: &Self) -> bool {
        let [one, another] = [self, other].map(|login| login.password.as_ref().map(Secret::expose));
        self.username == other.username && one == another
    }
}

/// TLS to all servers, Sentinels too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The only authorities of their certificates; `None`: the public authorities (Mozilla's list).
    pub ca_file: Option<PathBuf>,
    /// Our own certificate with its chain, and its key; `None`: we show none.
    pub identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Standalone,
    Sentinel,
    Cluster,
}

const NODE: Parsed<HostPort> =
    Parsed { form: "a host and a port, such as \"redis-0.redis:6379\"", parse: parse_node };

const BY_MODE: &str = "choose it by `mode`, or remove it";

pub(super) fn read(redis: &mut Reader<'_>) -> Option<Redis> {
    let modes =
        Choice(&[("standalone", Mode::Standalone), ("sentinel", Mode::Sentinel), ("cluster", Mode::Cluster)]);
    let given = redis.optional("mode", "how the servers are found", &modes, "`\"standalone\"`");
    // A mode that cannot be read was told of, and says nothing of the other keys.
    let mode = if redis.is_given("mode") { given } else { Some(Mode::Standalone) };
    let url = read_url(redis, mode);
    let login = read_login(redis, mode);
    let sentinel =
        redis.section_chosen_by("sentinel", mode.map(|mode| mode == Mode::Sentinel), BY_MODE, |reader| {
            let sentinels = read_nodes(reader, "addresses", "the Sentinels");
            let name = "the name under which the Sentinels watch the primary (`sentinel monitor <name>`)";
            let master_name = reader.required("master_name", name, &Text(1..=200));
            let login = login_of(reader, "ACL user at the Sentinels", "its password at the Sentinels");
            Some((sentinels?, master_name?, login?))
        });
    let cluster =
        redis.section_chosen_by("cluster", mode.map(|mode| mode == Mode::Cluster), BY_MODE, |reader| {
            read_nodes(reader, "addresses", "some nodes of the cluster; they tell of the others")
        });
    let scheme_is_tls = url.as_ref().map(|url| is_tls(url.expose()));
    let tls = redis.section("tls", |reader| read_tls(reader, mode, scheme_is_tls));
    let timeout = redis.or(
        "timeout",
        "time for one decision; after it this process's own counters decide",
        &Span(Duration::from_millis(1)..=Duration::from_secs(1)),
        Duration::from_millis(50),
    );
    let servers = match mode? {
        Mode::Standalone => RedisServers::Standalone { url: url? },
        Mode::Sentinel => {
            let (sentinels, master_name, sentinel_login) = sentinel??;
            RedisServers::Sentinel { sentinels, master_name, sentinel_login, login: login? }
        }
        Mode::Cluster => RedisServers::Cluster { nodes: cluster??, login: login? },
    };
    Some(Redis { servers, tls, timeout })
}

/// The URL, which goes with one server only.
fn read_url(redis: &mut Reader<'_>, mode: Option<Mode>) -> Option<Secret<String>> {
    let meaning = "`redis://` or `rediss://` URL, with `standalone`";
    let chosen = match mode {
        Some(mode) => mode == Mode::Standalone,
        None => redis.is_given("url") || redis.is_given("url_file"),
    };
    let what = "is for `mode = \"standalone\"`";
    let remedy = "remove it: the servers are in `addresses`, the credentials in `username` and `password`";
    redis.only_if(chosen, &["url", "url_file"], (what, remedy), |redis| {
        redis.secret("url", meaning, &Text(1..=2000), check_url)
    })
}

/// The login at the servers that count, which a URL has in itself.
fn read_login(redis: &mut Reader<'_>, mode: Option<Mode>) -> Option<RedisLogin> {
    let standalone = mode == Some(Mode::Standalone);
    let what = "is for `mode = \"sentinel\"` and `\"cluster\"`";
    let remedy = "remove it, and write the credentials into the URL";
    redis.only_if(!standalone, &["username", "password", "password_file"], (what, remedy), |redis| {
        login_of(redis, "ACL user, with `sentinel` and `cluster`", "its password")
    })
}

fn login_of(reader: &mut Reader<'_>, user: &'static str, password: &'static str) -> Option<RedisLogin> {
    let username = reader.optional("username", user, &Text(1..=200), "`default`");
    let has_password = reader.is_given("password") || reader.is_given("password_file");
    if reader.is_given("username") && !has_password {
        reader.fault("username", "is given without a password", "give `password_file`, or remove it");
    }
    let password = reader.optional_secret("password", password, &Text(1..=1000));
    // A password that cannot be read was told of.
    (password.is_some() == has_password).then_some(RedisLogin { username, password })
}

fn read_nodes(reader: &mut Reader<'_>, name: &str, meaning: &'static str) -> Option<Vec<HostPort>> {
    let nodes = reader.required(name, meaning, &Each(NODE))?;
    if nodes.is_empty() {
        reader.fault(name, "is empty", "name at least one; three are better");
        return None;
    }
    Some(nodes)
}

/// TLS, if it is on; `None` after a fault too. `scheme_is_tls`: what the URL of a standalone server says.
fn read_tls(tls: &mut Reader<'_>, mode: Option<Mode>, scheme_is_tls: Option<bool>) -> Option<RedisTls> {
    let enabled = tls.optional(
        "enabled",
        "whether all servers, Sentinels too, are spoken to by TLS",
        &Flag,
        "`false`; with `standalone` as the URL says",
    );
    let authorities = PemFile("CERTIFICATE-----");
    let ca_file = tls.optional(
        "ca_file",
        "the only authorities of their certificates, PEM; read anew for each connection",
        &authorities,
        "the public authorities (Mozilla's list)",
    );
    let certificate_file =
        tls.optional("certificate_file", "our certificate with its chain, PEM", &authorities, "we show none");
    let key_file = tls.optional("key_file", "its key, PEM", &PemFile("PRIVATE KEY-----"), "we show none");
    for (given, other) in [("certificate_file", "key_file"), ("key_file", "certificate_file")] {
        if tls.is_given(given) && !tls.is_given(other) {
            tls.fault(given, format_args!("is given without `{other}`"), "give both or none");
        }
    }
    let on = match mode? {
        Mode::Standalone => scheme_is_tls?,
        Mode::Sentinel | Mode::Cluster => enabled.unwrap_or(false),
    };
    if mode == Some(Mode::Standalone) && enabled.is_some_and(|enabled| enabled != on) {
        tls.fault("enabled", "is not what the scheme of `url` says", "remove it; rediss:// is TLS");
        return None;
    }
    if !on {
        let files = ["ca_file", "certificate_file", "key_file"];
        for file in files.into_iter().filter(|file| tls.is_given(file)) {
            let remedy = if mode == Some(Mode::Standalone) {
                "write rediss:// in the URL, or remove it"
            } else {
                "write `enabled = true` beside it, or remove it"
            };
            tls.fault(file, "is given while TLS is off", remedy);
        }
        return None;
    }
    Some(RedisTls { ca_file, identity: certificate_file.zip(key_file) })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let known = url.starts_with("redis://") || is_tls(url);
    if known { Ok(()) } else { Err("does not begin with redis:// or rediss://") }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("rediss://")
}

fn parse_node(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let formed = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            (1..=253).contains(&host.len())
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    };
    let port = port.parse().ok().filter(|port| *port > 0)?;
    formed.then(|| HostPort { host: bare.unwrap_or(host).to_owned(), port })
}

/// The path of a readable file with at least one PEM block whose first line ends so.
struct PemFile(&'static str);

impl Form for PemFile {
    type Value = PathBuf;

    fn describe(&self) -> String {
        ReadableFile.describe()
    }

    fn read(&self, spot: &Spot<'_>) -> Option<PathBuf> {
        let path = ReadableFile.read(spot)?;
        let has_block = |text: &str| {
            text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(self.0))
        };
        match std::fs::read_to_string(&path).map(Secret::new) {
            Ok(text) if has_block(text.expose()) => Some(path),
            Ok(_) | Err(_) => spot.wrong(
                format!("names a file without a line -----BEGIN … {}", self.0),
                "name a PEM file; openssl converts the others",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_a_host_and_a_port() {
        for (text, host, port) in [
            ("redis-0.redis:6379", "redis-0.redis", 6379),
            ("10.0.0.1:26379", "10.0.0.1", 26_379),
            ("[2001:db8::7]:6379", "2001:db8::7", 6379),
        ] {
            assert_eq!(parse_node(text), Some(HostPort { host: host.to_owned(), port }));
        }
        for text in [
            "redis",
            "redis:",
            ":6379",
            "redis:0",
            "redis:70000",
            "2001:db8::7:6379",
            "[redis]:6379",
            "redis://redis:6379",
            "user@redis:6379",
            "redis:6379/0",
        ] {
            assert_eq!(parse_node(text), None, "{text}");
        }
    }
}
