//! The sliding window of one group: what is in it, and whether it meets the condition.
//!
//! Any span of the rule's length counts, wherever it begins. Events of the same instant belong
//! together: CloudTrail writes whole seconds, so their order is not known and the one that fits
//! the rule is taken.

use super::Entry;
use super::rank::Ranks;
use crate::detect::finding::day;
use crate::detect::sigma::condition::{self, Condition};
use crate::detect::sigma::correlation::{Aggregate, Correlation, Counted};
use std::collections::HashMap;

/// A time in which a group met the condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// First entry of the first window.
    pub first: i64,
    /// Last entry of the last window.
    pub last: i64,
    /// The number furthest into the condition: the largest, or the smallest where less is worse.
    pub peak: f64,
}

/// What a window holds, by what the rule looks at.
enum Window<'a> {
    Events {
        rows: u64,
    },
    Values {
        inside: HashMap<u64, u64>,
    },
    /// When each rule matched last.
    Rules {
        last: Vec<Option<i64>>,
        condition: Option<&'a Condition>,
    },
    /// For each rule, the latest start of a sequence that ends with it.
    Ordered {
        start: Vec<Option<i64>>,
    },
    Numbers {
        aggregate: Aggregate,
        ranks: Ranks,
        sum: f64,
        count: u64,
    },
}

/// What a window comes to.
struct Verdict {
    number: f64,
    first: i64,
}

impl<'a> Window<'a> {
    fn new(rule: &'a Correlation, entries: &[Entry]) -> Window<'a> {
        match &rule.counted {
            Counted::Events => Window::Events { rows: 0 },
            Counted::Values(_) => Window::Values { inside: HashMap::new() },
            Counted::Rules { ordered: true, .. } => Window::Ordered { start: vec![None; rule.rules.len()] },
            Counted::Rules { condition, .. } => {
                Window::Rules { last: vec![None; rule.rules.len()], condition: condition.as_ref() }
            }
            Counted::Numbers { aggregate, .. } => {
                let ranked = matches!(aggregate, Aggregate::Percentile(_));
                let numbers = entries.iter().filter(|entry| ranked && entry.counts());
                let ranks = Ranks::new(numbers.map(|entry| f64::from_bits(entry.value)).collect());
                Window::Numbers { aggregate: *aggregate, ranks, sum: 0.0, count: 0 }
            }
        }
    }

    /// Takes an entry in; `head` when it is the first of its row.
    fn push(&mut self, entry: &Entry, head: bool) {
        let slot = usize::from(entry.slot);
        match self {
            Window::Events { rows } => *rows += u64::from(head),
            Window::Values { inside } => *inside.entry(entry.value).or_default() += 1,
            Window::Rules { last, .. } => {
                if let Some(last) = last.get_mut(slot) {
                    *last = Some(entry.time);
                }
            }
            Window::Ordered { start } => {
                let begun = if slot == 0 { Some(entry.time) } else { start.get(slot - 1).copied().flatten() };
                if let Some(start) = start.get_mut(slot).filter(|_| begun.is_some()) {
                    *start = begun;
                }
            }
            Window::Numbers { ranks, sum, count, .. } => {
                let value = f64::from_bits(entry.value);
                ranks.insert(value);
                *sum += value;
                *count += 1;
            }
        }
    }

    /// Lets an entry go.
    fn pop(&mut self, entry: &Entry, head: bool) {
        match self {
            Window::Events { rows } => *rows -= u64::from(head),
            Window::Values { inside } => {
                if let Some(count) = inside.get_mut(&entry.value) {
                    *count -= 1;
                    if *count == 0 {
                        inside.remove(&entry.value);
                    }
                }
            }
            // These keep times and compare them with the window's start.
            Window::Rules { .. } | Window::Ordered { .. } => {}
            Window::Numbers { ranks, sum, count, .. } => {
                let value = f64::from_bits(entry.value);
                ranks.remove(value);
                *count -= 1;
                // Subtracting leaves a rounding error behind; an empty window has none.
                *sum = if *count == 0 { 0.0 } else { *sum - value };
            }
        }
    }

    fn judge(&self, rule: &Correlation, oldest: i64, now: i64) -> Option<Verdict> {
        let from = now.saturating_sub(rule.span_micros);
        let verdict = |number: f64| rule.meets(number).then_some(Verdict { number, first: oldest });
        match self {
            Window::Events { rows } => verdict(*rows as f64),
            Window::Values { inside } => verdict(inside.len() as f64),
            Window::Numbers { count: 0, .. } => None,
            Window::Numbers { aggregate, ranks, sum, count } => match aggregate {
                Aggregate::Sum => verdict(*sum),
                Aggregate::Average => verdict(*sum / *count as f64),
                Aggregate::Percentile(rank) => verdict(ranks.percentile(*rank)?),
            },
            Window::Rules { last, condition } => {
                let inside: Vec<Option<i64>> =
                    last.iter().map(|time| time.filter(|time| *time >= from)).collect();
                let fired = inside.iter().flatten().count();
                let met = match condition {
                    Some(condition) => holds(condition, &rule.rules, &inside),
                    None if rule.bounds.is_empty() => fired == inside.len(),
                    None => rule.meets(fired as f64),
                };
                let first = inside.iter().flatten().min().copied()?;
                met.then_some(Verdict { number: fired as f64, first })
            }
            Window::Ordered { start } => {
                let first = start.last().copied().flatten().filter(|first| *first >= from)?;
                Some(Verdict { number: start.len() as f64, first })
            }
        }
    }
}

/// A condition over the names of rules, by whether each matched inside the window.
fn holds(condition: &Condition, rules: &[String], inside: &[Option<i64>]) -> bool {
    let fired = |name: &str| rules.iter().zip(inside).any(|(rule, time)| time.is_some() && rule == name);
    let selected = |pattern: &str| -> Vec<bool> {
        rules
            .iter()
            .zip(inside)
            .filter(|(rule, _)| condition::selects(pattern, rule))
            .map(|(_, time)| time.is_some())
            .collect()
    };
    match condition {
        Condition::Name(name) => fired(name),
        Condition::And(parts) => parts.iter().all(|part| holds(part, rules, inside)),
        Condition::Or(parts) => parts.iter().any(|part| holds(part, rules, inside)),
        Condition::Not(inner) => !holds(inner, rules, inside),
        Condition::AnyOf(pattern) => selected(pattern).contains(&true),
        Condition::AllOf(pattern) => selected(pattern).iter().all(|fired| *fired),
    }
}

/// The episodes of one group; `entries` sorted, `spans` of the entries other correlations made.
pub fn episodes(rule: &Correlation, entries: &[Entry], spans: &[(i64, i64)]) -> Vec<Episode> {
    let mut window = Window::new(rule, entries);
    let counted: Vec<(&Entry, bool)> = heads(entries).filter(|(entry, _)| entry.counts()).collect();
    let mut found: Vec<Episode> = Vec::new();
    let mut start = 0;
    for instant in counted.chunk_by(|(a, _), (b, _)| a.time == b.time) {
        let Some((first, _)) = instant.first() else { continue };
        let now = first.time;
        while let Some((oldest, head)) = counted.get(start)
            && now.saturating_sub(oldest.time) > rule.span_micros
        {
            window.pop(oldest, *head);
            start += 1;
        }
        let mut instant: Vec<&(&Entry, bool)> = instant.iter().collect();
        instant.sort_by_key(|(entry, _)| entry.slot);
        instant.iter().for_each(|(entry, head)| window.push(entry, *head));
        let oldest = counted.get(start).map_or(now, |(oldest, _)| oldest.time);
        let Some(verdict) = window.judge(rule, oldest, now) else { continue };
        let begun = if spans.is_empty() {
            verdict.first
        } else {
            begin(&counted[start..], verdict.first, now, spans)
        };
        match found.last_mut() {
            Some(last) if begun <= last.last || day(begun) == day(last.first) => {
                last.last = now;
                last.first = last.first.min(begun);
                last.peak = further(rule, last.peak, verdict.number);
            }
            _ => found.push(Episode { first: begun, last: now, peak: verdict.number }),
        }
    }
    found
}

/// The first event behind the entries of a window: episodes of other correlations reach further back.
fn begin(inside: &[(&Entry, bool)], first: i64, now: i64, spans: &[(i64, i64)]) -> i64 {
    inside
        .iter()
        .map(|(entry, _)| entry)
        .take_while(|entry| entry.time <= now)
        .filter(|entry| entry.time >= first)
        .filter_map(|entry| entry.span(spans))
        .map(|(first, _)| first)
        .fold(first, i64::min)
}

/// Entries with whether each is the first of its row.
pub fn heads(entries: &[Entry]) -> impl Iterator<Item = (&Entry, bool)> {
    let before = std::iter::once(None).chain(entries.iter().map(Some));
    entries.iter().zip(before).map(|(entry, before)| {
        (entry, before.is_none_or(|before| (before.time, before.row) != (entry.time, entry.row)))
    })
}

fn further(rule: &Correlation, a: f64, b: f64) -> f64 {
    use crate::detect::sigma::correlation::Bound;
    let less = rule.bounds.iter().any(|(bound, _)| matches!(bound, Bound::Lt | Bound::Lte));
    let more = rule.bounds.iter().any(|(bound, _)| matches!(bound, Bound::Gt | Bound::Gte));
    if less && !more { a.min(b) } else { a.max(b) }
}
