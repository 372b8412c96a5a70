//! One thread's argon2id computation, in memory that is kept from hash to hash.

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::domain::password::HashParameters;

/// Output of new hashes in bytes (RFC 9106 §4: 256 bits).
pub const OUTPUT_BYTES: usize = 32;
/// Salt of new hashes in bytes (RFC 9106 §3.1: 16 are recommended).
pub const SALT_BYTES: usize = 16;

/// Argon2 refused its input. Cannot happen with parsed hashes: their bounds are narrower than argon2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argon2 refused its input")]
pub struct Refused;

/// Computes hashes one after another in memory of its own, allocated once for the live parameters. The benchmark drives
/// it on plain threads as the speed that the service is compared with.
///
/// The memory is not wiped between hashes (that would cost 4 % of the time): it holds derived blocks, never the
/// password, and the next hash overwrites them.
pub struct HashWorker {
    live: HashParameters,
    blocks: Vec<Block>,
}

impl HashWorker {
    /// Allocates and touches the memory that the live parameters need.
    pub fn new(live: HashParameters) -> Self {
        Self { live, blocks: vec![Block::default(); block_count(live)] }
    }

    /// Hashes `password` with `salt` into the whole of `output`.
    ///
    /// # Errors
    /// [`Refused`] if salt (8–64 bytes) or output (16–64 bytes) has another length.
    pub fn run(
        &mut self,
        parameters: HashParameters,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), Refused> {
        let params =
            Params::new(parameters.memory_kib(), parameters.passes(), parameters.lanes(), Some(output.len()))
                .map_err(|_| Refused)?;
        let needed = params.block_count();
        if self.blocks.len() < needed {
            self.blocks.resize(needed, Block::default());
        }
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(password, salt, output, self.blocks.as_mut_slice())
            .map_err(|_| Refused)
    }

    /// Whether foreign parameters made the memory larger than the live ones need.
    pub fn has_grown(&self) -> bool {
        self.blocks.len() > block_count(self.live)
    }

    /// Gives back what the live parameters do not need.
    pub fn shrink(&mut self) {
        self.blocks.truncate(block_count(self.live));
        self.blocks.shrink_to_fit();
    }
}

/// Memory in bytes that `workers` threads hold for these parameters; for the check against the memory limit. If hashes
/// with other parameters are imported, a worker holds what the largest of them needs, up to
/// [`HashParameters::MAX_MEMORY_KIB`], until it was idle for a while.
pub fn memory_needed(workers: usize, parameters: HashParameters) -> u64 {
    let bytes = block_count(parameters) * Block::SIZE;
    u64::try_from(workers).unwrap_or(u64::MAX).saturating_mul(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Blocks of 1 KiB: the memory rounded down to 4 equal slices a lane (RFC 9106 §3.2).
fn block_count(parameters: HashParameters) -> usize {
    let slices = 4 * parameters.lanes();
    usize::try_from(parameters.memory_kib() / slices * slices).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::{HashWorker, Refused, block_count, memory_needed};
    use crate::domain::password::HashParameters;

    fn parameters(memory_kib: u32, passes: u32, lanes: u32) -> HashParameters {
        HashParameters::new(memory_kib, passes, lanes).unwrap()
    }

    #[test]
    fn the_output_is_that_of_the_reference_implementation() {
        // From the tests of phc-winner-argon2: password "password", salt "somesalt", v=19, by m, t and p.
        let vectors = [
            (parameters(65_536, 2, 1), "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"),
            (parameters(256, 2, 1), "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
            (parameters(256, 2, 2), "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"),
        ];
        let mut worker = HashWorker::new(parameters(64, 1, 1));
        for (parameters, expected) in vectors {
            let mut output = [0_u8; 32];
            worker.run(parameters, b"password", b"somesalt", &mut output).unwrap();
            assert_eq!(STANDARD_NO_PAD.encode(output), expected, "{parameters}");
        }
    }

    #[test]
    fn memory_grows_for_foreign_parameters_and_shrinks_back() {
        let mut worker = HashWorker::new(parameters(64, 1, 1));
        let mut output = [0_u8; 32];
        worker.run(parameters(64, 1, 1), b"x", &[1; 16], &mut output).unwrap();
        assert!(!worker.has_grown());
        worker.run(parameters(1024, 1, 1), b"x", &[1; 16], &mut output).unwrap();
        assert!(worker.has_grown());
        let grown = output;
        worker.shrink();
        assert_eq!((worker.has_grown(), worker.blocks.capacity()), (false, 64));
        worker.run(parameters(1024, 1, 1), b"x", &[1; 16], &mut output).unwrap();
        assert_eq!(output, grown);
    }

    #[test]
    fn a_salt_out_of_bounds_is_refused() {
        let mut worker = HashWorker::new(parameters(64, 1, 1));
        assert_eq!(worker.run(parameters(64, 1, 1), b"x", &[1; 7], &mut [0; 32]), Err(Refused));
    }

    #[test]
    fn memory_is_told_in_bytes_for_all_workers() {
        assert_eq!(memory_needed(2, HashParameters::default()), 2 * 19_456 * 1024);
        assert_eq!(block_count(parameters(31, 1, 1)), 28);
        assert_eq!(block_count(parameters(35, 1, 4)), 32);
    }
}
