//! The configuration of traces.

use super::{CANARY, SQLITE, Setting, assert_only};

fn faults(traces: &[(&str, &str)]) -> Vec<String> {
    let named: Vec<(String, &str)> =
        traces.iter().map(|(key, value)| (format!("GUARDIAN_AUTH__TRACES__{key}"), *value)).collect();
    let variables: Vec<(&str, &str)> = named.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    Setting::new().faults(SQLITE, "", &variables)
}

const HTTPS: (&str, &str) = ("ENDPOINT", "https://collector.example.se/v1/traces");
const HTTP: (&str, &str) = ("ENDPOINT", "http://collector:4318/v1/traces");

#[test]
fn there_are_none_unless_asked_for() {
    let setting = Setting::new();
    let config = setting.load(&setting.least(SQLITE, ""), &[]).unwrap();
    assert!(config.traces.is_none());
}

#[test]
fn a_collector_is_read_with_its_defaults_and_its_headers_from_a_file() {
    let setting = Setting::new();
    let headers = setting.write("headers", &format!("Authorization: Bearer {CANARY}\nX-Scope: kommun\n"));
    let tables = format!(
        "[traces]\nendpoint = \"https://collector.example.se/v1/traces\"\nsample_ratio = 0.25\nheaders_file = \"{headers}\"\n"
    );
    let config = setting.load(&setting.least(SQLITE, &tables), &[]).unwrap();
    assert!(!format!("{config:?}").contains(CANARY));
    let traces = config.traces.unwrap();
    assert_eq!((traces.timeout.as_secs(), traces.queue), (10, 4096));
    assert!((traces.sample_ratio - 0.25).abs() < f64::EPSILON);
    let names: Vec<&str> = traces.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["authorization", "x-scope"]);
    assert_eq!(traces.headers[0].1.expose(), &format!("Bearer {CANARY}"));
    for (text, ratio) in [("1", 1.0), ("0", 0.0), ("1.0", 1.0), ("0.001", 0.001)] {
        let setting = Setting::new();
        let tables = format!("[traces]\nendpoint = \"{}\"\nsample_ratio = {text}\n", HTTP.1);
        let traces = setting.load(&setting.least(SQLITE, &tables), &[]).unwrap().traces.unwrap();
        assert!((traces.sample_ratio - ratio).abs() < f64::EPSILON, "{text}");
    }
}

#[test]
fn a_bad_endpoint_is_named_with_what_to_write() {
    for bad in
        ["collector:4317", "https://collector", "https://collector/", "grpc://collector/x", "https://u:p@c/x"]
    {
        let found = faults(&[("ENDPOINT", bad)]);
        assert_only(&found, "traces.endpoint", "is not accepted");
        assert!(found[0].contains("http://collector:4318/v1/traces"), "{found:?}");
    }
    assert_only(&faults(&[("QUEUE", "100")]), "traces.endpoint", "is required");
}

#[test]
fn bounds_of_traces_are_kept() {
    for bad in ["1.1", "-0.1", "NaN", "all", ""] {
        assert_only(&faults(&[HTTP, ("SAMPLE_RATIO", bad)]), "traces.sample_ratio", "is not accepted");
    }
    assert_only(&faults(&[HTTP, ("QUEUE", "63")]), "traces.queue", "is not accepted");
    assert_only(&faults(&[HTTP, ("TIMEOUT", "2m")]), "traces.timeout", "is not accepted");
    assert_only(&faults(&[HTTPS, ("CA_FILE", "/no/such")]), "traces.ca_file", "cannot be read");
    assert_only(&faults(&[HTTPS, ("ENDPOINTS", "x")]), "traces.endpoints", "is not a key");
}

#[test]
fn secrets_for_a_collector_do_not_go_out_in_clear() {
    let header = ("HEADERS", "authorization: Bearer canary-7b1e");
    assert!(faults(&[HTTPS, header]).is_empty());
    assert!(faults(&[("ENDPOINT", "http://localhost:4318/v1/traces"), header]).is_empty());
    assert_only(&faults(&[HTTP, header]), "traces.endpoint", "without TLS");
    for bad in ["canary-7b1e", "host: canary-7b1e", "x y: canary-7b1e", "authorization:"] {
        assert_only(&faults(&[HTTPS, ("HEADERS", bad)]), "traces.headers", "is no header of ours to set");
    }
}
