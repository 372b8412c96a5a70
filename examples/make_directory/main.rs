//! Writes the sample directories: `cargo run --example make_directory`. The same every time.
//!
//! Every person is invented. National ids are of test series (serials 980–999, BSNs from 9999) or from the authorities'
//! own test numbers; mobile numbers are from the range that the Swedish regulator keeps for fiction; e-mail addresses
//! are at domains kept for examples (RFC 2606).

mod kommun;
mod numbers;
mod opvang;
mod rows;

use std::path::Path;

fn main() -> anyhow::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    std::fs::write(directory.join("directory-sample-kommun.jsonl"), kommun::kommun()?)?;
    std::fs::write(directory.join("directory-voorbeeld-opvang.jsonl"), opvang::opvang()?)?;
    Ok(())
}
