//! Which of the listed objects are wanted: days, and patterns on their names.

use super::days::{Days, Share};
use globset::{Glob, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// A pattern is not one.
#[derive(Debug, Error)]
#[error("`{pattern}` is no pattern such as `**/CloudTrail/**` or `*.json.gz`")]
pub struct PatternError {
    pattern: String,
    source: Box<globset::Error>,
}

/// What is wanted. Patterns are held against what follows the prefix asked for.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Days.
    pub days: Days,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Choice {
    /// Builds it; without `include`, everything is included.
    ///
    /// # Errors
    /// With the pattern that is not one.
    pub fn new(days: Days, include: &[String], exclude: &[String]) -> Result<Choice, PatternError> {
        Ok(Choice { days, include: set(include)?, exclude: set(exclude)? })
    }

    /// What a folder has of it.
    pub fn share(&self, folder: &str) -> Share {
        self.days.share(folder)
    }

    /// Whether an object is wanted: its whole key for the days, what follows the prefix for the patterns.
    pub fn takes(&self, key: &str, below: &str) -> Verdict {
        if self.include.as_ref().is_some_and(|set| !set.is_match(below))
            || self.exclude.as_ref().is_some_and(|set| set.is_match(below))
        {
            return Verdict::No;
        }
        match self.days.hold(key) {
            Some(true) => Verdict::Yes,
            Some(false) => Verdict::No,
            None => Verdict::Undated,
        }
    }
}

/// Whether an object is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// Days are asked for and its key shows none: it is taken, and counted.
    Undated,
}

fn set(patterns: &[String]) -> Result<Option<GlobSet>, PatternError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let failed =
        |pattern: &str, source| PatternError { pattern: pattern.to_owned(), source: Box::new(source) };
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(Glob::new(pattern).map_err(|source| failed(pattern, source))?);
    }
    builder.build().map(Some).map_err(|source| failed("all together", source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_days_choose_together() {
        let days = Days { since: "2026-11-20".parse().ok(), until: None };
        let choice =
            Choice::new(days, &["*.gz".to_owned()], &["**/CloudTrail-Digest/**".to_owned()]).expect("valid");
        let of = |key: &str| choice.takes(&format!("AWSLogs/{key}"), key);
        assert_eq!(of("1/CloudTrail/r/2026/11/22/a.json.gz"), Verdict::Yes);
        assert_eq!(of("1/CloudTrail/r/2026/11/19/a.json.gz"), Verdict::No);
        assert_eq!(of("1/CloudTrail/r/2026/11/22/a.txt"), Verdict::No);
        assert_eq!(of("1/CloudTrail-Digest/r/2026/11/22/a.json.gz"), Verdict::No);
        assert_eq!(of("a.gz"), Verdict::Undated);
        let error = Choice::new(days, &["[".to_owned()], &[]).expect_err("no pattern");
        assert!(error.to_string().contains("`[`"));
    }
}
