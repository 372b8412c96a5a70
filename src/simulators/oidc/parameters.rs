//! Parameters of a request, each once (RFC 6749 §3.1).

use std::collections::BTreeMap;

/// Parameters by name; the empty ones are as those that are not there.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// `None` if one is there twice.
    pub(super) fn new(pairs: Vec<(String, String)>) -> Option<Self> {
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if parameters.insert(name, value).is_some() {
                return None;
            }
        }
        Some(Self(parameters))
    }

    /// A parameter that is there.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
