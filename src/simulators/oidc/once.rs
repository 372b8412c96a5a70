//! Things that are good for a time, by names that nobody guesses.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Things that are kept at most: who asks without end loses the oldest ones.
const MOST: usize = 1000;

/// Things by name, each until a time.
pub(super) struct Once<T>(HashMap<String, (Timestamp, T)>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Once<T> {
    /// Keeps a thing for this long.
    pub(super) fn put(&mut self, name: String, thing: T, life: Duration, now: Timestamp) {
        self.0.retain(|_, (until, _)| *until > now);
        if self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.0.remove(&name));
        }
        self.0.insert(name, (now.plus(life), thing));
    }

    /// Gives a thing away; it is there no more.
    pub(super) fn take(&mut self, name: &str, now: Timestamp) -> Option<T> {
        self.0.remove(name).filter(|(until, _)| *until > now).map(|(_, thing)| thing)
    }

    /// Shows a thing.
    pub(super) fn get(&self, name: &str, now: Timestamp) -> Option<&T> {
        self.0.get(name).filter(|(until, _)| *until > now).map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_taken_once_and_in_its_time() {
        let (now, life) = (Timestamp::from_millis(0), Duration::from_mins(1));
        let mut things = Once::default();
        for name in ["a", "b"] {
            things.put(name.to_owned(), name, life, now);
        }
        assert_eq!(things.get("a", now), Some(&"a"));
        assert_eq!((things.take("a", now), things.take("a", now)), (Some("a"), None));
        assert_eq!(things.take("b", now.plus(life)), None);
    }

    #[test]
    fn who_asks_without_end_loses_the_oldest() {
        let mut things = Once::default();
        for second in 0..=1000 {
            let now = Timestamp::from_millis(second);
            things.put(second.to_string(), second, Duration::from_mins(1), now);
        }
        let now = Timestamp::from_millis(1001);
        assert_eq!((things.get("0", now), things.get("1", now)), (None, Some(&1)));
    }
}
