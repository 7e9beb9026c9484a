//! `logq-collector test`: runs the tests of a configuration.

use super::{EXIT_CONFIG, EXIT_OK, EXIT_TESTS, report, say};
use crate::cases;
use crate::config::{Config, ConfigError};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the tests of a configuration and of further files.
pub fn run(path: &Path, mut config: Config, files: &[PathBuf]) -> u8 {
    for file in files {
        match load(file, &config) {
            Ok(more) => config.tests.extend(more),
            Err(error) => {
                report(&anyhow::Error::new(error));
                return EXIT_CONFIG;
            }
        }
    }
    if config.tests.is_empty() {
        report(&anyhow::anyhow!(
            "{}: there are no tests; add [[tests]] or name a file with --tests",
            path.display()
        ));
        return EXIT_CONFIG;
    }
    let (mut text, mut failed) = (String::new(), 0);
    for case in &config.tests {
        let failures = match cases::run(&config, case) {
            Ok(failures) => failures,
            Err(message) => vec![cases::Failure(message)],
        };
        failed += usize::from(!failures.is_empty());
        let _ = writeln!(text, "{} {}", if failures.is_empty() { "ok  " } else { "FAIL" }, case.name);
        for line in failures.iter().flat_map(|failure| failure.0.lines()) {
            let _ = writeln!(text, "       {line}");
        }
    }
    let _ = writeln!(text, "{} passed, {failed} failed", config.tests.len() - failed);
    match say(&text).code() {
        EXIT_OK if failed > 0 => EXIT_TESTS,
        code => code,
    }
}

/// Tests in a file of their own: nothing but `[[tests]]`.
fn load(path: &Path, config: &Config) -> Result<Vec<cases::Case>, ConfigError> {
    let key = |key: String, message: String| ConfigError::Key { path: path.to_owned(), key, message };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let mut table = text.parse::<toml::Table>().map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let tests = cases::read(&mut table, &|name| std::env::var(name).ok())
        .map_err(|problem| key(problem.key, problem.message))?;
    if let Some(other) = table.keys().next() {
        return Err(key(other.clone(), "has no place in a file of tests; only [[tests]] has".to_owned()));
    }
    cases::check(&tests, config).map_err(|problem| key(problem.key, problem.message))?;
    Ok(tests)
}
