//! What is wrong with a rule or an intent file, and what to do about it.

use std::fmt;

/// Why a rule does not run. The others still do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File (and document within it) the rule came from.
    pub origin: String,
    /// Rule id or title, when known.
    pub rule: Option<String>,
    /// Whether the rule is well-formed but uses something this version does not do.
    pub unsupported: bool,
    /// What is wrong, with field or line, and the next step.
    pub message: String,
}

impl Problem {
    /// The rule is malformed.
    pub fn invalid(origin: &str, rule: Option<&str>, message: impl Into<String>) -> Problem {
        Problem {
            origin: origin.to_owned(),
            rule: rule.map(str::to_owned),
            unsupported: false,
            message: message.into(),
        }
    }

    /// The rule is valid, but needs something this version does not do.
    pub fn unsupported(origin: &str, rule: Option<&str>, message: impl Into<String>) -> Problem {
        Problem { unsupported: true, ..Problem::invalid(origin, rule, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if let Some(rule) = &self.rule {
            write!(f, ": {rule}")?;
        }
        let kind = if self.unsupported { "unsupported" } else { "invalid" };
        write!(f, ": {kind}: {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// A failure inside one rule, before its file and id are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Malformed.
    #[error("{0}")]
    Invalid(String),
    /// Valid, but needs something this version does not do.
    #[error("{0}")]
    Unsupported(String),
}

impl RuleError {
    /// Adds where the rule came from.
    pub fn at(self, origin: &str, rule: Option<&str>) -> Problem {
        match self {
            RuleError::Invalid(message) => Problem::invalid(origin, rule, message),
            RuleError::Unsupported(message) => Problem::unsupported(origin, rule, message),
        }
    }
}

/// Shorthand for a malformed rule.
pub(crate) fn invalid<T>(message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError::Invalid(message.into()))
}

/// Shorthand for an unsupported feature.
pub(crate) fn unsupported<T>(message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError::Unsupported(message.into()))
}
