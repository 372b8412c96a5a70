//! Finds the primary of a set that Sentinels watch.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, RedisResult};
use tokio::time::timeout;

use super::access::Access;
use super::settings::RedisNode;

/// The Sentinels of one set.
pub(super) struct Sentinels {
    addresses: Vec<RedisNode>,
    master_name: String,
    access: Access,
}

impl Sentinels {
    pub(super) const fn new(addresses: Vec<RedisNode>, master_name: String, access: Access) -> Self {
        Self { addresses, master_name, access }
    }

    /// What `connect` makes of the primary, by the first Sentinel that names one on which it succeeds.
    ///
    /// Each has as long as `within`. All are asked at once, so that one which is gone costs no time; and one that has slept through a fail-over, and
    /// still names the old primary, does not hide what the others say: `connect` must fail on a server that takes no
    /// writes.
    pub(super) async fn primary<T, F>(
        &self,
        within: Duration,
        connect: impl Fn(RedisNode) -> F,
    ) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut asked: FuturesUnordered<_> =
            self.addresses.iter().map(|sentinel| self.ask(sentinel, within)).collect();
        let mut tried = Vec::new();
        let mut reached = FuturesUnordered::new();
        let mut trouble = RedisError::from((ErrorKind::EmptySentinelList, "no Sentinel is configured"));
        loop {
            tokio::select! {
                Some(answer) = asked.next() => match answer {
                    Ok(primary) if tried.contains(&primary) => {}
                    Ok(primary) => {
                        tried.push(primary.clone());
                        reached.push(connect(primary));
                    }
                    // What the named primary answers says more.
                    Err(error) if tried.is_empty() => trouble = error,
                    Err(_) => {}
                },
                Some(result) = reached.next() => match result {
                    Ok(found) => return Ok(found),
                    Err(error) => trouble = error,
                },
                else => return Err(trouble),
            }
        }
    }

    /// How many Sentinels name a primary, and how many there are.
    pub(super) async fn answering(&self, within: Duration) -> (usize, usize) {
        let answers = join_all(self.addresses.iter().map(|sentinel| self.ask(sentinel, within))).await;
        (answers.iter().filter(|answer| answer.is_ok()).count(), answers.len())
    }

    async fn ask(&self, sentinel: &RedisNode, within: Duration) -> RedisResult<RedisNode> {
        let answer = async {
            let mut connection: MultiplexedConnection = self.access.connect(sentinel).await?;
            let mut command = Cmd::new();
            command.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master_name);
            command.query_async::<Option<(String, u16)>>(&mut connection).await
        };
        let unknown = || {
            let what = "a Sentinel does not know the name of the primary";
            RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, what))
        };
        let late = || RedisError::from(io::Error::new(io::ErrorKind::TimedOut, "a Sentinel does not answer"));
        let (host, port) = timeout(within, answer).await.map_err(|_elapsed| late())??.ok_or_else(unknown)?;
        Ok(RedisNode { host, port })
    }
}
