//! Sliding windows over matches: `event_count` and `value_count` of Sigma correlations.
//!
//! The scan is not ordered by time, so the matches of base rules are kept (24 bytes each, up to
//! [`CORRELATION_MATCHES_MAX`]), sorted, and walked with two pointers. Windows slide: any span of
//! that length counts, wherever it begins.

use super::config::CORRELATION_MATCHES_MAX;
use super::finding::{Finding, Occurrence, day, time};
use super::predicate::{Predicate, Target, Test};
use super::predicate_sql;
use super::scan::Evidence;
use super::sigma::correlation::{Correlation, Counted};
use super::sql_text;
use std::collections::HashMap;
use twox_hash::XxHash3_64;

/// One counted thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    group: u32,
    time: i64,
    value: u64,
    /// First entry of its row: rows are counted by these.
    head: bool,
}

/// Matches of one correlation's base rules.
#[derive(Debug, Default)]
pub struct Matches {
    entries: Vec<Entry>,
    groups: HashMap<Vec<Option<String>>, u32>,
    places: Vec<(Option<String>, Option<String>)>,
    /// Matches that did not fit.
    pub dropped: u64,
}

/// Days on which a group met the condition.
struct Episode {
    first: i64,
    last: i64,
    peak: u64,
}

impl Matches {
    /// Adds a matching row: its group, time and, for `value_count`, its values.
    pub fn add(
        &mut self,
        group: Vec<Option<String>>,
        place: impl FnOnce() -> (Option<String>, Option<String>),
        time: i64,
        values: &[String],
    ) {
        if self.entries.len().saturating_add(values.len().max(1)) > CORRELATION_MATCHES_MAX {
            self.dropped += 1;
            return;
        }
        let next = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let group = *self.groups.entry(group).or_insert_with(|| {
            self.places.push(place());
            next
        });
        if values.is_empty() {
            self.entries.push(Entry { group, time, value: 0, head: true });
        }
        for (at, value) in values.iter().enumerate() {
            let value = XxHash3_64::oneshot(value.as_bytes());
            self.entries.push(Entry { group, time, value, head: at == 0 });
        }
    }

    /// The findings of a correlation over these matches.
    pub fn findings(mut self, rule: &Correlation, base: &[&Predicate], evidence: &Evidence) -> Vec<Finding> {
        self.entries.sort_unstable();
        let mut names: Vec<(&Vec<Option<String>>, u32)> =
            self.groups.iter().map(|(name, id)| (name, *id)).collect();
        names.sort_unstable_by_key(|(_, id)| *id);
        let mut findings = Vec::new();
        for entries in self.entries.chunk_by(|a, b| a.group == b.group) {
            let Some(first) = entries.first() else { continue };
            let at = first.group as usize;
            let (Some((name, _)), Some(place)) = (names.get(at), self.places.get(at)) else { continue };
            for episode in episodes(rule, entries) {
                findings.push(finding(rule, base, evidence, name, place, entries, &episode));
            }
        }
        findings
    }
}

fn episodes(rule: &Correlation, entries: &[Entry]) -> Vec<Episode> {
    let mut found: Vec<Episode> = Vec::new();
    let mut inside: HashMap<u64, u64> = HashMap::new();
    let mut rows = 0_u64;
    let mut start = 0;
    for (end, entry) in entries.iter().enumerate() {
        *inside.entry(entry.value).or_default() += 1;
        rows += u64::from(entry.head);
        while let Some(oldest) = entries.get(start)
            && entry.time.saturating_sub(oldest.time) > rule.span_micros
        {
            if let Some(count) = inside.get_mut(&oldest.value) {
                *count -= 1;
                if *count == 0 {
                    inside.remove(&oldest.value);
                }
            }
            rows -= u64::from(oldest.head);
            start += 1;
        }
        // Rows of the same instant belong together: judge only after the last of them.
        if entries.get(end + 1).is_some_and(|next| next.time == entry.time) {
            continue;
        }
        let count = match rule.counted {
            Counted::Events => rows,
            Counted::Values(_) => inside.len() as u64,
        };
        let Some(oldest) = entries.get(start).filter(|_| rule.meets(count)) else {
            continue;
        };
        match found.last_mut() {
            Some(last) if oldest.time <= last.last || day(oldest.time) == day(last.first) => {
                last.last = entry.time;
                last.peak = last.peak.max(count);
            }
            _ => found.push(Episode { first: oldest.time, last: entry.time, peak: count }),
        }
    }
    found
}

fn finding(
    rule: &Correlation,
    base: &[&Predicate],
    evidence: &Evidence,
    name: &[Option<String>],
    place: &(Option<String>, Option<String>),
    entries: &[Entry],
    episode: &Episode,
) -> Finding {
    let inside = |entry: &&Entry| entry.head && (episode.first..=episode.last).contains(&entry.time);
    let count = entries.iter().filter(inside).count() as u64;
    let entity = if name.is_empty() {
        "all".to_owned()
    } else {
        name.iter().map(|part| part.as_deref().unwrap_or("-")).collect::<Vec<_>>().join(", ")
    };
    let what = match &rule.counted {
        Counted::Events => format!("{} matching events", episode.peak),
        Counted::Values(fields) => format!("{} different {}", episode.peak, fields.join(" + ")),
    };
    let summary = format!(
        "{what} within {} by {entity}; {count} events from {} to {}",
        humantime::format_duration(std::time::Duration::from_micros(rule.span_micros.unsigned_abs())),
        time(episode.first).format("%Y-%m-%d %H:%M:%S"),
        time(episode.last).format("%Y-%m-%d %H:%M:%S"),
    );
    let mut conditions: Vec<String> = rule
        .group_by
        .iter()
        .zip(name)
        .map(|(field, value)| {
            let target = predicate_sql::target_text(&evidence.source.field(field));
            match value {
                Some(value) => format!("{target} = {}", sql_text::text(value)),
                None => format!("{target} IS NULL"),
            }
        })
        .collect();
    if let Counted::Values(fields) = &rule.counted {
        for field in fields {
            let present = Predicate::Leaf(evidence.source.field(field), Test::Present);
            conditions.push(predicate_sql::condition(&present));
        }
    }
    let any = Predicate::or(base.iter().map(|predicate| (*predicate).clone()).collect());
    conditions.push(predicate_sql::condition(&any));
    let sql = evidence.sql(episode.first, episode.last, &conditions);
    Finding::new(
        &rule.meta,
        Occurrence {
            entity,
            account_id: place.0.clone(),
            region: place.1.clone(),
            first: episode.first,
            last: episode.last,
            count,
            summary,
            evidence: Vec::new(),
            sql,
        },
    )
}

/// The fields a correlation reads of each matching row.
pub fn targets(rule: &Correlation, evidence: &Evidence) -> (Vec<Target>, Vec<Target>) {
    let find = |fields: &[String]| fields.iter().map(|field| evidence.source.field(field)).collect();
    let counted = match &rule.counted {
        Counted::Events => Vec::new(),
        Counted::Values(fields) => find(fields),
    };
    (find(&rule.group_by), counted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fields::Source;
    use crate::detect::sigma::correlation::Bound;

    fn rule(counted: Counted, span: i64, at_least: u64) -> Correlation {
        let map = serde_norway::from_str("title: t\nlevel: high").unwrap();
        Correlation {
            meta: crate::detect::rule::Meta::from_yaml(&map, "test", true).unwrap(),
            rules: vec!["r".to_owned()],
            group_by: vec!["eventName".to_owned()],
            span_micros: span,
            counted,
            bounds: vec![(Bound::Gte, at_least)],
            generate: false,
        }
    }

    fn run(rule: &Correlation, rows: &[(&str, i64, &[&str])]) -> Vec<(String, i64, i64, u64)> {
        let mut matches = Matches::default();
        for (group, time, values) in rows {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            matches.add(vec![Some((*group).to_owned())], || (None, None), *time, &values);
        }
        let evidence = Evidence { source: Source::Cloudtrail };
        matches
            .findings(rule, &[&Predicate::Always(true)], &evidence)
            .into_iter()
            .map(|f| (f.entity, f.first_seen.timestamp_micros(), f.last_seen.timestamp_micros(), f.count))
            .collect()
    }

    #[test]
    fn windows_slide_over_any_boundary_and_groups_stay_apart() {
        let events = rule(Counted::Events, 10, 3);
        let rows: &[(&str, i64, &[&str])] =
            &[("b", 18, &[]), ("a", 8, &[]), ("a", 12, &[]), ("b", 1, &[]), ("a", 18, &[]), ("b", 30, &[])];
        assert_eq!(run(&events, rows), [("a".to_owned(), 8, 18, 3)]);
        // One microsecond too long.
        let rows: &[(&str, i64, &[&str])] = &[("a", 8, &[]), ("a", 12, &[]), ("a", 19, &[])];
        assert!(run(&events, rows).is_empty());
    }

    #[test]
    fn values_are_counted_once_and_rows_by_their_own_number() {
        let values = rule(Counted::Values(vec!["requestParameters.name".to_owned()]), 10, 3);
        let rows: &[(&str, i64, &[&str])] = &[("a", 1, &["x", "y"]), ("a", 2, &["x"]), ("a", 3, &["z"])];
        assert_eq!(run(&values, rows), [("a".to_owned(), 1, 3, 3)]);
        let rows: &[(&str, i64, &[&str])] = &[("a", 1, &["x", "y"]), ("a", 2, &["x"]), ("a", 13, &["z"])];
        assert!(run(&values, rows).is_empty());
    }
}
