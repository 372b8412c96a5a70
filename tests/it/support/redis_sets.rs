//! Several servers of Redis for one test: a primary with replicas under Sentinels, and a cluster.

use std::sync::Arc;
use std::time::Duration;

use guardian_auth::adapters::limiter::{RedisIdentity, RedisLogin, RedisNode, RedisTls, RedisTopology};
use guardian_auth::config;
use guardian_auth::domain::secret::Secret;
use redis::{FromRedisValue, RedisResult};

use super::ports::free_port;
use super::redis::{RedisServer, Setup, TestTls};
use super::{eventually, unique_name};

/// How long a set may take to come together, or to have another primary, on a busy machine.
pub const SETTLED_WITHIN: Duration = Duration::from_secs(40);

/// The rights that docs/operations.md gives at a server, at a Sentinel and at a node of a cluster.
pub mod rights {
    /// One server, or the primary under Sentinels.
    pub const SERVER: &str = "~guardian:* resetchannels -@all +evalsha +script|load +time +get +set +del";
    /// A Sentinel.
    pub const SENTINEL: &str = "resetkeys resetchannels -@all +sentinel|get-master-addr-by-name";
    /// A node of a cluster.
    pub const CLUSTER: &str =
        "~guardian:* resetchannels -@all +evalsha +script|load +time +get +set +del +cluster|slots +asking";
}

/// The name under which the Sentinels know the primary.
pub const MASTER_NAME: &str = "guardian-set";

fn node(server: &RedisServer) -> RedisNode {
    RedisNode { host: "127.0.0.1".to_owned(), port: server.port() }
}

fn login(password: &str) -> RedisLogin {
    RedisLogin { username: Some("guardian".to_owned()), password: Some(Secret::new(password.to_owned())) }
}

fn config_login(password: &str) -> config::RedisLogin {
    let login = login(password);
    config::RedisLogin { username: login.username, password: login.password }
}

fn config_nodes<'s>(servers: impl IntoIterator<Item = &'s RedisServer>) -> Vec<config::HostPort> {
    let node = |server: &RedisServer| config::HostPort { host: "127.0.0.1".to_owned(), port: server.port() };
    servers.into_iter().map(node).collect()
}

/// The files by which a client comes to servers of this authority.
pub fn tls_of(tls: &TestTls) -> RedisTls {
    RedisTls {
        ca_file: Some(tls.file("ca.pem")),
        identity: Some(RedisIdentity {
            certificate_file: tls.file("client.pem"),
            key_file: tls.file("client.key"),
        }),
    }
}

fn word<T: FromRedisValue>(answer: RedisResult<T>) -> T {
    answer.expect("the server answers the harness")
}

/// A primary, replicas, and Sentinels that watch them.
pub struct SentinelSet {
    /// The server that is the primary at first.
    pub primary: RedisServer,
    /// Its replicas.
    pub replicas: Vec<RedisServer>,
    /// Two of three elect a new primary; a lone one does by itself.
    pub sentinels: Vec<RedisServer>,
    password: String,
    /// The authority, if all speak TLS.
    pub tls: Option<Arc<TestTls>>,
}

impl SentinelSet {
    /// Starts the set, and returns when the Sentinels can hold an election.
    pub async fn start(replicas: usize, sentinels: usize, tls: Option<Arc<TestTls>>) -> Self {
        let password = unique_name("password");
        let credentials = format!("masteruser harness\nmasterauth {password}\n");
        let server = |lines: String| {
            RedisServer::start_with(Setup {
                user: "guardian",
                rules: rights::SERVER,
                password: password.clone(),
                lines,
                tls: tls.clone(),
                sentinel: false,
            })
        };
        let primary = server(credentials.clone()).await;
        let follow =
            format!("{credentials}replicaof 127.0.0.1 {}\nrepl-diskless-sync-delay 0\n", primary.port());
        let mut set = Self {
            primary,
            replicas: Vec::new(),
            sentinels: Vec::new(),
            password: password.clone(),
            tls: tls.clone(),
        };
        for _ in 0..replicas {
            set.replicas.push(server(follow.clone()).await);
        }
        eventually(SETTLED_WITHIN, "the replicas follow", async || {
            let told: String = word(set.primary.command(&["INFO", "replication"]).await);
            told.matches("state=online").count() == replicas
        })
        .await;
        let quorum = sentinels / 2 + 1;
        let watch = format!(
            "sentinel monitor {MASTER_NAME} 127.0.0.1 {} {quorum}\n\
             sentinel auth-user {MASTER_NAME} harness\nsentinel auth-pass {MASTER_NAME} {password}\n\
             sentinel down-after-milliseconds {MASTER_NAME} 500\n\
             sentinel failover-timeout {MASTER_NAME} 3000\n\
             sentinel sentinel-user harness\nsentinel sentinel-pass {password}\n",
            set.primary.port(),
        );
        for _ in 0..sentinels {
            let sentinel = RedisServer::start_with(Setup {
                user: "guardian",
                rules: rights::SENTINEL,
                password: password.clone(),
                lines: watch.clone(),
                tls: tls.clone(),
                sentinel: true,
            });
            set.sentinels.push(sentinel.await);
        }
        for sentinel in &set.sentinels {
            eventually(SETTLED_WITHIN, "the Sentinels know each other and the replicas", async || {
                let quorum = sentinel.command::<String>(&["SENTINEL", "CKQUORUM", MASTER_NAME]).await;
                let known: Vec<redis::Value> =
                    word(sentinel.command(&["SENTINEL", "REPLICAS", MASTER_NAME]).await);
                let usable = quorum.is_ok_and(|told| told.contains(&format!("{sentinels} usable")));
                usable && known.len() == replicas
            })
            .await;
        }
        set
    }

    /// How the limiter finds the primary.
    pub fn topology(&self) -> RedisTopology {
        RedisTopology::Sentinel {
            sentinels: self.sentinels.iter().map(node).collect(),
            master_name: MASTER_NAME.to_owned(),
            sentinel_login: login(&self.password),
            login: login(&self.password),
        }
    }

    /// The same as configuration.
    pub fn servers(&self) -> config::RedisServers {
        config::RedisServers::Sentinel {
            sentinels: config_nodes(&self.sentinels),
            master_name: MASTER_NAME.to_owned(),
            sentinel_login: config_login(&self.password),
            login: config_login(&self.password),
        }
    }

    /// Waits until a server other than the first primary is named by a Sentinel.
    pub async fn is_failed_over(&self) {
        let was = self.primary.port();
        eventually(SETTLED_WITHIN, "another primary is named", async || {
            let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
            let (_, port): (String, u16) = word(self.sentinels[0].command(&ask).await);
            port != was
        })
        .await;
    }
}

/// Three primaries, each with a replica or none.
pub struct RedisCluster {
    /// The primaries at first, in the order of their slots.
    pub primaries: Vec<RedisServer>,
    /// The replica of each, in the same order.
    pub replicas: Vec<RedisServer>,
    password: String,
    /// The authority, if all speak TLS.
    pub tls: Option<Arc<TestTls>>,
}

/// The first slot of each primary, and the one after the last.
const FIRST_SLOTS: [u16; 4] = [0, 5461, 10_922, 16_384];

impl RedisCluster {
    /// Starts the nodes, and returns when all agree on who has which slots.
    pub async fn start(with_replicas: bool, tls: Option<Arc<TestTls>>) -> Self {
        let password = unique_name("password");
        let count = if with_replicas { 6 } else { 3 };
        let (mut servers, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let bus = free_port();
            let lines = format!(
                "cluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 1000\n\
                 cluster-announce-ip 127.0.0.1\ncluster-require-full-coverage no\n\
                 masteruser harness\nmasterauth {password}\nrepl-diskless-sync-delay 0\n{}",
                if tls.is_some() { "tls-cluster yes\n" } else { "" },
            );
            let setup = Setup {
                user: "guardian",
                rules: rights::CLUSTER,
                password: password.clone(),
                lines,
                tls: tls.clone(),
                sentinel: false,
            };
            servers.push(RedisServer::start_with(setup).await);
            buses.push(bus);
        }
        for (index, server) in servers.iter().enumerate() {
            let epoch = (index + 1).to_string();
            word::<()>(server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await);
            if let Some(range) = FIRST_SLOTS.get(index..index + 2) {
                let (first, last) = (range[0].to_string(), (range[1] - 1).to_string());
                word::<()>(server.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await);
            }
        }
        for (server, bus) in servers.iter().zip(&buses).skip(1) {
            let (port, bus) = (server.port().to_string(), bus.to_string());
            word::<()>(servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await);
        }
        all_know(&servers, &format!("cluster_known_nodes:{count}")).await;
        let replicas = servers.split_off(3);
        let cluster = Self { primaries: servers, replicas, password, tls };
        for (replica, primary) in cluster.replicas.iter().zip(&cluster.primaries) {
            let id: String = word(primary.command(&["CLUSTER", "MYID"]).await);
            // Refused until the replica has heard of its primary.
            eventually(SETTLED_WITHIN, "the replica is told whom to follow", async || {
                replica.command::<()>(&["CLUSTER", "REPLICATE", &id]).await.is_ok()
            })
            .await;
            eventually(SETTLED_WITHIN, "the replica follows", async || {
                let told: String = word(replica.command(&["INFO", "replication"]).await);
                told.contains("master_link_status:up")
            })
            .await;
        }
        all_know(&cluster.primaries, "cluster_state:ok").await;
        all_know(&cluster.primaries, "cluster_slots_ok:16384").await;
        // The others tell who follows: only then can they vote for a follower.
        for server in &cluster.primaries {
            eventually(SETTLED_WITHIN, "all know the replicas", async || {
                let nodes: String = word(server.command(&["CLUSTER", "NODES"]).await);
                nodes.lines().filter(|line| line.contains("slave")).count() == cluster.replicas.len()
            })
            .await;
        }
        cluster
    }

    /// How the limiter finds the nodes: by two of them.
    pub fn topology(&self) -> RedisTopology {
        RedisTopology::Cluster {
            seeds: self.primaries.iter().take(2).map(node).collect(),
            login: login(&self.password),
        }
    }

    /// The same as configuration.
    pub fn servers(&self) -> config::RedisServers {
        config::RedisServers::Cluster {
            nodes: config_nodes(self.primaries.iter().take(2)),
            login: config_login(&self.password),
        }
    }

    /// The slot of an organization's keys, and which primary has it.
    pub async fn home_of(&self, organization: &str) -> (u16, usize) {
        let key = format!("guardian:{{{organization}}}:x");
        let slot: u16 = word(self.primaries[0].command(&["CLUSTER", "KEYSLOT", &key]).await);
        (slot, FIRST_SLOTS.partition_point(|first| *first <= slot) - 1)
    }

    /// The credentials by which a node moves keys to another.
    pub fn harness_password(&self) -> &str {
        &self.password
    }
}

async fn all_know(servers: &[RedisServer], fact: &str) {
    for server in servers {
        eventually(SETTLED_WITHIN, fact, async || {
            word::<String>(server.command(&["CLUSTER", "INFO"]).await).lines().any(|line| line == fact)
        })
        .await;
    }
}
