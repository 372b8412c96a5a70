//! The table of metrics in docs/operations.md and the metrics of a running service are the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::service::{Attempt, KOMMUN, Parts, Service};

/// Names in the first column of the table.
fn documented() -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let section = page.split_once("\n## Metrics\n").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `guardian_auth_"));
    let names: BTreeSet<String> = rows
        .filter(|row| {
            row.contains("| counter |") || row.contains("| gauge |") || row.contains("| histogram |")
        })
        .map(|row| format!("guardian_auth_{}", row.split_once('`').unwrap().0))
        .collect();
    assert!(names.len() > 10, "the table was not found");
    names
}

/// Names as `# TYPE` lines tell them: counters with the `_total` of their samples.
fn served(metrics: &str) -> BTreeSet<String> {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect()
}

/// Names in the source: metrics whose labels were never counted are not served. A unit or `_total` may follow.
fn in_source(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_source(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let literals = text.split('"').filter(|part| part.starts_with("guardian_auth_"));
            names.extend(
                literals
                    .filter(|part| part.chars().all(|each| each.is_ascii_lowercase() || each == '_'))
                    .map(str::to_owned),
            );
        }
    }
}

#[tokio::test]
async fn the_documentation_has_every_metric_and_no_other() {
    let documented = documented();
    let service = Service::start(Parts::Shared).await;
    // A login counts most of them.
    service.portal(KOMMUN).await.log_in(Attempt::new("nobody", "not the password")).await.unwrap_err();
    let served = served(&service.metrics().await);
    assert!(served.len() > 15, "{served:?}");
    let unknown: Vec<_> = served.difference(&documented).collect();
    assert!(unknown.is_empty(), "served and not in docs/operations.md: {unknown:?}");

    let mut source = BTreeSet::new();
    in_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let base = |name: &String| {
        let base = name.trim_end_matches("_total").to_owned();
        if source.contains(&base) { base } else { base.trim_end_matches("_seconds").to_owned() }
    };
    let bases: BTreeSet<String> = documented.iter().map(base).collect();
    let gone: Vec<_> = bases.difference(&source).collect();
    assert!(gone.is_empty(), "in docs/operations.md and not in the source: {gone:?}");
    let silent: Vec<_> = source.difference(&bases).collect();
    assert!(silent.is_empty(), "in the source and not in docs/operations.md: {silent:?}");
}
