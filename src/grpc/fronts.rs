//! Hands each request to the front of its time: one request sees one configuration, whatever is read meanwhile.

use std::sync::{Arc, PoisonError, RwLock};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

use super::connection::{Answer, Connection};
use super::front::Front;

/// A front, and the requests that it has not answered yet.
struct Standing {
    front: Arc<Front>,
    requests: TaskTracker,
}

impl Standing {
    fn new(front: Front) -> Self {
        Self { front: Arc::new(front), requests: TaskTracker::new() }
    }
}

/// Answers with the front that stands when a request comes in.
pub struct Fronts(RwLock<Standing>);

impl Fronts {
    /// With a first front.
    pub fn new(front: Front) -> Self {
        Self(RwLock::new(Standing::new(front)))
    }

    /// From now on, requests go to `front`. What is returned ends when the one before has answered all of its requests;
    /// streams are answered when they begin.
    pub fn replace(&self, front: Front) -> TaskTracker {
        let mut standing = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *standing, Standing::new(front));
        before.requests.close();
        before.requests
    }
}

impl Answer for Fronts {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        let (front, _unanswered) = {
            let standing = self.0.read().unwrap_or_else(PoisonError::into_inner);
            // Taken under the lock: who replaces the front waits for this request.
            (Arc::clone(&standing.front), standing.requests.token())
        };
        front.answer(request, connection).await
    }
}
