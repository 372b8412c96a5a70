//! Who calls: by client certificate, bearer token or, from a page, by origin.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN};
use tonic::Status;

use super::status;
use crate::domain::caller::{Caller, SubjectName, TokenDigest};

/// The configured callers, found by what they show.
#[derive(Default)]
pub struct CallerDirectory {
    tokens: HashMap<TokenDigest, Arc<Caller>>,
    names: HashMap<SubjectName, Arc<Caller>>,
    origins: HashMap<String, Arc<Caller>>,
}

impl CallerDirectory {
    /// Adds a caller with the digests of its tokens and the names in its certificates.
    #[must_use]
    pub fn with(
        mut self,
        caller: Caller,
        tokens: impl IntoIterator<Item = TokenDigest>,
        names: impl IntoIterator<Item = SubjectName>,
    ) -> Self {
        let caller = Arc::new(caller);
        self.tokens.extend(tokens.into_iter().map(|token| (token, Arc::clone(&caller))));
        self.names.extend(names.into_iter().map(|name| (name, Arc::clone(&caller))));
        let origins = caller.origins.iter().map(|origin| (origin.as_str().to_owned(), Arc::clone(&caller)));
        self.origins.extend(origins);
        self
    }

    /// All origins of pages, for CORS.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.origins.keys().map(String::as_str)
    }

    /// The caller that everything shown agrees on. `names` are those of a verified client certificate; `page` says
    /// whether the call is gRPC-Web, where an `Origin` header counts.
    ///
    /// A certificate without a configured name is no identity (a mesh may have brought it). A bearer token or an
    /// origin that is not configured is a wrong one: nothing else shown makes up for it.
    ///
    /// # Errors
    /// `CALLER_UNKNOWN` if nothing is shown, something wrong is, or two things belong to different callers.
    pub fn identify(
        &self,
        names: &[SubjectName],
        headers: &HeaderMap,
        page: bool,
    ) -> Result<&Arc<Caller>, Status> {
        let mut shown = Shown(None);
        for caller in names.iter().filter_map(|name| self.names.get(name)) {
            shown.agree(caller)?;
        }
        for value in headers.get_all(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer_token).ok_or_else(status::caller_unknown)?;
            let caller = self.tokens.get(&TokenDigest::of(token)).ok_or_else(status::caller_unknown)?;
            shown.agree(caller)?;
        }
        if page {
            for value in headers.get_all(ORIGIN) {
                let origin = value.to_str().map_err(|_| status::caller_unknown())?;
                shown.agree(self.origins.get(origin).ok_or_else(status::caller_unknown)?)?;
            }
        }
        shown.0.ok_or_else(status::caller_unknown)
    }
}

/// The caller that was shown so far.
struct Shown<'c>(Option<&'c Arc<Caller>>);

impl<'c> Shown<'c> {
    fn agree(&mut self, caller: &'c Arc<Caller>) -> Result<(), Status> {
        match self.0 {
            Some(other) if !Arc::ptr_eq(other, caller) => Err(status::caller_unknown()),
            _ => {
                self.0 = Some(caller);
                Ok(())
            }
        }
    }
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
