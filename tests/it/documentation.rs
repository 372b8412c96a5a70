//! The pages say what is so: links lead somewhere, named tests exist, every rpc is written about.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use guardian_auth::config::Config;
use guardian_auth::proto::DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;

/// Pages whose backticked snake-case words are names of tests.
const NAMING_TESTS: [&str; 4] =
    ["README.md", "docs/threat-model.md", "docs/architecture.md", "docs/identifiers.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a directory with this ending, without build output and what begins with a dot.
fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
}

fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(root(), ".md", &mut found);
    assert!(found.len() > 10, "the pages were not found");
    found
}

/// A page without what stands between fences of code.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let kept = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The targets of `[text](target)`.
fn links(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// What stands between single backticks.
fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The anchor of a heading, as code hosts make it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|each| each.is_alphanumeric() || matches!(each, ' ' | '-' | '_'));
    kept.map(|each| if each == ' ' { '-' } else { each }).collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    prose(&read(page)).lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = prose(&read(&page));
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, section) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let leads = target.exists() && (section.is_empty() || anchors(&target).contains(section));
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The names of all functions of the source and of the tests: those of tests that a macro makes are among them.
fn functions() -> BTreeSet<String> {
    let mut sources = Vec::new();
    files(&root().join("src"), ".rs", &mut sources);
    files(&root().join("tests"), ".rs", &mut sources);
    let mut names = BTreeSet::new();
    for source in sources {
        let text = read(&source);
        for rest in text.split("fn ").skip(1) {
            let end = rest.find(|each: char| !each.is_alphanumeric() && each != '_').unwrap_or(rest.len());
            names.insert(rest[..end].to_owned());
        }
    }
    names
}

/// Test names are facts: words joined by three underscores or more.
fn is_test_name(word: &str) -> bool {
    word.matches('_').count() >= 3
        && word.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
        && !word.starts_with("guardian_auth_")
}

#[test]
fn every_named_test_exists() {
    let functions = functions();
    let benchmark = read(&root().join("benches/service/figures.rs"));
    let figures = figures(&benchmark);
    let mut named = 0;
    for page in NAMING_TESTS {
        let text = prose(&read(&root().join(page)));
        for word in quoted(&text).filter(|word| is_test_name(word) && !figures.contains(word)) {
            named += 1;
            assert!(functions.contains(word), "{page} names `{word}`, which is no test");
        }
    }
    assert!(named > 100, "only {named} names were found");
}

#[test]
fn every_rpc_is_written_about() {
    let mut text = read(&root().join("README.md"));
    for page in pages().iter().filter(|page| page.starts_with(root().join("docs"))) {
        text.push_str(&read(page));
    }
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let services = pool.services().filter(|service| service.full_name().starts_with("guardian."));
    let rpcs: Vec<String> = services
        .flat_map(|service| service.methods().map(|rpc| rpc.name().to_owned()).collect::<Vec<_>>())
        .collect();
    assert!(rpcs.len() >= 9);
    let silent: Vec<&String> = rpcs.iter().filter(|rpc| !text.contains(rpc.as_str())).collect();
    assert!(silent.is_empty(), "no page writes about {silent:?}");
}

/// The commands that the README tells people to run exist.
#[test]
fn every_command_is_written_about_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_guardian-auth")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let commands: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let readme = read(&root().join("README.md"));
    for command in commands.iter().filter(|command| **command != "help") {
        let written =
            [format!("guardian-auth {command}"), format!("FILE {command}"), format!("-- {command}")];
        assert!(
            written.iter().any(|form| readme.contains(form.as_str())),
            "the README does not show `{command}`"
        );
    }
    for rest in readme.split("--config FILE ").skip(1) {
        let command = rest.split_whitespace().next().unwrap();
        assert!(commands.contains(&command), "the README shows `{command}`, which is no command");
    }
}

/// The keys of the benchmark's figures, in the order of its table.
fn figures(source: &str) -> Vec<&str> {
    let table = source.split_once("pub const FIGURES").unwrap().1.split_once("];").unwrap().0;
    table.split("figure(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect()
}

/// Every figure of the benchmark has a row in the README, and no other has.
#[test]
fn every_figure_is_in_the_readme_and_no_other() {
    let source = read(&root().join("benches/service/figures.rs"));
    let keys = figures(&source);
    let readme = read(&root().join("README.md"));
    let section = readme.split_once("## Figures").unwrap().1.split_once("\n## ").unwrap().0;
    let rows: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key))
        .collect();
    assert!(!keys.is_empty());
    assert_eq!(rows, keys);
}

/// The configuration that the README calls a whole one is without faults.
#[test]
fn the_configuration_of_the_readme_is_whole() {
    let readme = read(&root().join("README.md"));
    let mut text = readme.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0.to_owned();
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("tls.crt", "a certificate"),
        ("tls.key", "a key"),
        ("postgres-url", "postgres://guardian@localhost/guardian?sslmode=verify-full\n"),
        ("redis-url", "rediss://guardian@localhost:6379/0\n"),
        ("smtp-password", "a password\n"),
        ("master-key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        let quoted = format!("\"{name}\"");
        assert!(text.contains(&quoted), "the README does not name {name}");
        text = text.replace(&quoted, &format!("\"{}\"", path.display()));
    }
    let file = directory.path().join("guardian-auth.toml");
    fs::write(&file, text).unwrap();
    if let Err(faults) = Config::load(Some(&file), std::iter::empty()) {
        let faults: Vec<String> = faults.as_slice().iter().map(ToString::to_string).collect();
        panic!("{}", faults.join("\n"));
    }
}

#[test]
fn no_page_holds_a_path_of_one_machine() {
    // Put together here, so that this file does not hold them itself.
    let places = ["work", "root", "home", "Users"].map(|place| format!("/{place}/"));
    for page in pages() {
        let text = read(&page);
        for place in &places {
            assert!(!text.contains(place.as_str()), "{} holds {place}", page.display());
        }
    }
}
