//! A gateway for text messages that speaks as 46elks does.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// What it says when it takes a message.
pub const TAKEN: &str =
    r#"{"status":"created","direction":"outgoing","to":"+46701740635","id":"s70df59406a1b4643b"}"#;

/// A request that came: path, the authorization header, the body.
pub type Heard = (String, String, String);

/// A gateway that gives one answer to all. It ends with the value.
pub struct Gateway {
    /// Its port on 127.0.0.1.
    pub port: u16,
    heard: Arc<Mutex<Vec<Heard>>>,
    serving: AbortHandle,
}

impl Gateway {
    /// A gateway that gives this answer.
    pub async fn answering(
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: impl Into<String>,
    ) -> Self {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let body = body.into();
        let answer =
            move |State(heard): State<Arc<Mutex<Vec<Heard>>>>, uri: Uri, received: HeaderMap, form: Bytes| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let authorization = received.get("authorization").map(|value| text(value.as_bytes()));
                heard.lock().unwrap().push((uri.to_string(), authorization.unwrap_or_default(), text(&form)));
                let mut response: Response = body.clone().into_response();
                *response.status_mut() = status.try_into().unwrap();
                for (name, value) in headers {
                    response.headers_mut().insert(*name, value.parse().unwrap());
                }
                std::future::ready(response)
            };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("a bound port").port();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&heard));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { port, heard, serving }
    }

    /// What it heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
