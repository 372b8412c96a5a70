//! `keys`: the keys that sign access tokens, and what the master keys have sealed.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Subcommand;

use crate::app;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::flows::reseal::{Pace, Progress};
use crate::flows::signing_keys::PUBLISH_AHEAD;

/// What to do with the keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys that are published.
    List,
    /// Make the next key. It is published now and signs later; the present one retires after its last token. With --data:
    /// seal everything that is stored anew with the first master key instead, while the service runs.
    Rotate {
        /// Seconds between publishing and signing. Less than 600 makes verifications fail that keep the JWKS.
        #[arg(long, value_name = "SECONDS", default_value_t = PUBLISH_AHEAD.as_secs(), conflicts_with = "data")]
        publish_ahead: u64,
        /// Seal national ids, evidence, signing keys and merges anew with the first key of keys.master.
        #[arg(long)]
        data: bool,
        /// Rows a second at most. Without it the command works for a quarter of the time, so that logins go on as before.
        #[arg(long, value_name = "ROWS", requires = "data")]
        rows_per_second: Option<NonZeroU32>,
        /// As fast as the store takes them: logins wait.
        #[arg(long, requires = "data", conflicts_with = "rows_per_second")]
        full_speed: bool,
    },
}

/// Runs the command and prints what there is or was made.
///
/// # Errors
/// If the store is away.
pub async fn run(config: Config, command: KeysCommand) -> anyhow::Result<()> {
    if let KeysCommand::Rotate { data: true, rows_per_second, full_speed, .. } = command {
        let pace = match (rows_per_second, full_speed) {
            (Some(rate), _) => Pace::AtMost(rate),
            (None, true) => Pace::Full,
            (None, false) => Pace::BesideLogins,
        };
        return rotate_data(&config, pace).await;
    }
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
        KeysCommand::Rotate { publish_ahead, .. } => {
            let (kid, signs_from) = keys.rotate(Duration::from_secs(publish_ahead)).await?;
            println!("key {kid} is published and signs from {}", written(signs_from));
        }
    }
    Ok(())
}

/// Progress goes to standard error at most this often.
const TELL: Duration = Duration::from_secs(1);

async fn rotate_data(config: &Config, pace: Pace) -> anyhow::Result<()> {
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut tell = |progress: Progress| {
        if told.elapsed() >= TELL {
            told = Instant::now();
            eprintln!("{}: {} sealed anew", progress.kind.table(), progress.resealed);
        }
    };
    let summary = app::reseal(config).await?.run(pace, &mut tell).await?;
    print!("{summary}");
    eprintln!("{} rows in {:.1} s", summary.resealed_in_all(), begun.elapsed().as_secs_f64());
    if !summary.is_complete() {
        bail!("not everything is sealed with the first master key; see above");
    }
    Ok(())
}

/// RFC 3339, UTC.
fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_seconds()).map_or_else(|_| "?".to_owned(), |at| at.to_string())
}
