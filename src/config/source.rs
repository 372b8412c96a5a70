//! Where the configuration comes from, to be read again while the service runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::Config;
use super::fault::Faults;
use crate::domain::secret::Secret;

/// The file and the variables that a configuration is read from. No Debug: variables may hold secrets.
pub struct Source {
    path: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

/// What files held: a digest each, none for a file that cannot be read.
pub type Seen = BTreeMap<PathBuf, Option<[u8; 32]>>;

/// What a reading gave.
pub struct Reading {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, Faults>,
    /// What the configuration file and all files that it names held.
    pub seen: Seen,
    /// Whether all files hold the same after the reading, so that they belong together.
    pub is_settled: bool,
}

/// Whether files are read for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pass {
    /// Each is read once: it may be a pipe.
    #[default]
    First,
    /// Only files: a pipe gives nothing twice, and may keep its reader waiting for ever.
    Again,
}

impl Pass {
    /// Whether what is there under this name may be opened.
    pub(super) fn may_open(self, path: &Path) -> bool {
        self == Self::First || !is_no_file(path)
    }
}

impl Source {
    /// A configuration file, if there is one, and the variables over it, which stay what they are.
    pub fn new(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Self {
        Self { path: path.map(Path::to_owned), environment: environment.collect() }
    }

    /// Reads the configuration for the first time, and what its files held then.
    pub fn read_once(&self) -> (Result<Config, Faults>, Seen) {
        self.load(Pass::First)
    }

    /// Reads it again.
    pub fn read_again(&self) -> Reading {
        let (config, seen) = self.load(Pass::Again);
        Reading { config, is_settled: look(seen.keys()) == seen, seen }
    }

    fn load(&self, pass: Pass) -> (Result<Config, Faults>, Seen) {
        Config::load_with_files(self.path.as_deref(), self.environment.iter().cloned(), pass)
    }
}

/// What files hold now. Kubernetes replaces mounted files by moving a link: each is opened anew by its name.
pub fn look<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Seen {
    files.into_iter().map(|path| (path.clone(), look_at(path))).collect()
}

/// The first of these that is something else than a file, such as a pipe: what comes from there cannot be read again.
pub fn first_that_is_no_file(seen: &Seen) -> Option<&Path> {
    seen.keys().map(PathBuf::as_path).find(|path| is_no_file(path))
}

/// What one of them holds now; none for what cannot be read, or not twice.
pub(super) fn look_at(path: &Path) -> Option<[u8; 32]> {
    if is_no_file(path) {
        return None;
    }
    let content = Secret::new(std::fs::read(path).ok()?);
    held(content.expose())
}

/// For [`Seen`].
pub(super) fn held(content: &[u8]) -> Option<[u8; 32]> {
    digest(&SHA256, content).as_ref().try_into().ok()
}

/// Whether something is there that is no file.
fn is_no_file(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file())
}
