//! A document of the provider, kept for a while: fetched once for all that wait, and never more often than is decent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A provider that does not answer is asked again after this time, not by every login that comes: those would all wait.
const FAILURE_REMEMBERED: Duration = Duration::from_secs(5);

/// An unknown key makes us fetch the keys anew this often at most: whoever sends tokens with made-up key names must not
/// make us a load on the provider. What other libraries do, too (30 s in `jose`).
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// How long a document is good.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    /// Not asked for again before this age.
    pub(super) fresh: Duration,
    /// Used up to this age if there is no newer one to be had.
    pub(super) stale: Duration,
}

/// A document, and when it was fetched.
pub(super) struct Kept<T> {
    pub(super) value: Arc<T>,
    fetched: Instant,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), fetched: self.fetched }
    }
}

/// One document. `F` is why it cannot be had.
pub(super) struct Cache<T, F> {
    lifetime: Lifetime,
    state: Mutex<State<T, F>>,
    /// Held by the one call that fetches.
    flight: tokio::sync::Mutex<()>,
}

struct State<T, F> {
    kept: Option<Kept<T>>,
    failed: Option<(Instant, F)>,
    renewed: Option<Instant>,
}

impl<T, F: Copy> Cache<T, F> {
    pub(super) fn new(lifetime: Lifetime) -> Self {
        let state = State { kept: None, failed: None, renewed: None };
        Self { lifetime, state: Mutex::new(state), flight: tokio::sync::Mutex::new(()) }
    }

    /// The document: the one at hand if it is fresh, else fetched. While one call fetches, others go on with a stale one,
    /// and wait only if there is none.
    pub(super) async fn get(&self, fetch: impl Future<Output = Result<T, F>>) -> Result<Kept<T>, F> {
        if let Some(answer) = self.at_hand() {
            return answer;
        }
        let _flight = match (self.flight.try_lock(), self.usable()) {
            (Ok(flight), _) => flight,
            (Err(_), Some(kept)) => return Ok(kept),
            (Err(_), None) => self.flight.lock().await,
        };
        // Whoever was before may have fetched it.
        if let Some(answer) = self.at_hand() {
            return answer;
        }
        match self.fetched(fetch.await) {
            Ok(kept) => Ok(kept),
            Err(fault) => self.usable().ok_or(fault),
        }
    }

    /// A newer document than `seen`, in which the call that began then missed something. `None`: there is none, or it is
    /// too early to ask.
    pub(super) async fn newer(
        &self,
        seen: &Kept<T>,
        began: Instant,
        fetch: impl Future<Output = Result<T, F>>,
    ) -> Option<Kept<T>> {
        let _flight = self.flight.lock().await;
        {
            let mut state = self.state();
            if let Some(kept) = state.kept.as_ref().filter(|kept| kept.fetched > seen.fetched) {
                return Some(kept.clone());
            }
            if state.renewed.is_some_and(|at| at.elapsed() < RENEWAL_PAUSE) {
                return None;
            }
            // Fetched for this call: what it misses there is not published, and that counts as having asked.
            if seen.fetched >= began {
                state.renewed = Some(seen.fetched);
                return None;
            }
            state.renewed = Some(Instant::now());
        }
        self.fetched(fetch.await).ok()
    }

    /// Keeps what was fetched, or remembers that nothing was.
    fn fetched(&self, result: Result<T, F>) -> Result<Kept<T>, F> {
        let now = Instant::now();
        let mut state = self.state();
        match result {
            Ok(value) => {
                let kept = Kept { value: Arc::new(value), fetched: now };
                state.kept = Some(kept.clone());
                state.failed = None;
                Ok(kept)
            }
            Err(fault) => {
                state.failed = Some((now, fault));
                Err(fault)
            }
        }
    }

    /// What can be answered without fetching.
    fn at_hand(&self) -> Option<Result<Kept<T>, F>> {
        let state = self.state();
        if let Some(kept) = state.kept.as_ref().filter(|kept| kept.fetched.elapsed() < self.lifetime.fresh) {
            return Some(Ok(kept.clone()));
        }
        let (_, fault) = state.failed.filter(|(at, _)| at.elapsed() < FAILURE_REMEMBERED)?;
        Some(self.usable_of(&state).ok_or(fault))
    }

    fn usable(&self) -> Option<Kept<T>> {
        self.usable_of(&self.state())
    }

    fn usable_of(&self, state: &State<T, F>) -> Option<Kept<T>> {
        state.kept.as_ref().filter(|kept| kept.fetched.elapsed() < self.lifetime.stale).cloned()
    }

    /// No holder waits or fails while it has the lock; what a panicking one left is whole.
    fn state(&self) -> MutexGuard<'_, State<T, F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const LIFETIME: Lifetime = Lifetime { fresh: Duration::from_mins(10), stale: Duration::from_hours(1) };

    /// A provider that counts how often it is asked and takes a second to answer.
    #[derive(Default)]
    struct Source {
        asked: AtomicU32,
        down: std::sync::atomic::AtomicBool,
    }

    impl Source {
        async fn fetch(&self) -> Result<u32, &'static str> {
            let count = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.down.load(Ordering::SeqCst) { Err("down") } else { Ok(count) }
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::SeqCst)
        }

        fn set_down(&self, down: bool) {
            self.down.store(down, Ordering::SeqCst);
        }
    }

    fn bed() -> (Cache<u32, &'static str>, Source) {
        (Cache::new(LIFETIME), Source::default())
    }

    async fn value(cache: &Cache<u32, &'static str>, source: &Source) -> Result<u32, &'static str> {
        cache.get(source.fetch()).await.map(|kept| *kept.value)
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_are_one_fetch() {
        let (cache, source) = bed();
        let answers = join_all((0..100).map(|_| value(&cache, &source))).await;
        assert!(answers.iter().all(|answer| *answer == Ok(1)));
        assert_eq!(source.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_document_is_not_asked_for_again() {
        let (cache, source) = bed();
        assert_eq!(value(&cache, &source).await, Ok(1));
        tokio::time::advance(LIFETIME.fresh.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(value(&cache, &source).await, Ok(1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(value(&cache, &source).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_call_refreshes_others_go_on_with_the_stale_document() {
        let (cache, source) = bed();
        value(&cache, &source).await.unwrap();
        tokio::time::advance(LIFETIME.fresh).await;
        let before = Instant::now();
        let (first, (second, waited)) =
            tokio::join!(value(&cache, &source), async { (value(&cache, &source).await, before.elapsed()) });
        assert_eq!((first, second, waited), (Ok(2), Ok(1), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_document_is_served_while_the_provider_is_away_and_not_for_ever() {
        let (cache, source) = bed();
        value(&cache, &source).await.unwrap();
        source.set_down(true);
        tokio::time::advance(LIFETIME.fresh).await;
        assert_eq!(value(&cache, &source).await, Ok(1));
        tokio::time::advance(LIFETIME.stale.saturating_sub(LIFETIME.fresh)).await;
        assert_eq!(value(&cache, &source).await, Err("down"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_five_seconds() {
        let (cache, source) = bed();
        source.set_down(true);
        let answers = join_all((0..100).map(|_| value(&cache, &source))).await;
        assert!(answers.iter().all(|answer| *answer == Err("down")));
        assert_eq!(source.asked(), 1);
        tokio::time::advance(FAILURE_REMEMBERED.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(value(&cache, &source).await, Err("down"));
        assert_eq!(source.asked(), 1);
        source.set_down(false);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(value(&cache, &source).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_dropped_leaves_the_fetch_to_the_next() {
        let (cache, source) = bed();
        let dropped = tokio::time::timeout(Duration::from_millis(10), value(&cache, &source)).await;
        assert!(dropped.is_err());
        assert_eq!(value(&cache, &source).await, Ok(2));
    }

    /// A call that finds nothing in what it gets: whether it got a newer document.
    async fn miss(cache: &Cache<u32, &'static str>, source: &Source) -> Option<u32> {
        let began = Instant::now();
        let seen = cache.get(source.fetch()).await.unwrap();
        cache.newer(&seen, began, source.fetch()).await.map(|kept| *kept.value)
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_unknown_keys_are_one_fetch() {
        let (cache, source) = bed();
        for _ in 0..10_000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(miss(&cache, &source).await, None);
        }
        assert_eq!(source.asked(), 1, "without a document at hand");
        tokio::time::advance(RENEWAL_PAUSE).await;
        let renewed = join_all((0..10_000).map(|_| miss(&cache, &source))).await;
        assert!(renewed.iter().all(|newer| *newer == Some(2)));
        for _ in 0..10_000 {
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!(miss(&cache, &source).await, None);
        }
        assert_eq!(source.asked(), 2, "with one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_new_right_after_a_fetch_is_found() {
        let (cache, source) = bed();
        value(&cache, &source).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(miss(&cache, &source).await, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_counts_and_leaves_the_document() {
        let (cache, source) = bed();
        value(&cache, &source).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
        source.set_down(true);
        assert_eq!(miss(&cache, &source).await, None);
        source.set_down(false);
        assert_eq!(miss(&cache, &source).await, None);
        assert_eq!(value(&cache, &source).await, Ok(1));
        assert_eq!(source.asked(), 2);
    }
}
