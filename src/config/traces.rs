//! `traces`: where spans of calls are sent.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::secret::Secret;

use super::form::{Count, Parsed, ReadableFile, Share, Span, Text};
use super::reader::Reader;
use super::url::is_this_machine;

/// A collector that takes OTLP over HTTP, and which calls are traced.
#[derive(Debug)]
pub struct Traces {
    /// Where it takes traces.
    pub endpoint: String,
    /// Sent with each export: names in lower case, and values.
    pub headers: Vec<(String, Secret<String>)>,
    /// The only authorities of its certificate, PEM; `None`: those of the web.
    pub ca_file: Option<PathBuf>,
    /// The part of calls that is traced where the caller did not decide it, 0 to 1.
    pub sample_ratio: f64,
    /// Longest time of one export.
    pub timeout: Duration,
    /// Spans that wait for export at most; more are dropped.
    pub queue: usize,
}

/// Headers that would break the request.
const OWN_HEADERS: [&str; 6] =
    ["content-type", "content-length", "content-encoding", "host", "connection", "transfer-encoding"];

const ENDPOINT: Parsed<String> = Parsed {
    form: "an http or https URL with a path, such as \"http://collector:4318/v1/traces\"",
    parse: endpoint,
};

pub(super) fn read(traces: &mut Reader<'_>) -> Option<Traces> {
    let endpoint =
        traces.required("endpoint", "where a collector takes OTLP over HTTP (protobuf)", &ENDPOINT);
    let meaning = "headers of each export, one `name: value` a line; they need https";
    let secret = traces.optional_secret("headers", meaning, &Text(1..=4000));
    let headers_wanted = traces.is_given("headers") || traces.is_given("headers_file");
    let headers = match &secret {
        None => (!headers_wanted).then(Vec::new),
        Some(text) => parse_headers(traces, text.expose()),
    };
    let ca_wanted = traces.is_given("ca_file");
    let ca_file = traces.optional(
        "ca_file",
        "the only authorities of its certificate, PEM",
        &ReadableFile,
        "the public authorities (Mozilla's list)",
    );
    let sample_ratio = traces.or(
        "sample_ratio",
        "part of the calls that is traced where no caller of ours decided it by `traceparent`",
        &Share,
        0.1,
    );
    let timeout = traces.or(
        "timeout",
        "longest time of one export",
        &Span(Duration::from_secs(1)..=Duration::from_mins(1)),
        Duration::from_secs(10),
    );
    let queue =
        traces.or("queue", "spans that wait for export; more are dropped", &Count(64..=65_536_usize), 4096);
    if let Some(endpoint) = endpoint.as_deref().filter(|endpoint| endpoint.starts_with("http://")) {
        if headers_wanted && !is_here(endpoint) {
            traces.fault(
                "endpoint",
                "would send `headers` without TLS",
                "write https, or remove the headers",
            );
        }
        if ca_wanted {
            traces.fault("ca_file", "is given for an endpoint without TLS", "write https, or remove it");
        }
    }
    if ca_wanted && ca_file.is_none() {
        return None;
    }
    Some(Traces { endpoint: endpoint?, headers: headers?, ca_file, sample_ratio, timeout, queue })
}

/// In a cluster a collector is usually reached without TLS, and spans hold nothing that must not be seen there.
fn endpoint(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let (authority, path) = rest.split_once('/')?;
    let formed = !authority.is_empty()
        && !authority.starts_with(':')
        && text.len() <= 500
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte))
        && !path.is_empty()
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    formed.then(|| text.to_owned())
}

fn is_here(endpoint: &str) -> bool {
    let authority =
        endpoint.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, _port)) if !authority.ends_with(']') => host,
        Some(_) | None => authority,
    };
    is_this_machine(host)
}

fn parse_headers(traces: &Reader<'_>, text: &str) -> Option<Vec<(String, Secret<String>)>> {
    let headers: Option<Vec<_>> =
        text.lines().filter(|line| !line.trim().is_empty()).map(parse_header).collect();
    if headers.is_none() {
        let given = if traces.is_given("headers") { "headers" } else { "headers_file" };
        let what = "has a line that is no header of ours to set";
        traces.fault(given, what, "write one `name: value` a line, such as `authorization: Bearer …`");
    }
    headers
}

fn parse_header(line: &str) -> Option<(String, Secret<String>)> {
    let (name, value) = line.split_once(':')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let named = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        && !OWN_HEADERS.contains(&name.as_str());
    let visible = !value.is_empty() && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (named && visible).then(|| (name, Secret::new(value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_path_and_name_no_user() {
        for good in [
            "http://collector:4318/v1/traces",
            "https://otlp.example.se/v1/traces",
            "http://[::1]:4318/v1/traces",
            "http://otel-collector.monitoring.svc:4318/custom",
        ] {
            assert_eq!(endpoint(good).as_deref(), Some(good));
        }
        for bad in [
            "",
            "collector:4318",
            "http://collector:4318",
            "http://collector:4318/",
            "grpc://collector:4317/x",
            "https://user:pass@collector/v1/traces",
            "https://collector/v1/traces?key=x",
            "https:///v1/traces",
            "http://:4318/v1/traces",
        ] {
            assert_eq!(endpoint(bad), None, "{bad}");
        }
    }

    #[test]
    fn headers_are_names_and_visible_values() {
        let (name, value) = parse_header("Authorization:  Bearer abc ").unwrap();
        assert_eq!((name.as_str(), value.expose().as_str()), ("authorization", "Bearer abc"));
        for bad in ["", "x", "x:", ": y", "a b: c", "host: other", "x: \u{e5}", "content-type: text/plain"] {
            assert!(parse_header(bad).is_none(), "{bad}");
        }
    }
}
