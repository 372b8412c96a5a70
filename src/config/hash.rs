//! `hash`: cost and size of the password hashing pool.

use super::form::Count;
use super::reader::Reader;

/// Cost and size of the password hashing pool (argon2id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// Threads, each with memory of its own.
    pub workers: usize,
    /// Requests that may wait for a thread.
    pub queue: usize,
    /// Memory of one hash in KiB (`m`).
    pub memory_kib: u32,
    /// Passes over the memory (`t`).
    pub passes: u32,
    /// Lanes (`p`).
    pub lanes: u32,
}

/// Least passes for an amount of memory in KiB: choices of equal strength (OWASP Password Storage Cheat Sheet, argon2id).
const FLOORS: [(u32, u32); 5] = [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// What the process needs beside the hashing memory, in MiB.
const BASE_MIB: u64 = 64;

impl Default for Hash {
    fn default() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        Self { workers: parallelism.min(4), queue: 16, memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl Hash {
    fn is_strong_enough(&self) -> bool {
        FLOORS.into_iter().any(|(memory_kib, passes)| self.memory_kib >= memory_kib && self.passes >= passes)
    }

    /// Memory that the process needs: the base, and each worker's with a tenth to spare.
    fn needed_mib(&self) -> u64 {
        let hashing_kib = self.workers as u64 * u64::from(self.memory_kib);
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
    let read = Hash {
        workers: workers.unwrap_or(usual.workers),
        queue: hash.or("queue", "requests that may wait for a thread", &Count(1..=1024), usual.queue),
        memory_kib: hash.or(
            "memory_kib",
            "memory of one hash in KiB (argon2id `m`)",
            &Count(7_168..=1_048_576),
            usual.memory_kib,
        ),
        passes: hash.or("passes", "passes over the memory (argon2id `t`)", &Count(1..=20), usual.passes),
        lanes: hash.or("lanes", "lanes (argon2id `p`)", &Count(1..=4), usual.lanes),
    };
    let limit_mib: Option<u64> = hash.optional(
        "memory_limit_mib",
        "memory limit of the process in MiB; the pool must fit in it beside 64 MiB for the rest",
        &Count(1..=1_048_576),
        "not checked",
    );
    if !read.is_strong_enough() {
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
