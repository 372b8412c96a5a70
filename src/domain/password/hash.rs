//! A stored password hash: an argon2id PHC string whose cost is bounded, so that no import can exhaust the service.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// 64 MiB: above any advice for logins (OWASP 19–46 MiB), and little enough for each hashing thread to hold.
const MEMORY_KIB: RangeInclusive<u32> = 8..=65_536;
/// OWASP's sets have 1–5 passes.
const PASSES: RangeInclusive<u32> = 1..=10;
/// More lanes save nothing here: they are computed one after another.
const LANES: RangeInclusive<u32> = 1..=4;
/// Least memory a lane (RFC 9106 §3.1).
const MEMORY_KIB_PER_LANE: u32 = 8;
/// Memory times passes: 8 times the work of the default set.
const MAX_WORK_KIB: u64 = 8 * 19_456 * 2;
/// Bytes (RFC 9106 §3.1: 8 or more, 16 recommended).
const SALT_BYTES: RangeInclusive<usize> = 8..=64;
/// Bytes. Under 16 the hash itself could be guessed.
const OUTPUT_BYTES: RangeInclusive<usize> = 16..=64;
/// No acceptable string is longer, so nothing longer is read.
const MAX_PHC_BYTES: usize = 256;

/// Why a hash string is not taken over. In words, for staff who import; never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashRejection {
    /// Not `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    #[error("is not a PHC string of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")]
    Malformed,
    /// Another algorithm.
    #[error("is not argon2id: let these guardians choose a new password")]
    Algorithm,
    /// Another version of argon2.
    #[error("is not version 19 of argon2")]
    Version,
    /// Too little or too much memory.
    #[error("needs m (memory) from 8 to 65536 KiB, and 8 KiB or more for each lane")]
    Memory,
    /// Too many passes.
    #[error("needs t (passes) from 1 to 10")]
    Passes,
    /// Too many lanes.
    #[error("needs p (lanes) from 1 to 4")]
    Lanes,
    /// Memory and passes are allowed, their product is not.
    #[error("costs too much: m × t must be at most 311296")]
    Work,
    /// Salt too short or too long.
    #[error("needs a salt of 8 to 64 bytes")]
    Salt,
    /// Output too short or too long.
    #[error("needs a hash of 16 to 64 bytes")]
    Output,
    /// Salt or output is not base64 without padding.
    #[error("has a salt or hash that is not base64 without padding")]
    Encoding,
}

/// The cost of an argon2id hash, within bounds. Ordered, so that sets of them are always worked through alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashParameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Default for HashParameters {
    /// OWASP Password Storage: 19 MiB, 2 passes. Of its equal sets the one with least memory traffic on two cores.
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

impl HashParameters {
    /// The most memory that any accepted set needs, in KiB.
    pub const MAX_MEMORY_KIB: u32 = *MEMORY_KIB.end();

    /// A cost: memory in KiB, passes over it, lanes.
    ///
    /// # Errors
    /// [`HashRejection`] if a number is out of bounds.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, HashRejection> {
        if !LANES.contains(&lanes) {
            return Err(HashRejection::Lanes);
        }
        if !MEMORY_KIB.contains(&memory_kib) || memory_kib < MEMORY_KIB_PER_LANE * lanes {
            return Err(HashRejection::Memory);
        }
        if !PASSES.contains(&passes) {
            return Err(HashRejection::Passes);
        }
        if u64::from(memory_kib) * u64::from(passes) > MAX_WORK_KIB {
            return Err(HashRejection::Work);
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// Reads the canonical form (`m=19456,t=2,p=1`) only: this order, no other parameters, no leading zeros.
    ///
    /// # Errors
    /// [`HashRejection`] if it has another form or a number is out of bounds.
    pub fn parse(text: &str) -> Result<Self, HashRejection> {
        let mut parts = text.split(',');
        let mut number =
            |name| parts.next().and_then(|part| decimal(part, name)).ok_or(HashRejection::Malformed);
        let (memory_kib, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
        if parts.next().is_some() {
            return Err(HashRejection::Malformed);
        }
        Self::new(memory_kib, passes, lanes)
    }

    /// Memory in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// Whether it is weaker than the sets that OWASP calls equally strong: 46 MiB with 1 pass, 19 with 2, 12 with 3, 9
    /// with 4, 7 with 5. For the configuration check; imported hashes may be weaker until their owners log in.
    pub const fn is_weaker_than_advised(self) -> bool {
        let least_kib = match self.passes {
            0 | 1 => 47_104,
            2 => 19_456,
            3 => 12_288,
            4 => 9_216,
            5.. => 7_168,
        };
        self.memory_kib < least_kib
    }
}

/// Canonical: `m=19456,t=2,p=1`.
impl fmt::Display for HashParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.memory_kib, self.passes, self.lanes)
    }
}

/// A decimal number after `name`. Numbers too large for their type are the largest: out of bounds, not malformed.
fn decimal(part: &str, name: &str) -> Option<u32> {
    let digits = part.strip_prefix(name)?;
    let formed = !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    formed.then(|| digits.parse().unwrap_or(u32::MAX))
}

/// An argon2id hash as a PHC string, its cost within bounds. Debug shows the cost only.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    phc: String,
    parameters: HashParameters,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl PasswordHash {
    /// Reads a PHC string from a store or an import.
    ///
    /// # Errors
    /// [`HashRejection`]: nothing was computed.
    pub fn parse(phc: &str) -> Result<Self, HashRejection> {
        if phc.len() > MAX_PHC_BYTES {
            return Err(HashRejection::Malformed);
        }
        let mut parts = phc.split('$');
        let mut next = || parts.next().ok_or(HashRejection::Malformed);
        if !next()?.is_empty() {
            return Err(HashRejection::Malformed);
        }
        if next()? != "argon2id" {
            return Err(HashRejection::Algorithm);
        }
        // Version 16 may write no version at all.
        if next()? != "v=19" {
            return Err(HashRejection::Version);
        }
        let parameters = HashParameters::parse(next()?)?;
        let (salt, output) = (next()?, next()?);
        if parts.next().is_some() {
            return Err(HashRejection::Malformed);
        }
        let bytes = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| HashRejection::Encoding);
        Self::new(parameters, &bytes(salt)?, &bytes(output)?)
    }

    /// A hash from its parts.
    ///
    /// # Errors
    /// [`HashRejection::Salt`], [`HashRejection::Output`].
    pub fn new(parameters: HashParameters, salt: &[u8], output: &[u8]) -> Result<Self, HashRejection> {
        if !SALT_BYTES.contains(&salt.len()) {
            return Err(HashRejection::Salt);
        }
        if !OUTPUT_BYTES.contains(&output.len()) {
            return Err(HashRejection::Output);
        }
        let [salt64, output64] = [salt, output].map(|bytes| STANDARD_NO_PAD.encode(bytes));
        let phc = format!("$argon2id$v=19${parameters}${salt64}${output64}");
        Ok(Self { phc, parameters, salt: salt.to_vec(), output: output.to_vec() })
    }

    /// The PHC string, for the store.
    pub fn as_str(&self) -> &str {
        &self.phc
    }

    /// What it costs.
    pub const fn parameters(&self) -> HashParameters {
        self.parameters
    }

    /// The salt, for the hasher.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The expected output, for the hasher's comparison in constant time.
    pub fn output(&self) -> &[u8] {
        &self.output
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({}, …)", self.parameters)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HashParameters, HashRejection, PasswordHash};

    const SALT: &str = "c29tZXNhbHQxMjM0NTY3OA";
    const OUTPUT: &str = "RdescudvJCsgt3ub+b6dWRWJTmaaJObGRdescudvJCs";

    fn parse(parameters: &str) -> Result<PasswordHash, HashRejection> {
        PasswordHash::parse(&format!("$argon2id$v=19${parameters}${SALT}${OUTPUT}"))
    }

    #[test]
    fn a_phc_string_comes_back_as_it_was() {
        let text = format!("$argon2id$v=19$m=19456,t=2,p=1${SALT}${OUTPUT}");
        let hash = PasswordHash::parse(&text).unwrap();
        assert_eq!(hash.as_str(), text);
        assert_eq!(hash.parameters(), HashParameters::default());
        assert_eq!((hash.salt().len(), hash.output().len()), (16, 32));
    }

    #[test]
    fn debug_hides_salt_and_output() {
        assert_eq!(format!("{:?}", parse("m=64,t=1,p=1").unwrap()), "PasswordHash(m=64,t=1,p=1, …)");
    }

    #[test]
    fn costs_that_would_exhaust_the_service_are_refused() {
        for (parameters, rejection) in [
            ("m=65537,t=1,p=1", HashRejection::Memory),
            ("m=4294967295,t=1,p=1", HashRejection::Memory),
            ("m=99999999999999999999,t=1,p=1", HashRejection::Memory),
            ("m=7,t=1,p=1", HashRejection::Memory),
            ("m=31,t=1,p=4", HashRejection::Memory),
            ("m=19456,t=0,p=1", HashRejection::Passes),
            ("m=19456,t=11,p=1", HashRejection::Passes),
            ("m=19456,t=2,p=0", HashRejection::Lanes),
            ("m=19456,t=2,p=5", HashRejection::Lanes),
            ("m=65536,t=5,p=1", HashRejection::Work),
        ] {
            assert_eq!(parse(parameters).err(), Some(rejection), "{parameters}");
        }
        for allowed in
            ["m=65536,t=4,p=1", "m=8,t=1,p=1", "m=32,t=1,p=4", "m=31129,t=10,p=1", "m=65536,t=3,p=4"]
        {
            assert!(parse(allowed).is_ok(), "{allowed}");
        }
    }

    #[test]
    fn other_algorithms_versions_and_spellings_are_refused() {
        let with = |head: &str| PasswordHash::parse(&format!("{head}${SALT}${OUTPUT}")).err();
        assert_eq!(with("$argon2i$v=19$m=64,t=1,p=1"), Some(HashRejection::Algorithm));
        assert_eq!(with("$argon2d$v=19$m=64,t=1,p=1"), Some(HashRejection::Algorithm));
        assert_eq!(with("$2b$12$x"), Some(HashRejection::Algorithm));
        assert_eq!(with("$argon2id$v=16$m=64,t=1,p=1"), Some(HashRejection::Version));
        assert_eq!(with("$argon2id$m=64,t=1,p=1"), Some(HashRejection::Version));
        assert_eq!(with("x$argon2id$v=19$m=64,t=1,p=1"), Some(HashRejection::Malformed));
        for parameters in [
            "m=064,t=1,p=1",
            "m=+64,t=1,p=1",
            "m=64,t=1",
            "m=64,t=1,p=1,keyid=x",
            "t=1,m=64,p=1",
            "m=64,t=1,p=",
            "m=64, t=1,p=1",
            "m=64,t=1,p=1,",
            "",
        ] {
            assert_eq!(parse(parameters).err(), Some(HashRejection::Malformed), "{parameters}");
        }
        assert_eq!(PasswordHash::parse("").err(), Some(HashRejection::Malformed));
        assert_eq!(PasswordHash::parse(&"$".repeat(1000)).err(), Some(HashRejection::Malformed));
    }

    #[test]
    fn salts_and_outputs_have_bounds_and_one_spelling() {
        let with = |salt: &str, output: &str| {
            PasswordHash::parse(&format!("$argon2id$v=19$m=64,t=1,p=1${salt}${output}")).err()
        };
        assert_eq!(with("c2FsdA", OUTPUT), Some(HashRejection::Salt));
        assert_eq!(with(&"A".repeat(88), OUTPUT), Some(HashRejection::Salt));
        assert_eq!(with(SALT, "c2FsdA"), Some(HashRejection::Output));
        assert_eq!(with(SALT, ""), Some(HashRejection::Output));
        assert_eq!(with(SALT, &"A".repeat(88)), Some(HashRejection::Output));
        assert_eq!(with("c29tZXNhbHQxMjM0NTY3OA==", OUTPUT), Some(HashRejection::Encoding));
        assert_eq!(with("c29tZXNhbHQxMjM0NTY3OB", OUTPUT), Some(HashRejection::Encoding));
        assert_eq!(with("c29tZXNhbHQ!MjM0NTY3OA", OUTPUT), Some(HashRejection::Encoding));
        assert_eq!(with(SALT, &format!("{OUTPUT}$x")), Some(HashRejection::Malformed));
    }

    #[test]
    fn the_default_is_as_strong_as_advised_and_cheaper_sets_are_not() {
        assert!(!HashParameters::default().is_weaker_than_advised());
        assert!(HashParameters::new(19_455, 2, 1).unwrap().is_weaker_than_advised());
        assert!(!HashParameters::new(7_168, 5, 1).unwrap().is_weaker_than_advised());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "\\PC{0,120}") {
            let _ = PasswordHash::parse(&text);
            let _ = PasswordHash::parse(&format!("$argon2id$v=19${text}"));
        }

        #[test]
        fn parameters_come_back_as_they_were(m in 8_u32..=65_536, t in 1_u32..=10, p in 1_u32..=4) {
            if let Ok(parameters) = HashParameters::new(m, t, p) {
                prop_assert_eq!(HashParameters::parse(&parameters.to_string()), Ok(parameters));
            }
        }

        #[test]
        fn what_is_accepted_is_canonical(salt in proptest::collection::vec(any::<u8>(), 8..=64),
            output in proptest::collection::vec(any::<u8>(), 16..=64)) {
            let hash = PasswordHash::new(HashParameters::default(), &salt, &output).unwrap();
            prop_assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash));
        }
    }
}
