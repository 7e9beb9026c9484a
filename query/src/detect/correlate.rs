//! Sigma correlations: matches of rules that mean something together.
//!
//! A scan is not ordered by time, so the matches of base rules are kept (40 bytes each, up to
//! [`CORRELATION_MATCHES_MAX`] for one correlation), sorted, and walked once; see [`window`]. Base
//! rules may read different tables, and a correlation may build on another: its episodes are then
//! entries with the time at which they were complete.
//!
//! A field a row does not have is a group of its own, as in SQL. Rows without any of the group's
//! fields are left out of `temporal` correlations: what nobody did is no sequence of anybody.

pub mod rank;
pub mod window;
pub mod wiring;

use super::config::CORRELATION_MATCHES_MAX;
use super::finding::{Finding, Occurrence, time};
use super::predicate::{Predicate, Target, Test};
use super::predicate_sql;
use super::scan::{self, Evidence};
use super::sigma::correlation::{Aggregate, Correlation, Counted};
use super::sql_text;
use std::collections::{BTreeMap, HashMap};
use twox_hash::XxHash3_64;
use window::Episode;
use wiring::Leaf;

/// One counted thing. Sorted by group, time and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    group: u32,
    time: i64,
    row: u64,
    slot: u16,
    value: u64,
}

/// The slot of rows that belong to the evidence but are not counted themselves.
const EVIDENCE: u16 = u16::MAX;

/// Marks rows that are episodes of another correlation; the rest is the number of its span.
const EPISODE: u64 = 1 << 63;

impl Entry {
    fn counts(&self) -> bool {
        self.slot != EVIDENCE
    }

    fn span(&self, spans: &[(i64, i64)]) -> Option<(i64, i64)> {
        (self.row & EPISODE != 0).then(|| spans.get((self.row & !EPISODE) as usize).copied()).flatten()
    }
}

/// Account and Region.
pub type Place = (Option<String>, Option<String>);

/// A match of a base rule, as a correlation sees it.
pub struct Match {
    /// Values of the group's fields.
    pub group: Vec<Option<String>>,
    /// Time in microseconds.
    pub time: i64,
    /// A number no other row of the run has.
    pub row: u64,
    /// Place of the rule in the correlation's list; `None` for rules behind another correlation.
    pub slot: Option<u16>,
    /// Values of the counted fields.
    pub values: Vec<String>,
}

/// Matches of one correlation's base rules.
#[derive(Debug, Default)]
pub struct Matches {
    entries: Vec<Entry>,
    groups: HashMap<Vec<Option<String>>, u32>,
    places: Vec<Place>,
    spans: Vec<(i64, i64)>,
    /// Matches that did not fit.
    pub dropped: u64,
}

/// What one group did.
pub struct Episodes {
    name: Vec<Option<String>>,
    place: Place,
    found: Vec<(Episode, u64)>,
}

impl Matches {
    /// Adds a match.
    pub fn add(&mut self, rule: &Correlation, found: Match, place: impl FnOnce() -> Place) {
        if self.entries.len().saturating_add(found.values.len().max(1)) > CORRELATION_MATCHES_MAX {
            self.dropped += 1;
            return;
        }
        let nobody = !found.group.is_empty() && found.group.iter().all(Option::is_none);
        if nobody && matches!(rule.counted, Counted::Rules { .. }) {
            return;
        }
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let group = *self.groups.entry(found.group).or_insert_with(|| {
            self.places.push(place());
            next
        });
        let entry = |slot, value| Entry { group, time: found.time, row: found.row, slot, value };
        let Some(slot) = found.slot else {
            self.entries.push(entry(EVIDENCE, 0));
            return;
        };
        match &rule.counted {
            Counted::Events | Counted::Rules { .. } => self.entries.push(entry(slot, 0)),
            Counted::Values(_) => {
                let hash = |value: &String| XxHash3_64::oneshot(value.as_bytes());
                self.entries.extend(found.values.iter().map(|value| entry(slot, hash(value))));
            }
            Counted::Numbers { .. } => {
                for value in &found.values {
                    let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                    self.entries.push(match number {
                        Some(number) => entry(slot, number.to_bits()),
                        None => entry(EVIDENCE, 0),
                    });
                }
            }
        }
    }

    /// Adds an episode of another correlation.
    fn add_episode(&mut self, rule: &Correlation, episode: &Episode, mut found: Match, place: &Place) {
        found.row = EPISODE | self.spans.len() as u64;
        self.spans.push((episode.first, episode.last));
        self.add(rule, found, || place.clone());
    }

    /// The episodes of every group, with the number of rows in each, in the order groups were met.
    pub fn episodes(mut self, rule: &Correlation) -> Vec<Episodes> {
        self.entries.sort_unstable();
        let mut names: Vec<(Vec<Option<String>>, u32)> = self.groups.into_iter().collect();
        names.sort_unstable_by_key(|(_, id)| *id);
        let mut names: Vec<Option<Vec<Option<String>>>> =
            names.into_iter().map(|(name, _)| Some(name)).collect();
        let mut all = Vec::new();
        for entries in self.entries.chunk_by(|a, b| a.group == b.group) {
            let Some(at) = entries.first().map(|entry| entry.group as usize) else { continue };
            let (Some(name), Some(place)) = (names.get_mut(at).and_then(Option::take), self.places.get(at))
            else {
                continue;
            };
            let found: Vec<(Episode, u64)> = window::episodes(rule, entries, &self.spans)
                .into_iter()
                .map(|episode| (episode, rows(entries, &episode)))
                .collect();
            if !found.is_empty() {
                all.push(Episodes { name, place: place.clone(), found });
            }
        }
        all
    }
}

/// Rows of the lake inside an episode.
fn rows(entries: &[Entry], episode: &Episode) -> u64 {
    let from = entries.partition_point(|entry| entry.time < episode.first);
    let to = entries.partition_point(|entry| entry.time <= episode.last);
    let inside = window::heads(&entries[from..to.max(from)]);
    inside.filter(|(entry, head)| *head && entry.row & EPISODE == 0).count() as u64
}

/// Every correlation of a run, connected with its base rules.
pub struct Joints<'a> {
    wired: wiring::Wiring<'a>,
    matches: Vec<Matches>,
    rows: u64,
}

impl<'a> Joints<'a> {
    /// Connects them.
    pub fn new(wired: wiring::Wiring<'a>) -> Joints<'a> {
        Joints { matches: wired.joints.iter().map(|_| Matches::default()).collect(), wired, rows: 0 }
    }

    /// How rules and correlations hang together.
    pub fn wiring(&self) -> &wiring::Wiring<'a> {
        &self.wired
    }

    /// A number for each of some rows.
    pub fn number_rows(&mut self, rows: usize) -> u64 {
        self.rows += rows as u64;
        self.rows - rows as u64
    }

    /// Adds a match to a correlation.
    pub fn add(&mut self, joint: usize, found: Match, place: impl FnOnce() -> Place) {
        if let (Some(matches), Some(joint)) = (self.matches.get_mut(joint), self.wired.joints.get(joint)) {
            matches.add(joint.rule, found, place);
        }
    }

    /// Walks every correlation, those that others build on first.
    pub fn finish(mut self, outcome: &mut scan::Outcome) {
        for at in std::mem::take(&mut self.wired.order) {
            let Some(joint) = self.wired.joints.get(at) else { continue };
            let matches = self.matches.get_mut(at).map(std::mem::take).unwrap_or_default();
            if matches.dropped > 0 {
                outcome.notes.push(format!(
                    "{}: {} matches did not fit in memory and were not correlated; narrow the time range",
                    joint.rule.meta.id, matches.dropped
                ));
            }
            for group in matches.episodes(joint.rule) {
                for feed in &joint.feeds {
                    let (Some(outer), Some(into)) =
                        (self.wired.joints.get(feed.joint), self.matches.get_mut(feed.joint))
                    else {
                        continue;
                    };
                    for (episode, _) in &group.found {
                        let pick = |places: &[usize]| -> Vec<Option<String>> {
                            places.iter().map(|at| group.name.get(*at).cloned().flatten()).collect()
                        };
                        let values = pick(&feed.values);
                        let found = Match {
                            group: pick(&feed.groups),
                            time: episode.last,
                            row: 0,
                            slot: Some(feed.slot),
                            values: joined(values.into_iter().map(|value| value.into_iter().collect())),
                        };
                        into.add_episode(outer.rule, episode, found, &group.place);
                    }
                }
                if joint.reports {
                    outcome.findings.extend(
                        group.found.iter().map(|(episode, rows)| finding(joint, &group, episode, *rows)),
                    );
                }
            }
        }
    }
}

/// Values of several fields, every combination as one text; nothing when a field has none.
pub fn joined(fields: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut all: Option<Vec<String>> = None;
    for found in fields {
        all = Some(match all {
            None => found,
            Some(starts) => starts
                .iter()
                .flat_map(|start| found.iter().map(move |value| format!("{start}\u{0}{value}")))
                .collect(),
        });
    }
    all.unwrap_or_default()
}

fn finding(joint: &wiring::Joint<'_>, group: &Episodes, episode: &Episode, rows: u64) -> Finding {
    let rule = joint.rule;
    let entity = if group.name.is_empty() {
        "all".to_owned()
    } else {
        group.name.iter().map(|part| part.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(", ")
    };
    let number = episode.peak;
    let what = match &rule.counted {
        Counted::Events => format!("{number} matching events"),
        Counted::Values(fields) => format!("{number} different {}", fields.join(" + ")),
        Counted::Rules { ordered, .. } => {
            format!("{}{}", joint.titles.join(" + "), if *ordered { " in this order" } else { "" })
        }
        Counted::Numbers { field, aggregate } => match aggregate {
            Aggregate::Sum => format!("{field} adds up to {number}"),
            Aggregate::Average => format!("{field} is {number} on average"),
            Aggregate::Percentile(rank) => format!("{field} is {number} at percentile {rank}"),
        },
    };
    let summary = format!(
        "{what} within {} by {entity}; {rows} events from {} to {}",
        humantime::format_duration(std::time::Duration::from_micros(rule.span_micros.unsigned_abs())),
        time(episode.first).format("%Y-%m-%d %H:%M:%S"),
        time(episode.last).format("%Y-%m-%d %H:%M:%S"),
    );
    Finding::new(
        &rule.meta,
        Occurrence {
            entity,
            account_id: group.place.0.clone(),
            region: group.place.1.clone(),
            first: episode.first,
            last: episode.last,
            count: rows,
            summary,
            evidence: Vec::new(),
            sql: sql(&joint.leaves, &group.name, episode),
        },
    )
}

/// The rows of an episode, from every table they are in.
fn sql(leaves: &[Leaf<'_>], name: &[Option<String>], episode: &Episode) -> String {
    let mut sources: BTreeMap<_, Vec<&Leaf<'_>>> = BTreeMap::new();
    for leaf in leaves {
        sources.entry(leaf.rule.source).or_default().push(leaf);
    }
    let single = sources.len() < 2;
    let parts: Vec<String> = sources
        .into_iter()
        .map(|(source, leaves)| {
            let evidence = Evidence { source };
            let conditions = conditions(&leaves, name);
            if single {
                evidence.sql(episode.first, episode.last, &conditions)
            } else {
                evidence.core_sql(episode.first, episode.last, &conditions)
            }
        })
        .collect();
    if single { parts.concat() } else { format!("{}\nORDER BY event_time", parts.join("\nUNION ALL\n")) }
}

fn conditions(leaves: &[&Leaf<'_>], name: &[Option<String>]) -> Vec<String> {
    let own = |leaf: &Leaf<'_>| {
        let present = leaf.values.iter().map(|value| Predicate::Leaf(value.clone(), counted(value)));
        predicate_sql::condition(&Predicate::and(present.chain([leaf.rule.predicate.clone()]).collect()))
    };
    let group = |leaf: &Leaf<'_>| -> Vec<String> {
        leaf.groups.iter().zip(name).map(|(target, value)| same(target, value.as_deref())).collect()
    };
    let Some((first, rest)) = leaves.split_first() else { return vec!["false".to_owned()] };
    if rest.iter().all(|leaf| leaf.groups == first.groups) {
        let mut all = group(first);
        let rules: Vec<String> = leaves.iter().map(|leaf| own(leaf)).collect();
        all.push(if rest.is_empty() { rules.concat() } else { format!("({})", rules.join(") OR (")) });
        return all;
    }
    let each: Vec<String> = leaves
        .iter()
        .map(|leaf| {
            group(leaf).into_iter().chain([format!("({})", own(leaf))]).collect::<Vec<_>>().join(" AND ")
        })
        .collect();
    vec![format!("({})", each.join(") OR ("))]
}

/// A row counts when it has a value; in JSON an empty list is there and has none.
fn counted(value: &Target) -> Test {
    match value {
        Target::Column { .. } => Test::Present,
        Target::Json { .. } => Test::Like { pattern: "%".to_owned(), cased: true },
    }
}

fn same(target: &Target, value: Option<&str>) -> String {
    let target = predicate_sql::target_text(target);
    match value {
        Some(value) => format!("{target} = {}", sql_text::text(value)),
        None => format!("{target} IS NULL"),
    }
}

#[cfg(test)]
mod tests;
