//! `migrate`: the database is brought to the schema of this version.

use crate::app;
use crate::config::Config;

/// Applies what is pending and says what it was.
///
/// # Errors
/// If the store is away or a migration fails; what was applied before stays applied.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let applied = app::migrate(&config).await?;
    if applied.is_empty() {
        println!("the schema is up to date");
    }
    for name in applied {
        println!("applied {name}");
    }
    Ok(())
}
