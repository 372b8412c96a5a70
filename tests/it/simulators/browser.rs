//! A browser without a screen: it keeps cookies, follows redirects and sends forms.

use std::time::Duration;

use reqwest::{Client, Method, Url, redirect};

/// Redirects that are followed from one click.
const MOST_REDIRECTS: usize = 5;

/// A cookie with the path that it is for.
struct Cookie {
    name: String,
    value: String,
    path: String,
}

/// A browser. Everything is at 127.0.0.1, and cookies know no port.
pub(super) struct Browser {
    client: Client,
    cookies: Vec<Cookie>,
}

impl Default for Browser {
    fn default() -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client =
            Client::builder().redirect(redirect::Policy::none()).user_agent("tests/it").build().unwrap();
        Self { client, cookies: Vec::new() }
    }
}

/// What came in the end.
pub(super) struct Page {
    /// Where.
    pub(super) url: String,
    pub(super) status: u16,
    pub(super) body: String,
    /// The last cookie that was set on the way.
    pub(super) set_cookie: Option<String>,
    headers: reqwest::header::HeaderMap,
}

impl Browser {
    pub(super) async fn get(&mut self, url: &str) -> Page {
        self.go(Method::GET, url, &[]).await
    }

    pub(super) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        self.go(Method::POST, url, form).await
    }

    /// Loads a page again until it is as wanted, as pages ask for that wait.
    pub(super) async fn until(
        &mut self,
        url: &str,
        first: Page,
        patience: Duration,
        wanted: impl Fn(&Page) -> bool,
    ) -> Page {
        let mut page = first;
        let all = async {
            while !wanted(&page) {
                page = self.get(url).await;
            }
            page
        };
        tokio::time::timeout(patience, all).await.expect("the page becomes what is wanted")
    }

    async fn go(&mut self, method: Method, url: &str, form: &[(&str, &str)]) -> Page {
        let (mut method, mut url) = (method, Url::parse(url).unwrap());
        let mut set_cookie = None;
        for _ in 0..MOST_REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone());
            if method == Method::POST {
                request = request.header("origin", url.origin().ascii_serialization()).form(form);
            }
            let answer = request.header("cookie", self.cookies_for(url.path())).send().await.unwrap();
            for line in answer.headers().get_all("set-cookie") {
                self.keep(line.to_str().unwrap());
                set_cookie = Some(line.to_str().unwrap().to_owned());
            }
            let status = answer.status().as_u16();
            let location = answer.headers().get("location").map(|it| url.join(it.to_str().unwrap()).unwrap());
            match location {
                Some(next) if status == 303 => (method, url) = (Method::GET, next),
                _ => {
                    let headers = answer.headers().clone();
                    let body = answer.text().await.unwrap();
                    return Page { url: url.into(), status, body, set_cookie, headers };
                }
            }
        }
        panic!("too many redirects");
    }

    fn cookies_for(&self, path: &str) -> String {
        let is_for = |cookie: &&Cookie| {
            path.strip_prefix(&cookie.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let pairs = self.cookies.iter().filter(is_for).map(|it| format!("{}={}", it.name, it.value));
        pairs.collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, line: &str) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attribute = |wanted: &str| line.split("; ").find_map(|part| part.strip_prefix(wanted));
        let path = attribute("Path=").unwrap().to_owned();
        self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
        if attribute("Max-Age=") != Some("0") {
            self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), path });
        }
    }
}

impl Page {
    #[track_caller]
    pub(super) fn has(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.body.contains(part), "{part} in {}\n{}", self.url, self.body);
        }
        self
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The address of the first link that begins like this.
    #[track_caller]
    pub(super) fn link(&self, start: &str) -> String {
        let (_, rest) =
            self.body.split_once(&format!("href=\"{start}")).unwrap_or_else(|| panic!("{}", self.body));
        let path = format!("{start}{}", rest.split('"').next().unwrap());
        Url::parse(&self.url).unwrap().join(&path).unwrap().into()
    }

    /// The first value of an attribute.
    #[track_caller]
    pub(super) fn attribute(&self, name: &str) -> String {
        let (_, rest) =
            self.body.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }

    /// The value of a hidden input.
    #[track_caller]
    pub(super) fn hidden(&self, name: &str) -> String {
        let (_, rest) = self
            .body
            .split_once(&format!("name=\"{name}\" value=\""))
            .unwrap_or_else(|| panic!("{}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}
