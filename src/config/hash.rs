//! `hash`: cost and size of the password hashing pool.

use crate::domain::password::HashParameters;

use super::form::Count;
use super::reader::Reader;

/// Cost and size of the password hashing pool (argon2id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// Threads, each with memory of its own.
    pub workers: usize,
    /// Requests that may wait for a thread.
    pub queue: usize,
    /// The cost of a hash; never weaker than advised.
    pub parameters: HashParameters,
}

/// What the process needs beside the hashing memory, in MiB.
const BASE_MIB: u64 = 64;

impl Default for Hash {
    fn default() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers: parallelism.min(4), queue: 16, parameters: HashParameters::default() }
    }
}

impl Hash {
    /// Memory that the process needs: the base, and each worker's with a tenth to spare.
    fn needed_mib(&self) -> u64 {
        let hashing_kib = self.workers as u64 * u64::from(self.parameters.memory_kib());
        BASE_MIB + (hashing_kib * 11).div_ceil(10 * 1024)
    }
}

pub(super) fn read(hash: &mut Reader<'_>) -> Hash {
    let usual = Hash::default();
    let workers = hash.optional(
        "workers",
        "threads of the hashing pool",
        &Count(1..=64),
        "available parallelism, at most 4",
    );
    let queue = hash.or("queue", "requests that may wait for a thread", &Count(1..=1024), usual.queue);
    let memory_kib = hash.or(
        "memory_kib",
        "memory of one hash in KiB (argon2id `m`)",
        &Count(7_168..=HashParameters::MAX_MEMORY_KIB),
        usual.parameters.memory_kib(),
    );
    let passes =
        hash.or("passes", "passes over the memory (argon2id `t`)", &Count(1..=10), usual.parameters.passes());
    let lanes = hash.or("lanes", "lanes (argon2id `p`)", &Count(1..=4), usual.parameters.lanes());
    let parameters = HashParameters::new(memory_kib, passes, lanes).unwrap_or_else(|rejection| {
        hash.fault("passes", rejection, "lower `passes` or `memory_kib`");
        usual.parameters
    });
    let read = Hash { workers: workers.unwrap_or(usual.workers), queue, parameters };
    let limit_mib: Option<u64> = hash.optional(
        "memory_limit_mib",
        "memory limit of the process in MiB; the pool must fit in it beside 64 MiB for the rest",
        &Count(1..=1_048_576),
        "not checked",
    );
    if read.parameters.is_weaker_than_advised() {
        hash.fault(
            "passes",
            "is too weak for this `memory_kib`",
            "choose memory_kib and passes of at least 47104 and 1, 19456 and 2, 12288 and 3, 9216 and 4, or 7168 and 5",
        );
    }
    if limit_mib.is_some_and(|limit_mib| read.needed_mib() > limit_mib) {
        let what = format!("is less than the {} MiB that the workers and the rest need", read.needed_mib());
        hash.fault("memory_limit_mib", what, "raise it with the pod's limit, or lower `workers`");
    }
    read
}
