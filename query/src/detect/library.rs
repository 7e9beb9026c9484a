//! The rules of one run: shipped ones, the user's, chosen by `--only`.

use super::correlate::wiring::means;
use super::fields::Source;
use super::problem::Problem;
use super::rule::Meta;
use super::sigma::correlation::Correlation;
use super::sigma::detection::Placeholders;
use super::sigma::filter::Filter;
use super::sigma::{self, Document, SigmaRule};
use super::sql_rule::SqlRule;
use super::threats::Threats;
use chrono::NaiveDate;
use std::path::{Path, PathBuf};
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/detections.rs"));

/// Every rule that could be read, and what was wrong with the others.
#[derive(Debug, Default)]
pub struct Library {
    /// Event rules.
    pub sigma: Vec<SigmaRule>,
    /// Correlations over them.
    pub correlations: Vec<Correlation>,
    /// SQL rules.
    pub sql: Vec<SqlRule>,
    /// Exceptions to event rules, not applied yet.
    pub filters: Vec<Filter>,
    /// Threat lists rules may ask.
    pub threats: Arc<Threats>,
    /// Rules that cannot run.
    pub problems: Vec<Problem>,
    /// What the reader must know, such as filters that have expired.
    pub notes: Vec<String>,
}

impl Library {
    /// The shipped rules.
    pub fn shipped(known: &Placeholders) -> Library {
        let mut library = Library::default();
        for (path, text) in FILES {
            library.add(path, text, true, known);
        }
        library
    }

    /// Adds a rule file, or every rule file below a directory.
    ///
    /// # Errors
    /// The path cannot be read, or holds no rule file.
    pub fn load(&mut self, path: &Path, known: &Placeholders) -> Result<(), std::io::Error> {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        files.sort();
        if files.is_empty() {
            return Err(std::io::Error::other("no .yml, .yaml or .sql file in it"));
        }
        for file in files {
            let origin = file.display().to_string();
            match std::fs::read_to_string(&file) {
                Ok(text) => self.add(&origin, &text, false, known),
                Err(error) => {
                    self.problems.push(Problem::invalid(&origin, None, format!("cannot be read: {error}")))
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, origin: &str, text: &str, shipped: bool, known: &Placeholders) {
        match Path::new(origin).extension().and_then(|e| e.to_str()) {
            Some("yml" | "yaml") => {
                let (documents, problems) = sigma::parse(text, origin, shipped, known);
                self.problems.extend(problems);
                for document in documents {
                    match document {
                        Document::Rule(rule) => self.add_sigma(rule),
                        Document::Correlation(rule) => self.add_correlation(rule),
                        Document::Filter(filter) => self.filters.push(filter),
                    }
                }
            }
            Some("sql") => match SqlRule::parse(text, origin, shipped) {
                Ok(rule) if self.known(&rule.meta) => self.problems.push(duplicate(&rule.meta)),
                Ok(rule) => self.sql.push(rule),
                Err(problem) => self.problems.push(problem),
            },
            _ => {}
        }
    }

    fn add_sigma(&mut self, rule: SigmaRule) {
        if self.known(&rule.meta) {
            self.problems.push(duplicate(&rule.meta));
        } else {
            self.sigma.push(rule);
        }
    }

    fn add_correlation(&mut self, rule: Correlation) {
        if self.known(&rule.meta) {
            self.problems.push(duplicate(&rule.meta));
        } else {
            self.correlations.push(rule);
        }
    }

    fn known(&self, meta: &Meta) -> bool {
        self.metas().any(|other| other.id == meta.id)
    }

    /// Every rule's description.
    pub fn metas(&self) -> impl Iterator<Item = &Meta> {
        let sigma = self.sigma.iter().map(|rule| &rule.meta);
        let correlations = self.correlations.iter().map(|rule| &rule.meta);
        sigma.chain(correlations).chain(self.sql.iter().map(|rule| &rule.meta))
    }

    /// Applies the filters to the event rules loaded so far. Expired ones are named and do nothing.
    pub fn filter(&mut self, today: NaiveDate, known: &Placeholders) {
        for filter in std::mem::take(&mut self.filters) {
            match filter.apply(&mut self.sigma, today, known) {
                Ok(note) => self.notes.extend(note),
                Err(error) => {
                    self.problems.push(error.at(&filter.origin, Some(&filter.title)));
                }
            }
        }
    }

    /// Keeps the rules any of these names means; base rules of kept correlations stay.
    ///
    /// # Errors
    /// A name that means no rule.
    pub fn only(&mut self, wanted: &[String]) -> Result<(), String> {
        if wanted.is_empty() {
            return Ok(());
        }
        if let Some(unknown) = wanted.iter().find(|wanted| !self.metas().any(|meta| meta.answers_to(wanted)))
        {
            return Err(format!(
                "--only {unknown}: no rule has that id, title or tag; `logq detect --list` shows them"
            ));
        }
        let named = |meta: &Meta| wanted.iter().any(|wanted| meta.answers_to(wanted));
        self.sql.retain(|rule| named(&rule.meta));
        // Rules that kept correlations build on stay, and those these build on.
        let mut keep: Vec<String> =
            self.metas().filter(|meta| named(meta)).map(|meta| meta.id.clone()).collect();
        loop {
            let base = |meta: &Meta| {
                self.correlations.iter().any(|joint| {
                    keep.contains(&joint.meta.id) && joint.rules.iter().any(|wanted| means(wanted, meta))
                })
            };
            let more: Vec<String> = self
                .metas()
                .filter(|meta| !keep.contains(&meta.id) && base(meta))
                .map(|meta| meta.id.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            keep.extend(more);
        }
        self.correlations.retain(|rule| keep.contains(&rule.meta.id));
        self.sigma.retain(|rule| keep.contains(&rule.meta.id));
        Ok(())
    }

    /// Sets `rule.parameter=value`.
    ///
    /// # Errors
    /// Wrong form, unknown rule or parameter, or not a number.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let wrong = || format!("--param {assignment}: write RULE.NAME=VALUE");
        let (path, value) = assignment.split_once('=').ok_or_else(wrong)?;
        let (rule, name) = path.rsplit_once('.').ok_or_else(wrong)?;
        match self.sql.iter_mut().find(|candidate| candidate.meta.id == rule) {
            Some(rule) => rule.set(name, value).map_err(|error| format!("--param {assignment}: {error}")),
            None => Err(format!("--param {assignment}: no SQL rule has the id `{rule}`")),
        }
    }

    /// The sources event rules read.
    pub fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = self.sigma.iter().map(|rule| rule.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

/// The text of a shipped file below `detections/`.
pub fn shipped_file(path: &str) -> Option<&'static str> {
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// Every shipped file called `name`, with its path.
pub fn shipped_files_named(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
    FILES
        .iter()
        .copied()
        .filter(move |(path, _)| Path::new(path).file_name().is_some_and(|file| file == name))
}

fn duplicate(meta: &Meta) -> Problem {
    Problem::invalid(
        &meta.origin,
        Some(&meta.title),
        format!("another rule has the id `{}`; the first one runs", meta.id),
    )
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let path = entry.path();
        // Links are not followed into directories: a cycle would never end.
        // Folders such as `.github` hold no rules.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if entry.file_type()?.is_dir() {
            if !hidden {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml" || e == "sql") {
            files.push(path);
        }
    }
    Ok(())
}
