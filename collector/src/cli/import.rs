//! `logq-collector import fluent-bit`: a configuration translated, checked and written.

use super::{EXIT_CONFIG, EXIT_FAILED, EXIT_OK, report, say};
use crate::config::Config;
use crate::import::{Entry, Section, Translation, read, translate};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Translates a configuration and says what has no counterpart.
pub fn fluent_bit(file: &Path, parsers: &[PathBuf], output: Option<&Path>) -> u8 {
    let translated = read(file).and_then(|sections| {
        let mut known = Vec::new();
        for entry in named(&sections) {
            let path = file.parent().unwrap_or(Path::new("")).join(&entry.value);
            known.extend(read(&path).map_err(|error| {
                format!("{}: {} {}: {error}; copy it from the image, or take the line out and name a copy with --parsers", entry.place, entry.key, entry.value)
            })?);
        }
        for path in parsers {
            known.extend(read(path)?);
        }
        Ok(translate(&sections, &known))
    });
    match translated {
        Ok(translation) => write(&translation, output),
        Err(message) => {
            report(&anyhow::anyhow!(message));
            EXIT_CONFIG
        }
    }
}

/// Files of parsers a configuration names.
fn named(sections: &[Section]) -> impl Iterator<Item = &Entry> {
    let services = sections.iter().filter(|section| section.kind == "service");
    services.flat_map(|service| &service.entries).filter(|entry| entry.key == "parsers_file")
}

fn write(translation: &Translation, output: Option<&Path>) -> u8 {
    let text = translation.to_toml();
    for note in &translation.notes {
        report(&anyhow::anyhow!("{}: {}: {}", note.place, note.name, note.advice));
    }
    let code = match output {
        None => say(&text).code(),
        Some(path) => {
            match std::fs::write(path, &text).with_context(|| format!("writing {}", path.display())) {
                Ok(()) => EXIT_OK,
                Err(error) => {
                    report(&error);
                    EXIT_FAILED
                }
            }
        }
    };
    // Variables of the nodes are not set here: any text takes their place in the check.
    let variable = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| "placeholder".to_owned()));
    match Config::parse(output.unwrap_or(Path::new("translation")), &text, &variable) {
        Ok(_) => {
            report(&anyhow::anyhow!("the translation is valid; {} notes", translation.notes.len()));
            code
        }
        Err(error) => {
            report(&anyhow::Error::new(error).context("the translation needs a hand"));
            EXIT_CONFIG
        }
    }
}
