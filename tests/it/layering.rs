//! Data moves one way through the floors: this table says which floor may name which, and the source is read for it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::rust_source::{paths, tokens, without_tests};

/// A floor: its module under `src`, the floors that it may name besides itself, and the outside paths that it may
/// not.
struct Floor {
    name: &'static str,
    may_name: &'static [&'static str],
    may_not_use: &'static [&'static str],
}

const FLOORS: &[Floor] = &[
    Floor { name: "proto", may_name: &[], may_not_use: &[] },
    // Of the ports, their types only: it asks them nothing.
    Floor {
        name: "grpc",
        may_name: &["flows", "ports", "domain", "proto", "telemetry"],
        may_not_use: STORES,
    },
    Floor { name: "flows", may_name: &["ports", "domain"], may_not_use: WIRES_AND_STORES },
    Floor { name: "ports", may_name: &["domain"], may_not_use: WIRES_AND_STORES },
    Floor { name: "domain", may_name: &[], may_not_use: IMPURE },
    Floor { name: "adapters", may_name: &["ports", "domain", "telemetry"], may_not_use: &["tonic"] },
    // The stand-in for a portal calls us over the wire, as a portal does.
    Floor {
        name: "simulators",
        may_name: &["ports", "domain", "telemetry", "proto"],
        may_not_use: &["sqlx", "redis"],
    },
    Floor { name: "config", may_name: &["domain"], may_not_use: STORES },
    Floor { name: "telemetry", may_name: &["config", "domain"], may_not_use: STORES },
    Floor {
        name: "app",
        may_name: &[
            "proto",
            "grpc",
            "flows",
            "ports",
            "domain",
            "adapters",
            "simulators",
            "config",
            "telemetry",
        ],
        may_not_use: &[],
    },
    // What an adapter does, it asks of `app`.
    Floor {
        name: "cli",
        may_name: &["app", "config", "flows", "ports", "domain", "telemetry"],
        may_not_use: STORES,
    },
    Floor { name: "main", may_name: &["cli", "config", "telemetry", "app"], may_not_use: STORES },
    // Declares the floors and names none.
    Floor { name: "lib", may_name: &[], may_not_use: &[] },
];

const STORES: &[&str] = &["sqlx", "redis"];

/// Of `opentelemetry`, flows take the context along to a task; they open no span.
const WIRES_AND_STORES: &[&str] = &[
    "sqlx",
    "redis",
    "tonic",
    "tonic_types",
    "tonic_health",
    "http",
    "hyper",
    "hyper_util",
    "axum",
    "opentelemetry::trace",
    "opentelemetry_sdk",
];

/// The domain is pure: no async, no clock, no chance, no I/O, no serde.
const IMPURE: &[&str] = &[
    "async_trait",
    "aws_lc_rs::rand",
    "axum",
    "futures_util",
    "governor",
    "http",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_sdk",
    "prost",
    "prost_types",
    "redis",
    "serde",
    "serde_json",
    "sqlx",
    "std::env",
    "std::fs",
    "std::future",
    "std::io",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "toml",
    "tonic",
    "tonic_types",
    "tracing",
    // Keywords, which are paths of one word here.
    "async",
    "await",
];

#[test]
fn floors_name_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut breaches = Vec::new();
    for file in rust_files(&root.join("src")) {
        let relative = file.strip_prefix(root.join("src")).expect("a file below src");
        breaches.extend(check(relative, &read(&file)));
    }
    assert!(breaches.is_empty(), "{}", lines(&breaches));
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut silent: Vec<String> = ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"]
        .iter()
        .flat_map(|directory| rust_files(&root.join(directory)))
        .filter(|file| !opens_with_purpose(&read(file)))
        .map(|file| format!("{}:1: does not open with a `//!` sentence", file.display()))
        .collect();
    silent.sort();
    assert!(silent.is_empty(), "{}", lines(&silent));
}

/// A file that no module declares is not compiled, and its tests are silently not run.
#[test]
fn every_test_file_is_declared() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = read(&tests.join("main.rs"));
    let forgotten: Vec<String> = fs::read_dir(&tests)
        .expect("the directory of this test")
        .map(|entry| entry.expect("a readable directory").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned())
        .filter(|name| name != "main" && !main.lines().any(|line| line == format!("mod {name};")))
        .map(|name| format!("tests/it/main.rs:1: no `mod {name};`"))
        .collect();
    assert!(forgotten.is_empty(), "{}", lines(&forgotten));
}

fn opens_with_purpose(source: &str) -> bool {
    source
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
        .is_some_and(|text| !text.trim().is_empty())
}

/// The test above would pass on an empty house, and so would a checker that finds nothing.
#[test]
fn the_checker_reports_made_up_breaches() {
    let found = |file: &str, source: &str| -> Vec<String> {
        check(Path::new(file), source).iter().map(ToString::to_string).collect()
    };
    let one = |file: &str, source: &str, expected: &str| {
        assert_eq!(found(file, source), [expected], "{file}: {source}");
    };
    one("domain/a.rs", "//! A.\nuse crate::ports::Store;", "src/domain/a.rs:2: domain may not name ports");
    one("domain/a/b.rs", "use super::super::super::flows;", "src/domain/a/b.rs:1: domain may not name flows");
    one("domain/mod.rs", "fn f() { super::grpc::g() }", "src/domain/mod.rs:1: domain may not name grpc");
    one(
        "ports/a.rs",
        "use crate::{\n  domain::x,\n  adapters::{y, z},\n};",
        "src/ports/a.rs:3: ports may not name adapters",
    );
    one("flows/a.rs", "use super::{b, super::{app, domain}};", "src/flows/a.rs:1: flows may not name app");
    one(
        "flows/a.rs",
        "mod m { use super::super::super::cli::X; }",
        "src/flows/a.rs:1: flows may not name cli",
    );
    one("flows/a.rs", "fn f(x: &crate :: adapters :: Y) {}", "src/flows/a.rs:1: flows may not name adapters");
    one("flows/a.rs", "pub(in crate::grpc) struct S;", "src/flows/a.rs:1: flows may not name grpc");
    one("flows/a.rs", "use {std::fmt, crate::config as c};", "src/flows/a.rs:1: flows may not name config");
    one("flows/a.rs", "use crate::*;", "src/flows/a.rs:1: flows may not name *");
    one("flows/a.rs", "use crate as house;", "src/flows/a.rs:1: flows may not name the whole house");
    one("proto.rs", "use crate::domain;", "src/proto.rs:1: proto may not name domain");
    one("cli/serve.rs", "use crate::adapters::S;", "src/cli/serve.rs:1: cli may not name adapters");
    one("app.rs", "use crate::cli::C;", "src/app.rs:1: app may not name cli");
    one("main.rs", "use guardian_auth::domain;", "src/main.rs:1: main may not name domain");
    one("app.rs", "use crate::cellar::Wine;", "src/app.rs:1: app may not name cellar");
    one("cellar/wine.rs", "", "src/cellar/wine.rs:1: cellar is not a floor of tests/it/layering.rs");

    one("domain/a.rs", "use serde::Serialize;", "src/domain/a.rs:1: domain may not use serde");
    one(
        "domain/a.rs",
        "#[derive(::serde::Serialize)] struct S;",
        "src/domain/a.rs:1: domain may not use serde",
    );
    one(
        "domain/a.rs",
        "use std::time::{Duration, SystemTime};",
        "src/domain/a.rs:1: domain may not use std::time::SystemTime",
    );
    one("domain/a.rs", "let x = \"\\\"\"; async fn f() {}", "src/domain/a.rs:1: domain may not use async");
    one("domain/a.rs", "r#\"\n\"# ; x.await", "src/domain/a.rs:2: domain may not use await");
    one("domain/a.rs", "use tokio;", "src/domain/a.rs:1: domain may not use tokio");
    one(
        "domain/a.rs",
        "#[cfg(test)]\nmod tests { use tokio::x; }\nuse tokio::y;",
        "src/domain/a.rs:3: domain may not use tokio",
    );
    one("flows/a.rs", "extern crate sqlx;", "src/flows/a.rs:1: flows may not use sqlx");
    one("flows/a.rs", "use std::{io, fmt}; use {http::Uri};", "src/flows/a.rs:1: flows may not use http");
    one("flows/a.rs", "#[tonic::async_trait] trait T {}", "src/flows/a.rs:1: flows may not use tonic");

    let none = |file: &str, source: &str| assert_eq!(found(file, source), [""; 0], "{file}: {source}");
    none("domain/a.rs", "// crate::ports\n/* use tokio::x; /* nested */ crate::app */");
    none(
        "domain/a.rs",
        "const A: &str = \"use crate::ports;\"; const B: char = '\"'; fn f<'a>(x: &'a str) {}",
    );
    none(
        "domain/a.rs",
        "const A: &str = r##\"crate::app \"# tokio::x\"##; const B: &[u8] = b\"crate::app\";",
    );
    none(
        "domain/a.rs",
        "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests { use crate::ports; fn f() { async {} } }",
    );
    none("domain/a.rs", "#[cfg(test)]\nuse tokio::test;\npub(crate) use crate::domain::b;");
    none("domain/a/b.rs", "use super::c; use super::super::d; mod m { use super::super::ports; }");
    none("domain/a.rs", "let tokio = redis; struct S { serde: u8 } m::serde::f();");
    none("flows/a.rs", "use super::b; use crate::{flows::c, ports::{self, S}, domain}; async fn f() {}");
    none("grpc/a.rs", "use crate::{flows, ports, domain, proto, telemetry};");
    none("main.rs", "use guardian_auth::{app, cli};");
}

struct Breach {
    file: PathBuf,
    line: usize,
    text: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file.display(), self.line, self.text)
    }
}

/// Checks one file; `file` is its path below `src`.
fn check(file: &Path, source: &str) -> Vec<Breach> {
    let module = module_of(file);
    let floor_name =
        module.first().map_or_else(|| file.file_stem().unwrap_or_default().to_string_lossy(), Into::into);
    let Some(floor) = FLOORS.iter().find(|floor| floor.name == floor_name) else {
        let text = format!("{floor_name} is not a floor of tests/it/layering.rs");
        return vec![Breach { file: file.to_owned(), line: 1, text }];
    };
    let mut breaches: Vec<Breach> = Vec::new();
    for (line, path) in paths(&without_tests(tokens(source)), &module) {
        let text = if path[0] == "crate" {
            let named = path.get(1).map_or("the whole house", String::as_str);
            let allowed = named == floor.name || floor.may_name.contains(&named);
            (!allowed).then(|| format!("{} may not name {named}", floor.name))
        } else {
            let path = path.join("::");
            let is_within = |outside: &&&str| {
                path.strip_prefix(**outside).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            floor
                .may_not_use
                .iter()
                .find(is_within)
                .map(|outside| format!("{} may not use {outside}", floor.name))
        };
        // The branches of one tree say the same thing often.
        if let Some(text) = text
            && !breaches.iter().any(|known| known.line == line && known.text == text)
        {
            breaches.push(Breach { file: file.to_owned(), line, text });
        }
    }
    breaches
}

/// `domain/a.rs` and `domain/a/mod.rs` are `[domain, a]`; the roots of the two crates are empty.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = module.len() == 1 && (module[0] == "lib" || module[0] == "main");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// Every Rust file below a directory, in order; none if there is no such directory.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn lines(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
