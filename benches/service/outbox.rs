//! Sending what waits in the outbox, by one replica and by two.

use std::time::{Duration, Instant};

use super::bed::Bed;
use super::database::Database;
use super::figures::Results;
use super::login::seeded_with_mail;
use super::mail_server::MailServer;
use super::process::{CoreTimes, Process, free_port};
use super::service::{Backends, Installation};
use super::windows::{Pairs, Timing, median, number};

/// What a mail server takes for an answer when it is not on this machine.
const PAUSE: Duration = Duration::from_millis(20);
/// Longest time of one outbox.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is drained: an outbox on PostgreSQL, full of links for as many guardians.
struct Drain<'a> {
    bed: &'a Bed,
    replicas: [&'a Installation; 2],
    database: Database,
    port: u16,
}

/// Measured once with a server that answers at once, where the processors are the bound, and once with one that takes
/// its time, where the waiting for it is.
pub async fn run(bed: &Bed, timing: Timing, results: &mut Results) -> anyhow::Result<()> {
    let port = free_port()?;
    let one = seeded_with_mail(bed, Backends::Shared, timing.mails, port).await?;
    let two = one.replica()?;
    let database = Database::connect(&one.location).await?;
    let drain = Drain { bed, replicas: [&one, &two], database, port };
    let (mails, pairs) = drain.pairs(timing, timing.mails, Duration::ZERO).await?;
    results.put("outbox_mails_per_s", median(pairs.b.clone()), mails.clone());
    results.put("outbox_two_replicas_ratio_at_once", pairs.ratio(), format!("{}; {mails}", pairs.note("/s")));
    let (mails, pairs) = drain.pairs(timing, timing.mails / 5, PAUSE).await?;
    results.put("outbox_mails_per_s_20ms", median(pairs.b.clone()), mails.clone());
    results.put("outbox_two_replicas_ratio", pairs.ratio(), format!("{}; {mails}", pairs.note("/s")));
    Ok(())
}

impl Drain<'_> {
    /// Two replicas, one, two, one, …; and a note on what a mail of one costs.
    async fn pairs(&self, timing: Timing, mails: usize, pause: Duration) -> anyhow::Result<(String, Pairs)> {
        let mut pairs = Pairs::default();
        let mut note = String::new();
        for _ in 0..timing.pairs {
            let (two, busy) = self.measure(2, mails, pause).await?;
            pairs.a.push(two);
            let (one, of_one) = self.measure(1, mails, pause).await?;
            pairs.b.push(one);
            note = format!("{mails} mails; two: {busy}; one: {of_one}");
        }
        Ok((note, pairs))
    }

    /// Mails a second from the first tenth to the last one: starting, and the last mails of a replica that is done
    /// before the other, are no part of it.
    async fn measure(&self, replicas: usize, mails: usize, pause: Duration) -> anyhow::Result<(f64, String)> {
        self.database.fill_outbox(mails).await?;
        let mail = MailServer::start(self.bed, self.port, pause)?;
        let (first, last) = (mails / 10, mails - mails / 10);
        let (one, two) = tokio::join!(self.replicas[0].start(), async {
            if replicas == 2 { self.replicas[1].start().await.map(Some) } else { Ok(None) }
        });
        let (one, two) = (one?, two?);
        let begun = Instant::now();
        let reach = async |wanted: usize| {
            while mail.accepted().await? < wanted {
                anyhow::ensure!(begun.elapsed() < PATIENCE, "the outbox is not drained in time");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        reach(first).await?;
        let servers: Vec<&Process> =
            [Some(&one), two.as_ref()].into_iter().flatten().map(|one| &one.process).collect();
        let of_servers = || servers.iter().map(|server| server.cpu()).sum::<anyhow::Result<Duration>>();
        let (server, sink, cores) = (of_servers()?, mail.cpu()?, CoreTimes::now()?);
        reach(last).await?;
        let (server, sink) = (of_servers()?.saturating_sub(server), mail.cpu()?.saturating_sub(sink));
        let busy = CoreTimes::now()?.busy_since(&cores) * 100.0;
        reach(mails).await?;
        self.database.drained(PATIENCE).await?;
        drop((one, two));
        let accepted = mail.accepted().await?;
        anyhow::ensure!(accepted == mails, "{accepted} mails came of {mails} messages");
        let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / number((last - first) as u64);
        let (server, sink) = (micros(server), micros(sink));
        let note = format!(
            "{server:.0} + {sink:.0} µs CPU a mail of service and mail server, cores {busy:.0} % busy"
        );
        Ok((mail.rate(first, last).await?, note))
    }
}
