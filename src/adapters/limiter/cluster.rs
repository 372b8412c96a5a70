//! The primaries of Redis Cluster: a link to each, and which of them counts for an organization.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_ok};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::access::Access;
use super::link::{Away, Link, Miss, connect_within};
use super::metrics::{ErrorKind, LimiterMetrics, Presence};
use super::script::{Call, Redirect, Trouble};
use super::settings::RedisNode;
use super::slots::{SLOTS, SlotRange, read_slots, slot_of};

/// Nodes that are asked at a time for the slots; the first that answers is believed. Others are asked the next time.
const ASKED_AT_ONCE: usize = 3;

/// Between two looks at the slots, at least: a thousand calls that are told of a move ask once.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// Between two looks while a primary is away or slots have none.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A primary.
struct Primary {
    link: Arc<Link>,
    /// The slot of the key that probes charge.
    probe_slot: u16,
    /// Ends the link's task with the last map that has this primary.
    _end: DropGuard,
}

/// Which primary has which slots.
#[derive(Default)]
struct SlotMap {
    /// In order; they do not overlap.
    ranges: Vec<SlotRange>,
    primaries: BTreeMap<RedisNode, Arc<Primary>>,
    /// Slots that no primary has, in the metrics as a server that is down: local counters decide for their organizations.
    _unserved: Option<Presence>,
}

impl SlotMap {
    fn owner(&self, slot: u16) -> Option<(&RedisNode, &Primary)> {
        let at = self.ranges.partition_point(|range| range.last < slot);
        let range = self.ranges.get(at).filter(|range| range.first <= slot)?;
        self.primaries.get_key_value(&range.primary).map(|(node, primary)| (node, &**primary))
    }

    /// Whether every slot has a primary and every primary answers.
    fn is_sound(&self) -> bool {
        serve_all(&self.ranges) && self.primaries.values().all(|primary| primary.link.is_up())
    }
}

/// Whether every slot is in one of these ranges, which do not overlap.
fn serve_all(ranges: &[SlotRange]) -> bool {
    let served: u32 = ranges.iter().map(|range| u32::from(range.last - range.first) + 1).sum();
    served == u32::from(SLOTS)
}

#[derive(Clone)]
enum Map {
    /// Being asked for, for the first time; decisions wait for it within their budget.
    Awaited,
    Known(Arc<SlotMap>),
    /// No node answers; decisions do not wait.
    Unknown,
}

/// A cluster, as this process knows it.
pub(super) struct Cluster {
    seeds: Vec<RedisNode>,
    access: Arc<Access>,
    budget: Duration,
    metrics: LimiterMetrics,
    tasks: TaskTracker,
    stop: CancellationToken,
    map: watch::Sender<Map>,
    /// Told when the map may be old.
    stale: Arc<Notify>,
}

impl Cluster {
    pub(super) fn new(
        seeds: Vec<RedisNode>,
        access: Access,
        budget: Duration,
        metrics: LimiterMetrics,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (map, stale) = (watch::Sender::new(Map::Awaited), Arc::default());
        Self { seeds, access: Arc::new(access), budget, metrics, tasks, stop, map, stale }
    }

    /// Runs the script on the primary of the organization within the budget. A redirection is followed once, as nothing
    /// was charged before it; a call that failed otherwise is not tried again.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<u64, Away> {
        let asked_at = Instant::now();
        let deadline = asked_at + self.budget;
        let map = self.map(deadline).await?;
        let Some((home, owner)) = map.owner(slot_of(call.buckets.organization.as_str())) else {
            return Err(self.failed(ErrorKind::ClusterDown));
        };
        let redirect = match owner.link.attempt(call, asked_at, deadline).await {
            Ok(wait_us) => return Ok(wait_us),
            Err(Miss::Away(away)) => return Err(away),
            Err(Miss::Elsewhere(redirect)) => redirect,
        };
        if !redirect.asking {
            self.stale.notify_one();
        }
        // A node that has no slots yet is not in the map: local counters decide until it has its first.
        let Some(other) = redirect.node.and_then(|node| map.primaries.get(&node.on_host_of(home))) else {
            return Err(self.failed(ErrorKind::Moved));
        };
        let call = Call { asking: redirect.asking, ..call };
        match other.link.attempt(call, asked_at, deadline).await {
            Ok(wait_us) => Ok(wait_us),
            Err(Miss::Away(away)) => Err(away),
            Err(Miss::Elsewhere(Redirect { .. })) => Err(self.failed(ErrorKind::Moved)),
        }
    }

    fn failed(&self, kind: ErrorKind) -> Away {
        self.metrics.redis_failed(kind);
        self.stale.notify_one();
        Away::Failed
    }

    /// The map; waits while it is asked for the first time.
    async fn map(&self, deadline: Instant) -> Result<Arc<SlotMap>, Away> {
        let mut now = self.map.borrow().clone();
        if let Map::Awaited = now {
            let mut maps = self.map.subscribe();
            let known = timeout_at(deadline, maps.wait_for(|map| !matches!(map, Map::Awaited))).await;
            match known {
                Ok(Ok(map)) => now = map.clone(),
                Ok(Err(_)) => return Err(Away::Failed),
                Err(_) => return Err(self.failed(ErrorKind::Timeout)),
            }
        }
        match now {
            Map::Known(map) => Ok(map),
            Map::Awaited | Map::Unknown => Err(Away::LeftAlone),
        }
    }

    /// Asks for the slots, and again whenever they may have moved; twice a second while a primary is away. Runs until
    /// it is stopped.
    pub(super) async fn keep(self: Arc<Self>) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.keep_map()).await;
    }

    async fn keep_map(&self) {
        let mut candidates = self.seeds.clone();
        let mut map = Arc::new(SlotMap::default());
        loop {
            match self.ask(&candidates, &map).await {
                Ok(ranges) => {
                    if ranges != map.ranges {
                        map = Arc::new(self.drawn(ranges, &map));
                        self.map.send_replace(Map::Known(Arc::clone(&map)));
                    }
                    let known: Vec<_> = map.primaries.keys().cloned().collect();
                    candidates = rotated(candidates, &known, &self.seeds);
                }
                Err(trouble) => {
                    self.metrics.redis_failed(trouble.kind);
                    self.unreachable(&trouble);
                    candidates = rotated(candidates, &[], &[]);
                }
            }
            sleep(LOOK_AFTER).await;
            if map.is_sound() {
                self.stale.notified().await;
            } else {
                // Not sooner when told: every call that fails tells.
                sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }

    /// No node told of the slots. What is known stays: each link knows for itself whether its server is away.
    fn unreachable(&self, trouble: &Trouble) {
        let never_was = self.map.send_if_modified(|map| {
            let awaited = matches!(map, Map::Awaited);
            if awaited {
                *map = Map::Unknown;
            }
            awaited
        });
        if never_was {
            tracing::warn!(
                mode = "cluster",
                node = Option::<String>::None,
                kind = ?trouble.kind,
                detail = trouble.detail,
                "Redis is left alone; this replica limits by its own counters"
            );
        }
    }

    /// The slots, by the first of some nodes that tells them. Those to which there is a connection come first: a
    /// fail-over is no time for handshakes.
    async fn ask(&self, candidates: &[RedisNode], map: &SlotMap) -> Result<Vec<SlotRange>, Trouble> {
        let connected = |node: &RedisNode| map.primaries.get(node)?.link.connection();
        let mut candidates: Vec<_> = candidates.iter().map(|node| (node, connected(node))).collect();
        candidates.sort_by_key(|(_, connection)| connection.is_none());
        let asked = candidates.into_iter().take(ASKED_AT_ONCE);
        let asked = asked.map(|(node, connection)| Box::pin(self.slots_by(node, connection)));
        let (ranges, _others) = timeout(connect_within(self.budget), select_ok(asked)).await??;
        Ok(ranges)
    }

    async fn slots_by(
        &self,
        node: &RedisNode,
        connection: Option<MultiplexedConnection>,
    ) -> RedisResult<Vec<SlotRange>> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.access.connect(node).await?,
        };
        let mut command = Cmd::new();
        command.arg("CLUSTER").arg("SLOTS");
        read_slots(connection.send_packed_command(&command).await?, node)
    }

    /// A map of these ranges. Links to primaries that were there before go on.
    fn drawn(&self, ranges: Vec<SlotRange>, before: &SlotMap) -> SlotMap {
        let mut primaries = BTreeMap::new();
        for range in &ranges {
            if !primaries.contains_key(&range.primary) {
                let own: Vec<_> = ranges.iter().filter(|other| other.primary == range.primary).collect();
                let kept = before.primaries.get(&range.primary).filter(|kept| {
                    own.iter().any(|range| (range.first..=range.last).contains(&kept.probe_slot))
                });
                let primary = kept.map_or_else(|| Arc::new(self.linked(range)), Arc::clone);
                primaries.insert(range.primary.clone(), primary);
            }
        }
        tracing::info!(mode = "cluster", nodes = primaries.len(), "the slots of Redis Cluster are known");
        let unserved = (!serve_all(&ranges)).then(|| Presence::new(self.metrics.clone()));
        SlotMap { ranges, primaries, _unserved: unserved }
    }

    /// A primary with a link that begins to connect.
    fn linked(&self, range: &SlotRange) -> Primary {
        let (probe_key, probe_slot) = probe_key(range);
        let link = Arc::new(Link::of_cluster(
            range.primary.clone(),
            Arc::clone(&self.access),
            self.budget,
            self.metrics.clone(),
            probe_key,
            Arc::clone(&self.stale),
        ));
        let end = self.stop.child_token();
        self.tasks.spawn(Arc::clone(&link).keep(end.clone()));
        Primary { link, probe_slot, _end: end.drop_guard() }
    }

    /// Reaches every primary once, as `check` does: how many there are, and the longest decision.
    pub(super) async fn reach_all(&self) -> Result<(usize, Duration), Trouble> {
        let mut seeds = self.seeds.clone();
        let nothing = SlotMap::default();
        let mut found = self.ask(&seeds, &nothing).await;
        // The first few may be away.
        for _ in ASKED_AT_ONCE..seeds.len() {
            if found.is_err() {
                seeds.rotate_left(1);
                found = self.ask(&seeds, &nothing).await;
            }
        }
        let mut links = BTreeMap::new();
        for range in found? {
            let link = || self.lone_link(&range);
            links.entry(range.primary.clone()).or_insert_with(link);
        }
        let answers = join_all(links.iter().map(async |(node, link)| {
            let told =
                |trouble: Trouble| Trouble { detail: format!("{node}: {}", trouble.detail), ..trouble };
            link.reach().await.map_err(told)
        }));
        let mut longest = Duration::ZERO;
        for answer in answers.await {
            longest = longest.max(answer?.1);
        }
        Ok((links.len(), longest))
    }

    fn lone_link(&self, range: &SlotRange) -> Link {
        let (node, access, metrics) = (range.primary.clone(), Arc::clone(&self.access), self.metrics.clone());
        Link::of_cluster(node, access, self.budget, metrics, probe_key(range).0, Arc::default())
    }
}

/// Whom to ask the next time: those who were not asked this time first, and all who are known.
fn rotated(asked: Vec<RedisNode>, known: &[RedisNode], seeds: &[RedisNode]) -> Vec<RedisNode> {
    let mut next = asked;
    // Who left the cluster is forgotten, unless the configuration names it.
    if !known.is_empty() {
        next.retain(|node| known.contains(node) || seeds.contains(node));
    }
    let first = ASKED_AT_ONCE.min(next.len());
    next.rotate_left(first);
    for node in known {
        if !next.contains(node) {
            next.push(node.clone());
        }
    }
    next
}

/// A key for probes whose slot is the range's, and the slot.
fn probe_key(range: &SlotRange) -> (String, u16) {
    // One slot of all is met within this many tries but once in 2^58.
    for number in 0..40 * u32::from(SLOTS) {
        let tag = format!("probe-{number}");
        let slot = slot_of(&tag);
        if (range.first..=range.last).contains(&slot) {
            return (format!("guardian:{{{tag}}}:probe"), slot);
        }
    }
    (super::script::PROBE_KEY.to_owned(), range.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> RedisNode {
        RedisNode { host: "redis".to_owned(), port }
    }

    #[test]
    fn a_probe_goes_to_a_slot_of_its_server() {
        for (first, last) in [(0, 16_383), (0, 0), (9_999, 9_999), (16_383, 16_383)] {
            let (key, slot) = probe_key(&SlotRange { first, last, primary: node(1) });
            assert!((first..=last).contains(&slot), "{slot}");
            let tag = key.strip_prefix("guardian:{").unwrap().strip_suffix("}:probe").unwrap();
            assert_eq!(slot_of(tag), slot);
        }
    }

    #[test]
    fn everybody_is_asked_in_turn_and_who_left_no_more() {
        let nodes: Vec<_> = (1..=5).map(node).collect();
        assert_eq!(rotated(nodes.clone(), &[], &[]), [4, 5, 1, 2, 3].map(node));
        let next = rotated(nodes, &[node(4), node(6)], &[node(1)]);
        assert_eq!(next, [1, 4, 6].map(node));
        assert_eq!(rotated(vec![], &[], &[]), []);
    }
}
