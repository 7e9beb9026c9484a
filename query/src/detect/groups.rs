//! What matched, by rule, entity and UTC day: counts, times, a few rows and what the summary names.

use super::config::{GROUPS_MAX, SAMPLES};
use super::fields::Source;
use super::finding::{Finding, Occurrence, day};
use super::json_path;
use super::predicate::Target;
use super::predicate_sql;
use super::rows;
use super::scan::Evidence;
use super::sigma::SigmaRule;
use super::sql_text;
use arrow::array::{Array, RecordBatch, StringArray};
use datafusion::common::Result;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Columns of a batch every match needs, converted once and only when something matched.
pub struct Shared {
    /// `event_time` in microseconds.
    pub times: Vec<Option<i64>>,
    entities: StringArray,
    accounts: StringArray,
    regions: StringArray,
    converted: HashMap<&'static str, StringArray>,
}

impl Shared {
    /// Converts what every match needs.
    ///
    /// # Errors
    /// A column is missing.
    pub fn of(batch: &RecordBatch) -> Result<Shared> {
        Ok(Shared {
            times: rows::micros(batch, "event_time")?,
            entities: rows::texts(batch, "__entity")?,
            accounts: rows::texts(batch, "account_id")?,
            regions: rows::texts(batch, "region")?,
            converted: HashMap::new(),
        })
    }

    /// Account and Region of a row.
    pub fn place(&self, row: usize) -> (Option<String>, Option<String>) {
        (self.text(&self.accounts, row), self.text(&self.regions, row))
    }

    fn text(&self, array: &StringArray, row: usize) -> Option<String> {
        array.is_valid(row).then(|| array.value(row).to_owned())
    }

    /// Every value of a target in a row.
    ///
    /// # Errors
    /// The column is not in the batch.
    pub fn values(&mut self, batch: &RecordBatch, target: &Target, row: usize) -> Result<Vec<String>> {
        let name = target.column_name();
        if !self.converted.contains_key(name) {
            self.converted.insert(name, rows::texts(batch, name)?);
        }
        let text =
            self.converted.get(name).filter(|column| column.is_valid(row)).map(|column| column.value(row));
        Ok(match (target, text) {
            (_, None) => Vec::new(),
            (Target::Column { .. }, Some(text)) => vec![text.to_owned()],
            (Target::Json { path, .. }, Some(text)) => json_path::texts(text, path),
        })
    }
}

/// Matches of one rule by one entity on one day.
struct Group {
    count: u64,
    first: i64,
    last: i64,
    failed: u64,
    account: Option<String>,
    region: Option<String>,
    names: BTreeMap<String, u64>,
    addresses: BTreeSet<String>,
    samples: BTreeMap<(i64, String), Map<String, Value>>,
}

/// All groups of a scan, up to [`GROUPS_MAX`].
pub struct Groups {
    source: Source,
    kept: HashMap<(usize, String, i64), Group>,
    /// Matches of groups that did not fit.
    pub dropped: u64,
}

/// Distinct event names and addresses remembered for the summary; more are "and others".
const FACETS_MAX: usize = 4;

impl Groups {
    /// None yet.
    pub fn new(source: Source) -> Groups {
        Groups { source, kept: HashMap::new(), dropped: 0 }
    }

    /// Adds a match of the rule with that number.
    ///
    /// # Errors
    /// A column is missing.
    pub fn add(
        &mut self,
        rule: usize,
        batch: &RecordBatch,
        shared: &mut Shared,
        row: usize,
        time: i64,
    ) -> Result<()> {
        let entity = shared.text(&shared.entities, row).unwrap_or_else(|| "unknown".to_owned());
        let key = (rule, entity, day(time));
        if !self.kept.contains_key(&key) && self.kept.len() >= GROUPS_MAX {
            self.dropped += 1;
            return Ok(());
        }
        let group = self.kept.entry(key).or_insert_with(|| Group {
            count: 0,
            first: time,
            last: time,
            failed: 0,
            account: shared.text(&shared.accounts, row),
            region: shared.text(&shared.regions, row),
            names: BTreeMap::new(),
            addresses: BTreeSet::new(),
            samples: BTreeMap::new(),
        });
        group.count += 1;
        group.first = group.first.min(time);
        group.last = group.last.max(time);
        if self.source == Source::Cloudtrail {
            let mut one = |column| -> Result<Option<String>> {
                let target = Target::column(column, logq_schemas::Kind::Text);
                Ok(shared.values(batch, &target, row)?.into_iter().next())
            };
            group.failed += u64::from(one("error_code")?.is_some());
            if let Some(name) = one("event_name")?
                && (group.names.len() < FACETS_MAX || group.names.contains_key(&name))
            {
                *group.names.entry(name).or_default() += 1;
            }
            if let Some(address) = one("source_ip_address")?
                && group.addresses.len() < FACETS_MAX
            {
                group.addresses.insert(address);
            }
        }
        let uid = Target::column("event_uid", logq_schemas::Kind::Text);
        let key = (time, shared.values(batch, &uid, row)?.into_iter().next().unwrap_or_default());
        let early =
            group.samples.len() < SAMPLES || group.samples.keys().next_back().is_some_and(|last| key < *last);
        if early && !group.samples.contains_key(&key) {
            let shown = self.source.sample_columns();
            group.samples.insert(key, rows::sample(batch, row, &|name| !shown.contains(&name))?);
            if group.samples.len() > SAMPLES {
                group.samples.pop_last();
            }
        }
        Ok(())
    }

    /// One finding for each group; `rules` in the order of their numbers.
    pub fn findings(self, rules: &[&SigmaRule]) -> Vec<Finding> {
        let evidence = Evidence { source: self.source };
        let mut findings = Vec::with_capacity(self.kept.len());
        for ((rule, entity, _), group) in self.kept {
            let Some(rule) = rules.get(rule) else { continue };
            let conditions = [
                format!("{} = {}", self.source.entity_sql(), sql_text::text(&entity)),
                predicate_sql::condition(&rule.predicate),
            ];
            let sql = evidence.sql(group.first, group.last, &conditions);
            let summary = summary(self.source, &entity, &group);
            findings.push(Finding::new(
                &rule.meta,
                Occurrence {
                    entity,
                    account_id: group.account,
                    region: group.region,
                    first: group.first,
                    last: group.last,
                    count: group.count,
                    summary,
                    evidence: group.samples.into_values().collect(),
                    sql,
                },
            ));
        }
        findings
    }
}

fn summary(source: Source, entity: &str, group: &Group) -> String {
    let mut text = if group.names.is_empty() {
        format!("{} matching rows of {}", group.count, source.table().name)
    } else {
        let names: Vec<String> =
            group.names.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        names.join(", ")
    };
    if group.names.len() == FACETS_MAX {
        text.push_str(&format!(" and others ({} events in all)", group.count));
    }
    text.push_str(&format!(" by {entity}"));
    if !group.addresses.is_empty() {
        let more = if group.addresses.len() == FACETS_MAX { " and others" } else { "" };
        let addresses: Vec<&str> = group.addresses.iter().map(String::as_str).collect();
        text.push_str(&format!(" from {}{more}", addresses.join(", ")));
    }
    if group.failed > 0 {
        text.push_str(&format!("; {} of {} refused or failed", group.failed, group.count));
    }
    text
}
