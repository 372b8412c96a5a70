//! `callers token NAME`: makes the bearer token of a caller.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::caller::{TokenDigest, is_caller_name};
use crate::domain::secret::Secret;
use crate::ports::entropy::{Entropy, random_bytes};

/// Tokens begin so: scanners for leaked secrets find them by it.
pub const TOKEN_PREFIX: &str = "gat_";

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be a caller's.
    #[error("a caller's name is a-z, 0-9 and -, 1 to 40 characters, and neither begins nor ends with -")]
    Name,
    /// The output is gone.
    #[error("the token cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// A new token of 256 random bits and its digest.
pub fn new_token(entropy: &dyn Entropy) -> (Secret<String>, TokenDigest) {
    let random = Secret::new(random_bytes::<32>(entropy));
    let token = Secret::new(format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random.expose())));
    let digest = TokenDigest::of(token.expose());
    (token, digest)
}

/// Prints a new token, which nobody can print again, and the line for the configuration.
///
/// # Errors
/// [`Error`].
pub fn run(name: &str, entropy: &dyn Entropy, out: &mut impl Write) -> Result<(), Error> {
    if !is_caller_name(name) {
        return Err(Error::Name);
    }
    let (token, digest) = new_token(entropy);
    writeln!(out, "Token of {name}; shown this once, hand it over as a secret:")?;
    writeln!(out, "{}", token.expose())?;
    writeln!(out)?;
    writeln!(out, "Line for its [[callers]] table in the configuration:")?;
    writeln!(out, "token_sha256 = [\"{digest}\"]")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    #[test]
    fn the_printed_digest_is_that_of_the_printed_token() {
        let mut out = Vec::new();
        run("sample-portal", &Sevens, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let token = out.lines().find(|line| line.starts_with(TOKEN_PREFIX)).unwrap();
        assert_eq!(token.len(), TOKEN_PREFIX.len() + 43, "256 bits in base64");
        assert!(out.contains(&format!("token_sha256 = [\"{}\"]", TokenDigest::of(token))), "{out}");
    }

    #[test]
    fn a_name_that_the_configuration_would_refuse_gets_no_token() {
        let mut out = Vec::new();
        assert!(matches!(run("Sample Portal", &Sevens, &mut out), Err(Error::Name)));
        assert!(out.is_empty());
    }
}
