//! Where the configuration comes from, to be read again while the service runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::Config;
use super::fault::Faults;

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
    /// Whether all files held the same before and after the reading, so that they belong together.
    pub is_settled: bool,
}

impl Source {
    /// A configuration file, if there is one, and the variables over it, which stay what they are.
    pub fn new(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Self {
        Self { path: path.map(Path::to_owned), environment: environment.collect() }
    }

    /// Reads the configuration, and what its files hold.
    pub fn read(&self) -> Reading {
        let before = self.look_at(&self.load().1);
        let (config, files) = self.load();
        let seen = self.look_at(&files);
        Reading { config, is_settled: seen == before, seen }
    }

    fn load(&self) -> (Result<Config, Faults>, Vec<PathBuf>) {
        Config::load_with_files(self.path.as_deref(), self.environment.iter().cloned())
    }

    fn look_at(&self, files: &[PathBuf]) -> Seen {
        look(self.path.iter().chain(files))
    }
}

/// What files hold now. Kubernetes replaces mounted files by moving a link: each is opened anew by its name.
pub fn look<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Seen {
    let held = |path: &PathBuf| {
        let content = std::fs::read(path).ok()?;
        <[u8; 32]>::try_from(digest(&SHA256, &content).as_ref()).ok()
    };
    files.into_iter().map(|path| (path.clone(), held(path))).collect()
}
