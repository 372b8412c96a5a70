//! Guardians of the benchmark: a directory file with any number of them, who all have one password and its one hash.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use guardian_auth::adapters::argon2::{HashWorker, OUTPUT_BYTES, SALT_BYTES};
use guardian_auth::domain::password::{HashParameters, PasswordHash};

/// What they all log in with.
pub const PASSWORD: &str = "granskog kanot lingon 1974";

/// What their browser says.
pub const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Children of one school.
const SCHOOL_SIZE: usize = 500;

/// The name of a guardian.
pub fn login_name(guardian: usize) -> String {
    format!("{}", 1_000_000 + guardian)
}

/// The address on file of a guardian.
pub fn email(guardian: usize) -> String {
    format!("lars.rask{guardian}@example.se")
}

/// Where a guardian logs in from: each at home.
pub fn address(guardian: usize) -> String {
    let [_, a, b, c] = u32::try_from(guardian).unwrap_or(u32::MAX).to_be_bytes();
    format!("10.{a}.{b}.{c}")
}

/// Writes a file of so many guardians, with a child for each two of them; says how many rows it has.
pub fn write(path: &Path, guardians: usize) -> anyhow::Result<usize> {
    let hash = shared_hash()?;
    let children = guardians.div_ceil(2);
    let schools = children.div_ceil(SCHOOL_SIZE);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for school in 0..schools {
        writeln!(file, r#"{{"type":"school","key":"s-{school}","name":"Granskolan {school}"}}"#)?;
    }
    for child in 0..children {
        let school = child / SCHOOL_SIZE;
        writeln!(
            file,
            r#"{{"type":"child","key":"c-{child}","given_name":"Alva","family_name":"Rask","school":"s-{school}"}}"#
        )?;
    }
    for guardian in 0..guardians {
        let (name, email, child) = (login_name(guardian), email(guardian), guardian / 2);
        writeln!(
            file,
            r#"{{"type":"guardian","key":"g-{guardian}","given_name":"Lars","family_name":"Rask","locale":"sv","debtor_numbers":[{{"portal":"parent","number":"{name}"}}],"email":"{email}","child_links":[{{"child":"c-{child}","confirmed":true}}],"password":{{"portal":"parent","hash":"{hash}"}}}}"#
        )?;
    }
    file.flush()?;
    Ok(schools + children + guardians)
}

/// The password's hash at the live parameters.
pub fn shared_hash() -> anyhow::Result<String> {
    let (live, salt) = (HashParameters::default(), [7; SALT_BYTES]);
    let mut output = [0; OUTPUT_BYTES];
    HashWorker::new(live).run(live, PASSWORD.as_bytes(), &salt, &mut output)?;
    let hash = PasswordHash::new(live, &salt, &output).ok().context("the hash cannot be written")?;
    Ok(hash.as_str().to_owned())
}
