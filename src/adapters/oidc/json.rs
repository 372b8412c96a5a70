//! JSON objects in which no member is named twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use crate::domain::oidc::Claims;

/// The members of an object by name. Two readers of a text that names a member twice may each believe another value, so
/// such a text is none.
pub(super) struct Members(BTreeMap<String, Value>);

impl fmt::Debug for Members {
    /// Hides the members: they are tokens and claims of people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Members(…)")
    }
}

impl Members {
    /// Reads an object; `None` if the text is none, goes on after it, or names a member twice.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// A member that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A member that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A member that is a `NumericDate` (RFC 7519 §2), in whole seconds since the Unix epoch; a fraction is cut off.
    pub(super) fn seconds(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a number beyond the range becomes its end")]
        value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
    }

    /// The members as claims: numbers and flags as their text, lists as each of their texts. An object is no claim that
    /// could name somebody, nor is a list with one in it.
    pub(super) fn claims(&self) -> Claims {
        self.0.iter().filter_map(|(name, value)| Some((name.clone(), texts(value)?))).collect()
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(scalar).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            scalar(value).map(|text| vec![text])
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_named_twice_makes_the_text_unreadable() {
        assert!(Members::read(br#"{"sub":"a","aud":"b"}"#).is_some());
        assert!(Members::read(br#"{"sub":"a","sub":"a"}"#).is_none());
        // The same name, written with an escape.
        assert!(Members::read(br#"{"sub":"a","su\u0062":"b"}"#).is_none());
    }

    #[test]
    fn what_is_no_object_is_unreadable() {
        for text in ["", "[]", "\"a\"", "{", "{}x", "null", "{\"a\":\"\u{1}\"}"] {
            assert!(Members::read(text.as_bytes()).is_none(), "{text}");
        }
        let deep = format!("{{\"a\":{}", "[".repeat(10_000));
        assert!(Members::read(deep.as_bytes()).is_none());
    }

    #[test]
    fn a_date_is_a_number() {
        let members = Members::read(br#"{"a":12,"b":12.9,"c":"12","d":1e300,"e":null}"#).unwrap();
        assert_eq!(members.seconds("a"), Some(12));
        assert_eq!(members.seconds("b"), Some(12));
        assert_eq!(members.seconds("c"), None);
        assert_eq!(members.seconds("d"), Some(i64::MAX));
        assert_eq!(members.seconds("e"), None);
    }

    #[test]
    fn objects_are_no_claims() {
        let text = br#"{"a":"x","b":7,"c":true,"d":["x",1],"e":{"x":1},"f":null,"g":["x",{}],"h":[]}"#;
        let claims = Members::read(text).unwrap().claims();
        let all: Vec<(&str, Vec<&str>)> = claims
            .iter()
            .map(|(name, of)| (name.as_str(), of.iter().map(String::as_str).collect()))
            .collect();
        let expected: [(&str, Vec<&str>); 5] =
            [("a", vec!["x"]), ("b", vec!["7"]), ("c", vec!["true"]), ("d", vec!["x", "1"]), ("h", vec![])];
        assert_eq!(all, expected);
    }
}
