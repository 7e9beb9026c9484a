//! Runs a library of rules over a session's tables.

use super::correlate::Joints;
use super::correlate::wiring::Wiring;
use super::finding::{self, Finding};
use super::intent;
use super::intent::file::Intent;
use super::library::Library;
use super::problem::Problem;
use super::scan;
use crate::session::{QueryError, Session, failure};
use crate::tables::time_filter::TimeFilter;
use datafusion::common::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
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
    outcome.notes.extend(library.notes.iter().cloned());
    let wiring = Wiring::new(library);
    outcome.problems.extend(wiring.problems.iter().cloned());
    let mut joints = Joints::new(wiring);
    let mut complete = true;
    for source in library.sources() {
        let rules: Vec<_> =
            library.sigma.iter().enumerate().filter(|(_, rule)| rule.source == source).collect();
        if !outcome.has(session, source.table().name, rules.len()).await {
            continue;
        }
        match scan::run(context, range, source, &rules, &mut joints).await {
            Ok(found) => {
                outcome.ran += rules.len() - found.problems.len();
                outcome.take(found);
            }
            Err(error) => {
                complete = false;
                outcome.failures.push(failure::classify(error));
            }
        }
    }
    // A correlation over half of its events would say what is not so.
    if complete {
        let mut found = scan::Outcome::default();
        outcome.ran += joints.wiring().order.len();
        joints.finish(&mut found);
        outcome.take(found);
    }
    let everything = unbounded(context);
    for context in [context, &everything] {
        context.register_udf(library.threats.function());
    }
    outcome.notes.extend(library.threats.notes.iter().cloned());
    let mut without_list: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in &library.sql {
        if let Some(missing) = rule.needs.iter().find(|category| !library.threats.has(category)) {
            without_list.entry(missing).or_default().push(&rule.meta.id);
            continue;
        }
        let mut present = true;
        for table in &rule.tables {
            present &= outcome.has(session, table, 1).await;
        }
        if !present {
            continue;
        }
        let context = if rule.looks_back() { &everything } else { context };
        match rule.run(context, range).await {
            Ok((findings, note)) => {
                outcome.ran += 1;
                outcome.findings.extend(findings);
                outcome.notes.extend(note);
            }
            Err(error) => outcome.sql_failed(rule, error),
        }
    }
    if !without_list.is_empty() {
        let categories: Vec<&str> = without_list.keys().copied().collect();
        outcome.notes.push(format!(
            "{} rules were not asked, because no threat list was given for {} (--threat-list CATEGORY=FILE)",
            without_list.values().map(Vec::len).sum::<usize>(),
            categories.join(", ")
        ));
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

/// The same tables without the run's time range: what is new is new compared with what was before.
fn unbounded(context: &SessionContext) -> SessionContext {
    let state = context.state();
    let rules =
        state.analyzer().rules.iter().filter(|rule| rule.name() != TimeFilter::NAME).cloned().collect();
    let state = SessionStateBuilder::new_from_existing(state).with_analyzer_rules(rules).build();
    SessionContext::new_with_state(state)
}

impl Outcome {
    fn take(&mut self, found: scan::Outcome) {
        self.findings.extend(found.findings);
        self.problems.extend(found.problems);
        self.notes.extend(found.notes);
    }

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
