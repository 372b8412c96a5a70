//! `keys`: the keys that sign access tokens.

use std::time::Duration;

use clap::Subcommand;

use crate::app;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::flows::signing_keys::PUBLISH_AHEAD;

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys that are published.
    List,
    /// Make the next key. It is published now and signs later; the present one retires after its last token.
    Rotate {
        /// Seconds between publishing and signing. Less than 600 makes verifications fail that keep the JWKS.
        #[arg(long, value_name = "SECONDS", default_value_t = PUBLISH_AHEAD.as_secs())]
        publish_ahead: u64,
    },
}

/// Runs the command and prints what there is or was made.
///
/// # Errors
/// If the store is away.
pub async fn run(config: Config, command: KeysCommand) -> anyhow::Result<()> {
    let keys = app::signing_keys(&config).await?;
    match command {
        KeysCommand::List => {
            println!("{:<45} {:<26} {:<26} published until", "key id", "published from", "signs from");
            for key in keys.list().await? {
                let until = key.published_until.map_or_else(|| "further notice".to_owned(), written);
                println!(
                    "{:<45} {:<26} {:<26} {until}",
                    key.kid,
                    written(key.created),
                    written(key.signs_from)
                );
            }
        }
        KeysCommand::Rotate { publish_ahead } => {
            let (kid, signs_from) = keys.rotate(Duration::from_secs(publish_ahead)).await?;
            println!("key {kid} is published and signs from {}", written(signs_from));
        }
    }
    Ok(())
}

/// RFC 3339, UTC.
fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_seconds()).map_or_else(|_| "?".to_owned(), |at| at.to_string())
}
