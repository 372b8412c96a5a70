//! An `OpenID` provider that the `OpenID` Foundation has certified, and a browser for its pages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use guardian_auth::adapters::http_client::HttpClient;
use reqwest::{Method, Url};
use serde_json::Value;
use tempfile::TempDir;

use super::evil_provider::{Parameters, parameters};
use super::{Process, START_DEADLINE, eventually, find_program, log_tail, told_by_tests_run};

/// Redirects that a login has at most.
const REDIRECTS: usize = 10;

/// The provider, in a process of its own on a loopback port. It ends with the value.
pub struct CertifiedProvider {
    issuer: String,
    log: PathBuf,
    _process: Process,
    _directory: TempDir,
}

impl CertifiedProvider {
    /// Started with a configuration, see `certified_provider/provider.mjs`.
    pub async fn start(configuration: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/certified_provider/provider.mjs");
        let mut command = Command::new(find_program("node", &[]));
        command
            .arg(program)
            .arg(told_by_tests_run("GUARDIAN_AUTH_TEST_CERTIFIED_PROVIDER"))
            .arg(configuration.to_string());
        let mut process = Process::start(&mut command, &log);
        let mut issuer = None;
        eventually(START_DEADLINE, "the certified provider is ready", async || {
            assert!(process.is_running(), "it ended: {}", log_tail(&log));
            issuer = ready(&log);
            issuer.is_some()
        })
        .await;
        Self { issuer: issuer.unwrap(), log, _process: process, _directory: directory }
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The end of its log, for the text of a failure.
    pub fn log(&self) -> String {
        log_tail(&self.log)
    }

    /// Goes where the browser is sent, with cookies, until the provider sends it back to us: the parameters that it
    /// brings.
    pub async fn visit(&self, browser: &HttpClient, url: &str, redirect_uri: &str) -> Parameters {
        let mut cookies = BTreeMap::new();
        let mut at = Url::parse(url).unwrap();
        for _ in 0..REDIRECTS {
            assert!(at.as_str().starts_with(&self.issuer), "the browser is sent to {at}");
            let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = browser.request(Method::GET, at.clone()).header("cookie", jar.join("; "));
            let answer = browser.send(request).await.unwrap();
            assert_eq!(answer.status, 303, "{at}\n{}\n{}", String::from_utf8_lossy(&answer.body), self.log());
            for cookie in answer.headers.get_all("set-cookie") {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
            at = at.join(answer.headers["location"].to_str().unwrap()).unwrap();
            if at.as_str().starts_with(redirect_uri) {
                return parameters(at.query().unwrap_or_default());
            }
        }
        panic!("over {REDIRECTS} redirects");
    }
}

/// The issuer, once the provider has said that it listens.
fn ready(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    // The line is whole when its end is there.
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n')?.strip_prefix("ready "))
        .map(str::to_owned)
        .next()
}
