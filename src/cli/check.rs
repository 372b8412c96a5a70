//! `check`: says everything that is wrong with a configuration, then which dependencies answer.

use std::io::{self, Write};
use std::path::Path;

use crate::config::{Config, Faults};

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration has faults, all of them reported.
    #[error("the configuration has {} fault(s)", .0.as_slice().len())]
    Configuration(Faults),
    /// Dependencies do not answer, each of them reported.
    #[error("{failed} of {probed} dependencies do not answer")]
    Dependencies {
        /// How many do not answer.
        failed: usize,
        /// How many were asked.
        probed: usize,
    },
    /// The output is gone.
    #[error("the report cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Error {
    /// 64 (`EX_USAGE`) if the configuration must change, 1 for the rest.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 64,
            Self::Dependencies { .. } | Self::Output(_) => 1,
        }
    }
}

/// Reads the whole configuration and reports it: a line a fault, or a summary.
///
/// # Errors
/// [`Error::Configuration`] after reporting, [`Error::Output`].
pub fn configuration(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    out: &mut impl Write,
) -> Result<Config, Error> {
    let name = path.map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
    match Config::load(path, environment) {
        Ok(config) => {
            let (organizations, callers) = (config.organizations.len(), config.callers.len());
            writeln!(
                out,
                "ok    configuration  {name}: {organizations} organization(s), {callers} caller(s)"
            )?;
            Ok(config)
        }
        Err(faults) => {
            let count = faults.as_slice().len();
            writeln!(out, "FAIL  configuration  {name}: {count} fault(s)")?;
            for fault in faults.as_slice() {
                writeln!(out, "      - {fault}")?;
            }
            Err(Error::Configuration(faults))
        }
    }
}

/// Reports what probing the dependencies found: a name each, with what was found or why it failed.
///
/// # Errors
/// [`Error::Dependencies`] after reporting all, [`Error::Output`].
pub fn dependencies<N: AsRef<str>>(
    probes: &[(N, Result<String, String>)],
    out: &mut impl Write,
) -> Result<(), Error> {
    let widths = probes.iter().map(|(name, _)| name.as_ref().len());
    let width = widths.chain(["configuration".len()]).max().unwrap_or_default();
    for (name, probe) in probes {
        let name = name.as_ref();
        match probe {
            Ok(found) => writeln!(out, "ok    {name:width$}  {found}")?,
            Err(cause) => writeln!(out, "FAIL  {name:width$}  {cause}")?,
        }
    }
    let failed = probes.iter().filter(|(_, probe)| probe.is_err()).count();
    if failed > 0 { Err(Error::Dependencies { failed, probed: probes.len() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dependency_has_its_line_also_after_one_that_failed() {
        let probes =
            [("store", Err("connection refused".to_owned())), ("limits", Ok("redis 7.2, 1 ms".to_owned()))];
        let mut out = Vec::new();
        let result = dependencies(&probes, &mut out);
        let expected = "FAIL  store          connection refused\nok    limits         redis 7.2, 1 ms\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(
            matches!(&result, Err(error @ Error::Dependencies { failed: 1, probed: 2 }) if error.exit_code() == 1)
        );
    }

    #[test]
    fn faults_are_reported_and_exit_64() {
        let mut out = Vec::new();
        let error = configuration(None, std::iter::empty(), &mut out).unwrap_err();
        assert_eq!(error.exit_code(), 64);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("FAIL  configuration  environment: "), "{out}");
        assert!(out.contains("\n      - issuer: is required"), "{out}");
    }
}
