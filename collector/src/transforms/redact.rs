//! Transform `redact`: secrets and personal data are taken out of bodies and attributes before they
//! leave the node.
//!
//! Every body is scanned once for all detectors together; only a body in which one of them strikes
//! is looked at more closely. A match is replaced by text that can't be mistaken for data,
//! `[redacted:<detector>]`, and inside JSON the result is JSON again: a number becomes a string.
//! Bodies that are not UTF-8 are scanned as bytes.

use super::{Counts, Transform, TransformConfig};
use crate::batch::{Batch, Encoding, Record};
use crate::config::component::{Problem, Row, Settings, problem};
use crate::config::options;
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What takes the place of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `[redacted:<detector>]`
    #[default]
    Mask,
    /// `[<detector>:<16 hex digits>]`, a keyed hash: equal secrets stay recognisable as equal.
    Hash,
    /// Nothing.
    Remove,
}

/// Settings of the transform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactSettings {
    /// Names of built-in detectors.
    pub detectors: Vec<String>,
    /// Further expressions by name; a group named `s` limits what is replaced.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub patterns: BTreeMap<String, String>,
    /// What takes the place of a match.
    pub action: Action,
    /// Key of the hash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub salt: String,
}

impl Default for RedactSettings {
    fn default() -> Self {
        let detectors = BUILT_IN.iter().filter(|detector| detector.default);
        Self {
            detectors: detectors.map(|detector| detector.name.to_owned()).collect(),
            patterns: BTreeMap::new(),
            action: Action::Mask,
            salt: String::new(),
        }
    }
}

struct BuiltIn {
    name: &'static str,
    default: bool,
    pattern: &'static str,
}

const fn built_in(name: &'static str, default: bool, pattern: &'static str) -> BuiltIn {
    BuiltIn { name, default, pattern }
}

/// The shapes are those their issuers document. What is replaced is the group `s`, else everything.
const BUILT_IN: [BuiltIn; 15] = [
    built_in(
        "aws_secret_access_key",
        true,
        r#"(?i:secret_?access_?key|aws_secret_key)["'\s\\]*[:=]["'\s\\]*(?P<s>[A-Za-z0-9/+]{40})"#,
    ),
    built_in(
        "aws_session_token",
        true,
        r#"(?i:session_?token|security[_-]token)["'\s\\]*[:=]["'\s\\]*(?P<s>[A-Za-z0-9/+=%]{40,})"#,
    ),
    built_in("bearer_token", true, r"(?i:\b(?:bearer|basic))\s+(?P<s>[A-Za-z0-9\-._~+/]{16,}=*)"),
    built_in("jwt", true, r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    built_in(
        "private_key",
        true,
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<s>[\s\S]+?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    ),
    built_in("credit_card", true, r"\b[2-6][0-9](?:[ -]?[0-9]){11,17}\b"),
    built_in("github_token", true, r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
    built_in("slack_token", true, r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    built_in("url_password", true, r#"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@"]*:(?P<s>[^\s/@"]+)@"#),
    built_in(
        "password",
        true,
        r#"(?i:passw(?:or)?d|pwd|secret|api_?key|(?:access|refresh)_token)["'\\]*\s*[:=]\s*(?:\\?["'](?P<s>[^"'\\]+)|(?P<t>[^\s"'\\,;&{}\[\]]+))"#,
    ),
    built_in("aws_access_key_id", false, r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    built_in("email", false, r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"),
    built_in("us_ssn", false, r"\b[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}\b"),
    built_in(
        "ipv4",
        false,
        r"\b(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\b",
    ),
    built_in("iban", false, r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
];

impl RedactSettings {
    /// Names and expressions of all detectors, built-in ones first.
    fn chosen(&self) -> Vec<(String, String)> {
        let built_in = self.detectors.iter().filter_map(|name| {
            let found = BUILT_IN.iter().find(|detector| detector.name == name)?;
            Some((name.clone(), found.pattern.to_owned()))
        });
        built_in.chain(self.patterns.clone()).collect()
    }
}

impl Settings for RedactSettings {
    const KIND: &'static str = "redact";
    const ABOUT: &'static str =
        "Takes secrets and personal data out of bodies and attributes before they leave the node.";

    #[rustfmt::skip]
    fn options() -> Vec<Row> {
        use options::{none, plain, text};
        let names = |default| {
            let names = BUILT_IN.iter().filter(move |detector| detector.default == default);
            names.map(|detector| format!("`{}`", detector.name)).collect::<Vec<_>>().join(", ")
        };
        vec![
            ("detectors", names(true), "Built-in detectors; further ones: `aws_access_key_id`, `email`, `us_ssn`, `ipv4`, `iban`. Card numbers must pass the Luhn check"),
            ("patterns", none(), "A table of further expressions by name; a group named `s` limits what is replaced"),
            ("action", text("mask"), "`mask`: `[redacted:<detector>]`. `hash`: `[<detector>:<hash>]`, equal values stay equal. `remove`: nothing"),
            ("salt", plain("required with `hash`"), "Key of the hash; without it secrets of few bits could be guessed from their hashes"),
        ]
    }

    fn check(&self, key: &str) -> Result<(), Problem> {
        for name in &self.detectors {
            if !BUILT_IN.iter().any(|detector| detector.name == name) {
                let names: Vec<&str> = BUILT_IN.iter().map(|detector| detector.name).collect();
                let message = format!("`{name}` is no detector; there is {}", names.join(", "));
                return Err(problem(format!("{key}.detectors"), message));
            }
        }
        for (name, pattern) in &self.patterns {
            let regex = compile(pattern).map_err(|error| problem(format!("{key}.patterns.{name}"), error))?;
            if regex.is_match(b"") {
                let message = "matches nothing at all, and so everywhere";
                return Err(problem(format!("{key}.patterns.{name}"), message));
            }
        }
        if self.action == Action::Hash && self.salt.is_empty() {
            return Err(problem(format!("{key}.salt"), "is needed with action = \"hash\""));
        }
        if self.chosen().is_empty() {
            return Err(problem(format!("{key}.detectors"), "must name at least one detector or pattern"));
        }
        Ok(())
    }
}

impl TransformConfig for RedactSettings {
    fn build(&self, _name: &str) -> Result<Box<dyn Transform>, String> {
        let chosen = self.chosen();
        let set = RegexSetBuilder::new(chosen.iter().map(|(_, pattern)| pattern)).unicode(false).build();
        let detector = |(name, pattern): &(String, String)| {
            Ok(Detector { name: name.clone(), regex: compile(pattern)?, luhn: name == "credit_card" })
        };
        Ok(Box::new(Redact {
            set: set.map_err(|error| error.to_string())?,
            detectors: chosen.iter().map(detector).collect::<Result<_, String>>()?,
            action: self.action,
            salt: self.salt.clone(),
        }))
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).unicode(false).build().map_err(|error| error.to_string())
}

#[derive(Debug)]
struct Detector {
    name: String,
    regex: Regex,
    luhn: bool,
}

#[derive(Debug)]
struct Redact {
    set: RegexSet,
    detectors: Vec<Detector>,
    action: Action,
    salt: String,
}

impl Transform for Redact {
    fn apply(&mut self, batch: &mut Batch, records: &mut Vec<Record>, counts: &mut Counts) {
        for record in records {
            if let Some(clean) = self.clean(batch.bytes(record.body)) {
                record.body = batch.push(&clean);
                record.encoding = Encoding::Unchecked;
                counts.changed += 1;
            }
            if !record.extra.is_empty()
                && let Some(clean) = self.clean(batch.bytes(record.extra))
            {
                record.extra = batch.push(&clean);
            }
        }
    }
}

impl Redact {
    /// The text without what the detectors find; `None` when they find nothing.
    fn clean(&self, text: &[u8]) -> Option<Vec<u8>> {
        let struck = self.set.matches(text);
        if !struck.matched_any() {
            return None;
        }
        let mut clean: Option<Vec<u8>> = None;
        for detector in struck.iter().map(|number| &self.detectors[number]) {
            if let Some(next) = self.replace(detector, clean.as_deref().unwrap_or(text)) {
                clean = Some(next);
            }
        }
        clean
    }

    fn replace(&self, detector: &Detector, text: &[u8]) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        let mut done = 0;
        for groups in detector.regex.captures_iter(text) {
            let Some(whole) = groups.get(0) else { continue };
            let found = groups.name("s").or_else(|| groups.name("t")).unwrap_or(whole);
            let secret = found.as_bytes();
            // What another detector replaced is no secret any more.
            if secret.is_empty() || secret.starts_with(b"[redacted:") || (detector.luhn && !luhn(secret)) {
                continue;
            }
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len() + 16));
            out.extend_from_slice(&text[done..found.start()]);
            let bare = is_bare_json(text, found.start(), found.end());
            out.extend_from_slice(if bare { b"\"" } else { b"" });
            out.extend_from_slice(self.substitute(&detector.name, secret).as_bytes());
            out.extend_from_slice(if bare { b"\"" } else { b"" });
            done = found.end();
        }
        let mut out = out?;
        out.extend_from_slice(&text[done..]);
        Some(out)
    }

    fn substitute(&self, name: &str, secret: &[u8]) -> String {
        match self.action {
            Action::Mask => format!("[redacted:{name}]"),
            Action::Hash => {
                let mut hasher = Sha256::new();
                hasher.update((self.salt.len() as u64).to_le_bytes());
                hasher.update(self.salt.as_bytes());
                hasher.update(secret);
                let hash = hasher.finalize();
                let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("[{name}:{hex}]")
            }
            Action::Remove => String::new(),
        }
    }
}

/// A match that is a bare value of a JSON text (a number): its substitute needs quotes.
fn is_bare_json(text: &[u8], start: usize, end: usize) -> bool {
    if !matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b',')) {
        return false;
    }
    let before = text[..start].trim_ascii_end().last();
    let after = text[end..].trim_ascii_start().first();
    text[start..end].iter().all(|byte| byte.is_ascii_digit())
        && matches!(before, Some(b':' | b',' | b'['))
        && matches!(after, Some(b',' | b'}' | b']'))
}

/// The check digit of card numbers (ISO/IEC 7812-1 annex B), over 13 to 19 digits.
fn luhn(number: &[u8]) -> bool {
    let digits = number.iter().rev().filter(|byte| byte.is_ascii_digit());
    let (mut sum, mut count) = (0u32, 0u32);
    for digit in digits {
        let digit = u32::from(digit - b'0');
        let doubled = if count % 2 == 1 { digit * 2 } else { digit };
        sum += if doubled > 9 { doubled - 9 } else { doubled };
        count += 1;
    }
    (13..=19).contains(&count) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests;
