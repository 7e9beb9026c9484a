//! Runs a library of rules over a session's tables.

use super::finding::{self, Finding};
use super::intent;
use super::intent::file::Intent;
use super::library::Library;
use super::problem::Problem;
use super::scan;
use crate::session::{QueryError, Session, failure};
use datafusion::common::DataFusionError;
use std::sync::Arc;

/// What a run found, and what it could not do.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Rules that did not run.
    pub problems: Vec<Problem>,
    /// What the reader must know.
    pub notes: Vec<String>,
    /// Tables that do not exist yet, with the number of rules that wanted them.
    pub no_data: Vec<(String, usize)>,
    /// Failures to read data; the answer is incomplete.
    pub failures: Vec<QueryError>,
    /// Rules that ran.
    pub ran: usize,
}

/// Runs everything. Data that cannot be read is a failure of the rules that need it; the others
/// still run.
pub async fn run(session: &Session, library: &Library, intent: Option<(Arc<Intent>, &str)>) -> Outcome {
    let (context, range) = (session.context(), session.time_range());
    let mut outcome = Outcome::default();
    for source in library.sources() {
        let rules: Vec<_> = library.sigma.iter().filter(|rule| rule.source == source).collect();
        let correlations: Vec<_> =
            library.correlations.iter().filter(|rule| library.source_of(rule) == Some(source)).collect();
        if !outcome.has(session, source.table().name, rules.len() + correlations.len()).await {
            continue;
        }
        match scan::run(context, range, source, &rules, &correlations).await {
            Ok(found) => {
                outcome.ran += rules.len() + correlations.len() - found.problems.len();
                outcome.findings.extend(found.findings);
                outcome.problems.extend(found.problems);
                outcome.notes.extend(found.notes);
            }
            Err(error) => outcome.failures.push(failure::classify(error)),
        }
    }
    for rule in library.correlations.iter().filter(|rule| library.source_of(rule).is_none()) {
        outcome.problems.push(Problem::invalid(
            &rule.meta.origin,
            Some(&rule.meta.title),
            format!("field `correlation.rules`: no runnable rule is called {}", rule.rules.join(", ")),
        ));
    }
    for rule in &library.sql {
        let mut present = true;
        for table in &rule.tables {
            present &= outcome.has(session, table, 1).await;
        }
        if !present {
            continue;
        }
        match rule.run(context, range).await {
            Ok((findings, note)) => {
                outcome.ran += 1;
                outcome.findings.extend(findings);
                outcome.notes.extend(note);
            }
            Err(error) => outcome.sql_failed(rule, error),
        }
    }
    if let Some((intent, origin)) = intent
        && outcome.has(session, "vpc_flow", 1).await
    {
        match intent::check::run(context, range, intent, origin).await {
            Ok((findings, notes)) => {
                outcome.findings.extend(findings);
                outcome.notes.extend(notes);
            }
            Err(error) => outcome.failures.push(failure::classify(error)),
        }
    }
    outcome.sample(session, library).await;
    finding::sort(&mut outcome.findings);
    outcome
}

impl Outcome {
    async fn has(&mut self, session: &Session, table: &str, rules: usize) -> bool {
        match session.has_table(table).await {
            Ok(true) => true,
            Ok(false) => {
                match self.no_data.iter_mut().find(|(name, _)| name == table) {
                    Some((_, count)) => *count += rules,
                    None => self.no_data.push((table.to_owned(), rules)),
                }
                false
            }
            Err(error) => {
                self.failures.push(error);
                false
            }
        }
    }

    /// A SQL rule that does not plan is the rule's fault; one that does not run is the data's.
    fn sql_failed(&mut self, rule: &super::sql_rule::SqlRule, error: DataFusionError) {
        let planning = matches!(
            error.find_root(),
            DataFusionError::Plan(_)
                | DataFusionError::SQL(..)
                | DataFusionError::SchemaError(..)
                | DataFusionError::NotImplemented(_)
                | DataFusionError::Diagnostic(..)
        );
        let own = matches!(error.find_root(), DataFusionError::External(source) if source.is::<Problem>());
        if planning || own {
            let message = error.strip_backtrace();
            self.problems.push(Problem::invalid(&rule.meta.origin, Some(&rule.meta.title), message));
        } else {
            self.failures.push(failure::classify(error));
        }
    }

    /// Correlations know their group, not its rows: fetch a few.
    async fn sample(&mut self, session: &Session, library: &Library) {
        let mut left = super::config::SAMPLED_FINDINGS_MAX;
        for finding in &mut self.findings {
            let correlated = library.correlations.iter().any(|rule| rule.meta.id == finding.rule_id);
            if left == 0 || !correlated || !finding.evidence.is_empty() {
                continue;
            }
            left -= 1;
            match super::sql_rule::samples(session.context(), &finding.sql).await {
                Ok(samples) => finding.evidence = samples,
                Err(error) => self.failures.push(failure::classify(error)),
            }
        }
    }
}
