//! Calls that are sent on the hour, whether or not those before them are answered.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::windows::number;

/// One call of an open loop.
pub struct Call<T> {
    /// Since it was due, not since it was sent: a client that lags makes nothing look fast.
    pub took: Duration,
    /// When it was answered.
    pub ended: Instant,
    /// The answer.
    pub outcome: Result<T, Status>,
}

/// Sends calls at a rate until `end`, however many are under way; returns when all are answered.
pub async fn open_loop<T, F>(per_s: f64, end: Instant, call: impl Fn(usize) -> F) -> Vec<Call<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Status>> + Send + 'static,
{
    let (answers, mut answered) = mpsc::unbounded_channel();
    let begun = Instant::now();
    for turn in 0.. {
        let due = begun + Duration::from_secs_f64(number(turn) / per_s);
        if due >= end {
            break;
        }
        sleep_until(due).await;
        let (answers, work) = (answers.clone(), call(usize::try_from(turn).unwrap_or(usize::MAX)));
        tokio::spawn(async move {
            let outcome = work.await;
            let ended = Instant::now();
            // The receiver waits for all.
            drop(answers.send(Call { took: ended - due, ended, outcome }));
        });
    }
    drop(answers);
    let mut calls = Vec::new();
    while let Some(call) = answered.recv().await {
        calls.push(call);
    }
    calls
}
