//! What S3 refuses in a lifecycle rule, by its documentation.
//!
//! Source: Amazon S3 User Guide, “Transitioning objects using Amazon S3 Lifecycle”, “Lifecycle
//! configuration elements”; Amazon S3 API Reference, `Transition`, `LifecycleRuleFilter`,
//! `LifecycleExpiration`.

use super::class::Class;
use super::rule::{Rule, When};
use std::collections::HashSet;

/// Rules a bucket may have.
pub const RULES_MAX: usize = 1_000;

/// Characters an id may have.
const ID_CHARS_MAX: usize = 255;

/// Days between a move into an infrequent-access class and the next one in the same rule.
const DAYS_IN_IA: i32 = 30;

/// Everything S3 would refuse about `rule`, one sentence each.
pub fn refusals(rule: &Rule) -> Vec<String> {
    let mut found = Vec::new();
    if rule.id.chars().count() > ID_CHARS_MAX {
        found.push(format!("the id has more than {ID_CHARS_MAX} characters"));
    }
    if let (Some(more), Some(less)) = (rule.larger_than, rule.smaller_than)
        && less <= more
    {
        found.push(format!("no object is over {more} and under {less} bytes"));
    }
    moves(rule, &mut found);
    expiry(rule, &mut found);
    noncurrent(rule, &mut found);
    let filtered = !rule.tags.is_empty() || rule.larger_than.is_some() || rule.smaller_than.is_some();
    if filtered && rule.aborts_uploads_after.is_some() {
        found.push("unfinished uploads cannot be chosen by tag or size".to_owned());
    }
    if rule.aborts_uploads_after.is_some_and(|days| days < 1) {
        found.push("unfinished uploads must be at least 1 day old".to_owned());
    }
    if !rule.tags.is_empty() && rule.removes_markers {
        found.push("delete markers cannot be chosen by tag".to_owned());
    }
    found
}

fn moves(rule: &Rule, found: &mut Vec<String>) {
    let mut seen = HashSet::new();
    let mut steps: Vec<(i32, Class)> = Vec::new();
    let dated = rule.moves.iter().filter(|one| matches!(one.when, When::Date(_))).count();
    if dated > 0 && dated < rule.moves.len() {
        found.push("moves by days and by date cannot stand in one rule".to_owned());
    }
    for one in &rule.moves {
        if !seen.insert(one.class.as_str()) {
            found.push(format!("two moves go to {}", one.class));
        }
        // A class newer than this program is S3's to judge.
        let Some(class) = Class::named(&one.class) else { continue };
        if class == Class::Standard {
            found.push("nothing can be moved to STANDARD".to_owned());
            continue;
        }
        let When::Days(days) = one.when else { continue };
        if days < class.days_before() {
            let least = class.days_before();
            found.push(format!("{class} after {days} days: S3 wants at least {least}"));
        }
        if days < 0 {
            found.push(format!("{class} after {days} days: days cannot be negative"));
        }
        steps.push((days, class));
    }
    steps.sort();
    for pair in steps.windows(2) {
        let ((first_days, first), (next_days, next)) = (pair[0], pair[1]);
        if next < first {
            found.push(format!("{first} after {first_days} days and {next} after {next_days}: objects only move to a colder class"));
        } else if next_days == first_days {
            found.push(format!(
                "{first} and {next} both after {next_days} days: the colder class must come later"
            ));
        } else if matches!(first, Class::StandardIa | Class::OnezoneIa) && next_days - first_days < DAYS_IN_IA
        {
            found.push(format!(
                "{first} after {first_days} days and {next} after {next_days}: S3 wants {DAYS_IN_IA} days between"
            ));
        }
    }
}

fn expiry(rule: &Rule, found: &mut Vec<String>) {
    let Some(expiry) = &rule.expiry else { return };
    if rule.removes_markers {
        found.push("expiry and removal of delete markers cannot stand in one rule".to_owned());
    }
    let When::Days(days) = expiry else { return };
    if *days < 1 {
        found.push(format!("expiry after {days} days: S3 wants at least 1"));
    }
    for one in &rule.moves {
        if one.when.days() >= *days {
            let after = one.when.days();
            found.push(format!(
                "{} after {after} days but expiry after {days}: expiry must come later",
                one.class
            ));
        }
    }
}

fn noncurrent(rule: &Rule, found: &mut Vec<String>) {
    for (days, class) in &rule.noncurrent_moves {
        let least = Class::named(class).map_or(0, Class::days_before);
        if *days < least {
            found
                .push(format!("noncurrent versions to {class} after {days} days: S3 wants at least {least}"));
        }
    }
    let Some((days, newer)) = rule.noncurrent_expiry else { return };
    if days < 1 {
        found.push(format!("noncurrent versions expire after {days} days: S3 wants at least 1"));
    }
    if newer.is_some_and(|newer| !(1..=100).contains(&newer)) {
        found.push("between 1 and 100 newer noncurrent versions can be kept".to_owned());
    }
    if let Some((moved, class)) = rule.noncurrent_moves.iter().find(|(moved, _)| *moved >= days) {
        found.push(format!("noncurrent versions go to {class} after {moved} days but expire after {days}"));
    }
}

/// Moves that leave a class before its least billed time, one sentence each: S3 accepts them, and bills
/// the rest of the time. `gone_after` is when the object is removed, by whatever removes it.
pub fn early(rule: &Rule, gone_after: Option<i32>) -> Vec<String> {
    let mut steps: Vec<(i32, Option<Class>)> = rule
        .moves
        .iter()
        .filter_map(|one| Some((one.when.days(), Some(Class::named(&one.class)?))))
        .collect();
    steps.sort();
    steps.extend(gone_after.map(|days| (days, None)));
    let mut found = Vec::new();
    for pair in steps.windows(2) {
        let ((from, Some(class)), (to, next)) = (pair[0], pair[1]) else { continue };
        let (stays, billed) = (to - from, class.days_billed());
        if stays < billed {
            let next = next.map_or("gone".to_owned(), |next| format!("in {next}"));
            found.push(format!(
                "in {class} for {stays} days and then {next}: S3 bills at least {billed} days of {class}"
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::rule::Move;
    use super::*;

    fn rule(moves: &[(i32, &str)], expiry: Option<i32>) -> Rule {
        let moves = moves
            .iter()
            .map(|(days, class)| Move { when: When::Days(*days), class: (*class).to_owned() })
            .collect();
        Rule { enabled: true, moves, expiry: expiry.map(When::Days), ..Rule::default() }
    }

    #[test]
    fn what_the_documentation_allows_is_allowed() {
        for moves in [
            &[(30, "STANDARD_IA"), (60, "GLACIER_IR"), (61, "GLACIER"), (200, "DEEP_ARCHIVE")][..],
            &[(0, "GLACIER_IR")],
            &[(0, "DEEP_ARCHIVE")],
            &[(5, "A_CLASS_OF_NEXT_YEAR")],
        ] {
            assert_eq!(refusals(&rule(moves, Some(400))), Vec::<String>::new(), "{moves:?}");
        }
    }

    #[test]
    fn what_s3_refuses_is_refused_with_its_reason() {
        for (moves, expiry, part) in [
            (&[(29, "STANDARD_IA")][..], None, "at least 30"),
            (&[(29, "ONEZONE_IA")], None, "at least 30"),
            (&[(30, "STANDARD_IA"), (59, "GLACIER")], None, "30 days between"),
            (&[(10, "DEEP_ARCHIVE"), (20, "GLACIER")], None, "only move to a colder"),
            (&[(10, "GLACIER"), (10, "DEEP_ARCHIVE")], None, "must come later"),
            (&[(10, "GLACIER"), (20, "GLACIER")], None, "two moves"),
            (&[(-1, "GLACIER")], None, "negative"),
            (&[(10, "STANDARD")], None, "STANDARD"),
            (&[(10, "GLACIER")], Some(10), "expiry must come later"),
            (&[], Some(0), "at least 1"),
        ] {
            let found = refusals(&rule(moves, expiry)).join("; ");
            assert!(found.contains(part), "{moves:?} {expiry:?}: {found}");
        }
        let markers = Rule { removes_markers: true, ..rule(&[], Some(3)) };
        assert_eq!(refusals(&markers).len(), 1);
        let small = Rule { larger_than: Some(1), aborts_uploads_after: Some(3), ..Rule::default() };
        assert_eq!(refusals(&small).len(), 1);
        let newer = Rule { noncurrent_expiry: Some((0, Some(101))), ..Rule::default() };
        assert_eq!(refusals(&newer).len(), 2);
    }

    #[test]
    fn leaving_a_class_before_its_billed_time_is_noticed() {
        let tiers = rule(&[(30, "GLACIER"), (60, "DEEP_ARCHIVE")], None);
        assert_eq!(early(&tiers, Some(2_557)).len(), 1);
        assert_eq!(early(&tiers, Some(200)).len(), 2);
        assert!(early(&rule(&[(30, "GLACIER"), (120, "DEEP_ARCHIVE")], None), Some(300)).is_empty());
    }
}
