#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::detect::rule::Meta;
use crate::detect::sigma::correlation::Bound;

fn rule(counted: Counted, span: i64, bounds: Vec<(Bound, f64)>, rules: &[&str]) -> Correlation {
    let map = serde_norway::from_str("title: t\nlevel: high").unwrap();
    Correlation {
        meta: Meta::from_yaml(&map, "test", true).unwrap(),
        rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        group_by: vec!["eventName".to_owned()],
        aliases: BTreeMap::new(),
        span_micros: span,
        counted,
        bounds,
        generate: false,
    }
}

/// Group, time, slot, values.
type Row<'a> = (&'a str, i64, u16, &'a [&'a str]);

fn run(rule: &Correlation, rows: &[Row<'_>]) -> Vec<(String, i64, i64, u64)> {
    let mut matches = Matches::default();
    for (row, (group, time, slot, values)) in rows.iter().enumerate() {
        let found = Match {
            group: vec![Some((*group).to_owned())],
            time: *time,
            row: row as u64,
            slot: Some(*slot),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        matches.add(rule, found, || (None, None));
    }
    let mut found: Vec<_> = matches
        .episodes(rule)
        .into_iter()
        .flat_map(|group| {
            let name = group.name[0].clone().unwrap();
            group
                .found
                .into_iter()
                .map(move |(episode, rows)| (name.clone(), episode.first, episode.last, rows))
        })
        .collect();
    found.sort();
    found
}

fn at_least(number: f64) -> Vec<(Bound, f64)> {
    vec![(Bound::Gte, number)]
}

fn a(first: i64, last: i64, rows: u64) -> Vec<(String, i64, i64, u64)> {
    vec![("a".to_owned(), first, last, rows)]
}

#[test]
fn windows_slide_over_any_boundary_and_groups_stay_apart() {
    let events = rule(Counted::Events, 10, at_least(3.0), &["r"]);
    let rows: &[Row<'_>] = &[
        ("b", 18, 0, &[]),
        ("a", 8, 0, &[]),
        ("a", 12, 0, &[]),
        ("b", 1, 0, &[]),
        ("a", 18, 0, &[]),
        ("b", 30, 0, &[]),
    ];
    assert_eq!(run(&events, rows), a(8, 18, 3));
    // One microsecond too long.
    let rows: &[Row<'_>] = &[("a", 8, 0, &[]), ("a", 12, 0, &[]), ("a", 19, 0, &[])];
    assert!(run(&events, rows).is_empty());
}

#[test]
fn values_are_counted_once_and_rows_by_their_own_number() {
    let values = rule(Counted::Values(vec!["name".to_owned()]), 10, at_least(3.0), &["r"]);
    let rows: &[Row<'_>] = &[("a", 1, 0, &["x", "y"]), ("a", 2, 0, &["x"]), ("a", 3, 0, &["z"])];
    assert_eq!(run(&values, rows), a(1, 3, 3));
    let rows: &[Row<'_>] = &[("a", 1, 0, &["x", "y"]), ("a", 2, 0, &["x"]), ("a", 13, 0, &["z"])];
    assert!(run(&values, rows).is_empty());
}

#[test]
fn sequences_need_their_order_and_every_rule() {
    let ordered = rule(Counted::Rules { ordered: true, condition: None }, 10, Vec::new(), &["p", "q", "r"]);
    let any = rule(Counted::Rules { ordered: false, condition: None }, 10, Vec::new(), &["p", "q", "r"]);
    let right: &[Row<'_>] = &[("a", 1, 0, &[]), ("a", 4, 1, &[]), ("a", 9, 2, &[])];
    let wrong: &[Row<'_>] = &[("a", 1, 2, &[]), ("a", 4, 1, &[]), ("a", 9, 0, &[])];
    assert_eq!(run(&ordered, right), a(1, 9, 3));
    assert!(run(&ordered, wrong).is_empty());
    assert_eq!(run(&any, wrong), a(1, 9, 3));
    // The latest start counts: the first `p` is too long ago, the second is not.
    let again: &[Row<'_>] = &[("a", 1, 0, &[]), ("a", 8, 0, &[]), ("a", 9, 1, &[]), ("a", 15, 2, &[])];
    assert_eq!(run(&ordered, again), a(8, 15, 3));
    // Within one instant the order that fits is taken.
    let tied: &[Row<'_>] = &[("a", 5, 2, &[]), ("a", 5, 1, &[]), ("a", 5, 0, &[])];
    assert_eq!(run(&ordered, tied), a(5, 5, 3));
    // Two of three, and a rule that must not match.
    let two = rule(Counted::Rules { ordered: false, condition: None }, 10, at_least(2.0), &["p", "q", "r"]);
    assert_eq!(run(&two, &right[1..]), a(4, 9, 2));
    let condition = crate::detect::sigma::condition::parse("p and not q").unwrap();
    let without =
        rule(Counted::Rules { ordered: false, condition: Some(condition) }, 10, Vec::new(), &["p", "q"]);
    assert_eq!(run(&without, &[("a", 1, 0, &[])]), a(1, 1, 1));
    assert!(run(&without, &[("a", 1, 1, &[]), ("a", 2, 0, &[])]).is_empty());
}

#[test]
fn numbers_add_up_within_the_window_only() {
    let numbers = |aggregate| Counted::Numbers { field: "n".to_owned(), aggregate };
    let rows: &[Row<'_>] =
        &[("a", 1, 0, &["10"]), ("a", 5, 0, &["20.5"]), ("a", 9, 0, &["none"]), ("a", 40, 0, &["31"])];
    assert_eq!(run(&rule(numbers(Aggregate::Sum), 10, at_least(30.5), &["r"]), rows), a(1, 40, 4));
    assert!(run(&rule(numbers(Aggregate::Sum), 10, at_least(31.5), &["r"]), rows).is_empty());
    let below = vec![(Bound::Lt, 15.5), (Bound::Gt, 10.0)];
    assert_eq!(run(&rule(numbers(Aggregate::Average), 10, below, &["r"]), rows), a(1, 5, 2));
    assert_eq!(run(&rule(numbers(Aggregate::Average), 10, at_least(30.0), &["r"]), rows), a(40, 40, 1));
    assert_eq!(
        run(&rule(numbers(Aggregate::Percentile(50.0)), 10, at_least(15.25), &["r"]), rows),
        a(1, 40, 4)
    );
    assert_eq!(
        run(&rule(numbers(Aggregate::Percentile(100.0)), 50, at_least(31.0), &["r"]), rows),
        a(1, 40, 4)
    );
}
