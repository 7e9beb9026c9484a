//! Our Sigma engine beside an independent one (rsigma), over generated rules and events.
//!
//! Every rule that both accept must match the same events. What is known to differ is not
//! generated, with the reason:
//! * a line break in a value: a wildcard of rsigma does not match it, the specification's does;
//! * a wildcard in a value of `startswith` or `endswith`: rsigma does not anchor it;
//! * `base64offset`: rsigma keeps a last character that depends on what follows the value;
//! * `windash`: rsigma replaces every dash, the specification means dashes that begin an option;
//! * a number with a fraction of zero (`7.0`): written differently by the two;
//! * `null` among the values of an array.

use logq_query::detect::case_table;
use logq_query::detect::engine;
use logq_query::detect::library::Library;
use logq_query::detect::sigma::detection::Placeholders;
use logq_query::detect::sigma::{self, Document};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rsigma_eval::event::JsonEvent;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const SEED: u64 = 20_261_125;
const RULES: usize = 400;
const EVENTS: usize = 120;

const NAMES: &[&str] = &[
    "CreateUser",
    "createuser",
    "DeleteTrail",
    "Straße",
    "STRASSE",
    "a*b",
    "axb",
    "a?b",
    "100%",
    "100x",
    "under_score",
    "underXscore",
    r"back\slash",
    r"C:\Windows\x",
    "line break",
    "",
    "cmd /f x",
    "cmd -f x",
    "10.1.2.3",
    "Zm9vYmFy",
    "ü",
    "[brackets]",
    "quote'd",
    "é́",
];
const PATTERNS: &[&str] = &[
    "CreateUser",
    "create*",
    "*user",
    "*e*e*",
    "a*b",
    r"a\*b",
    "a?b",
    r"a\?b",
    "100%",
    "10?%",
    "under_score",
    r"*\slash",
    r"back\\slash",
    r"C:\Windows\*",
    "line*",
    "",
    "cmd ?f x",
    "*",
    "?",
    "ü",
    "STRA*",
    "[brackets]",
    "quote'd",
    r"\\*",
    "10.*",
];
const PLAIN: &[&str] = &[
    "CreateUser",
    "create",
    "user",
    r"a\*b",
    "100",
    "under_",
    r"\slash",
    "",
    "cmd",
    "ü",
    "[",
    "'",
    "straße",
];
const REGEXES: &[&str] =
    &["^Create", "user$", "(?i)CREATE", "a.b", r"\d+\.\d", "^$", "[[:upper:]]{2}", "line.break"];
const ADDRESSES: &[&str] =
    &["10.1.2.3", "192.0.2.77", "2001:db8::5", "fd00::1", "not-an-address", "10.255.255.255"];
const NETWORKS: &[&str] = &["10.0.0.0/8", "192.0.2.64/26", "2001:db8::/32", "0.0.0.0/0", "fd00::/8"];

fn pick<'a>(random: &mut ChaCha8Rng, from: &[&'a str]) -> &'a str {
    from.choose(random).copied().unwrap_or_default()
}

fn event(random: &mut ChaCha8Rng, number: usize) -> Value {
    let mut event = json!({
        "eventVersion": "1.08",
        "eventID": format!("event-{number}"),
        "eventTime": format!("2026-01-15T{:02}:{:02}:00Z", number % 24, number % 60),
        // One entity for each event, so that a finding is one event.
        "userIdentity": {"type": "IAMUser", "arn": format!("event-{number}"), "userName": pick(random, NAMES)},
        "eventSource": "iam.amazonaws.com",
        "sourceIPAddress": pick(random, ADDRESSES),
        "recipientAccountId": "111122223333",
    });
    for field in ["eventName", "errorCode", "userAgent"] {
        if random.random_bool(0.7) {
            event[field] = Value::from(pick(random, NAMES));
        }
    }
    if random.random_bool(0.8) {
        let mut parameters = json!({});
        for field in ["name", "other"] {
            if random.random_bool(0.7) {
                parameters[field] = Value::from(pick(random, NAMES));
            }
        }
        parameters["size"] = match random.random_range(0..5) {
            0 => json!(random.random_range(-3..12)),
            1 => json!(random.random_range(-3..12).to_string()),
            2 => json!(f64::from(random.random_range(0..9)) + 0.5),
            3 => json!(true),
            _ => Value::Null,
        };
        if random.random_bool(0.5) {
            let tags: Vec<Value> =
                (0..random.random_range(0..3)).map(|_| Value::from(pick(random, NAMES))).collect();
            parameters["tags"] = Value::from(tags);
        }
        if random.random_bool(0.5) {
            let items: Vec<Value> =
                (0..random.random_range(1..3)).map(|_| json!({"key": pick(random, NAMES)})).collect();
            parameters["set"] = json!({"items": items});
        }
        event["requestParameters"] = parameters;
    }
    event
}

/// A YAML text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn field(random: &mut ChaCha8Rng) -> String {
    const TEXTS: &[&str] = &[
        "eventName",
        "errorCode",
        "userAgent",
        "userIdentity.userName",
        "requestParameters.name",
        "requestParameters.other",
        "requestParameters.tags",
        "requestParameters.set.items.key",
        "requestParameters.missing",
    ];
    let name = pick(random, TEXTS);
    let list = |values: Vec<String>| format!("[{}]", values.join(", "));
    match random.random_range(0..14) {
        0..=3 => {
            let count = random.random_range(1..4);
            format!("{name}: {}", list((0..count).map(|_| quoted(pick(random, PATTERNS))).collect()))
        }
        4..=6 => {
            let place = pick(random, &["contains", "startswith", "endswith"]);
            let cased = if random.random_bool(0.3) { "|cased" } else { "" };
            let from = if place == "contains" { PATTERNS } else { PLAIN };
            let count = random.random_range(1..3);
            let all = if count > 1 && random.random_bool(0.5) { "|all" } else { "" };
            format!(
                "{name}|{place}{all}{cased}: {}",
                list((0..count).map(|_| quoted(pick(random, from))).collect())
            )
        }
        7 => format!("{name}|cased: {}", quoted(pick(random, PATTERNS))),
        8 => format!("{name}|re{}: {}", pick(random, &["", "|i", "|s", "|m"]), quoted(pick(random, REGEXES))),
        9 => format!(
            "sourceIPAddress|cidr: {}",
            list(vec![quoted(pick(random, NETWORKS)), quoted(pick(random, NETWORKS))])
        ),
        10 => {
            let order = pick(random, &["lt", "lte", "gt", "gte"]);
            format!("requestParameters.size|{order}: {}", random.random_range(-2..11))
        }
        11 => format!("{name}|exists: {}", random.random_bool(0.5)),
        12 => format!("{name}: null"),
        _ => match random.random_range(0..3) {
            0 => format!("{name}|base64: {}", quoted(pick(random, &["foobar", "foo"]))),
            1 => format!(
                "userAgent|fieldref: {}",
                pick(random, &["eventName", "errorCode", "userIdentity.userName"])
            ),
            _ => format!("requestParameters.size: {}", random.random_range(-2..11)),
        },
    }
}

fn rule(random: &mut ChaCha8Rng, number: usize) -> String {
    const CONDITIONS: &[&str] = &[
        "s1",
        "not s1",
        "s1 and s2",
        "s1 or s2",
        "s1 and not s2",
        "1 of s*",
        "all of s*",
        "(s1 or s2) and not s3",
        "1 of them",
        "all of them",
        "not 1 of s*",
        "s1 and not (s2 or s3)",
        "not (s1 and not s2)",
    ];
    let mut text = format!(
        "title: Rule {number}\nid: rule-{number}\nlogsource:\n  product: aws\n  service: cloudtrail\ndetection:\n"
    );
    for selection in ["s1", "s2", "s3"] {
        text.push_str(&format!("  {selection}:\n"));
        let mut seen = BTreeSet::new();
        let lists = random.random_bool(0.2);
        for _ in 0..random.random_range(1..3) {
            let field = field(random);
            if seen.insert(field.split(':').next().unwrap_or_default().to_owned()) {
                text.push_str(&format!("    {}{field}\n", if lists { "- " } else { "" }));
            }
        }
    }
    text + &format!("  condition: {}\n", pick(random, CONDITIONS))
}

#[tokio::test]
async fn generated_rules_match_what_an_independent_engine_matches() {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let events: Vec<Value> = (0..EVENTS).map(|number| event(&mut random, number)).collect();
    let table = &logq_schemas::tables::cloudtrail::TABLE;
    let rows = events.iter().map(|event| case_table::row(table, event.as_object().unwrap())).collect();
    let session = case_table::session(vec![(table, rows)]).unwrap();
    let (mut library, mut texts, mut theirs) = (Library::default(), Vec::new(), BTreeSet::new());
    for number in 0..RULES {
        let text = rule(&mut random, number);
        let (documents, problems) = sigma::parse(&text, "generated", false, &Placeholders::new());
        assert!(problems.iter().all(|problem| problem.message.contains("always")), "{text}\n{problems:?}");
        let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
        let mut engine = rsigma_eval::Engine::new();
        engine.add_collection(&collection).unwrap_or_else(|error| panic!("{error}\n{text}"));
        texts.push(text);
        let Some(Document::Rule(rule)) = documents.into_iter().next() else { continue };
        library.sigma.push(rule);
        for (at, event) in events.iter().enumerate() {
            if !engine.evaluate(&JsonEvent::borrow(event)).is_empty() {
                theirs.insert((number, at));
            }
        }
    }
    assert!(library.sigma.len() > RULES * 9 / 10, "{} rules", library.sigma.len());
    let outcome = engine::run(&session, &library, None).await;
    assert!(outcome.problems.is_empty() && outcome.failures.is_empty(), "{:?}", outcome.problems);
    let number = |text: &str, before: &str| text.strip_prefix(before).unwrap().parse::<usize>().unwrap();
    let ours: BTreeSet<(usize, usize)> = outcome
        .findings
        .iter()
        .map(|finding| (number(&finding.rule_id, "rule-"), number(&finding.entity, "event-")))
        .collect();
    let differing: Vec<&(usize, usize)> = ours.symmetric_difference(&theirs).collect();
    let rules: BTreeSet<usize> = differing.iter().map(|(rule, _)| *rule).collect();
    let shown: Vec<String> = rules
        .iter()
        .take(8)
        .map(|rule| {
            let at = differing.iter().find(|(other, _)| other == rule).unwrap();
            format!(
                "{}matched by {} only: {}",
                texts[*rule],
                if ours.contains(at) { "us" } else { "rsigma" },
                events[at.1]
            )
        })
        .collect();
    assert!(
        differing.is_empty(),
        "seed {SEED}: {} rules differ over {} pairs\n{}",
        rules.len(),
        differing.len(),
        shown.join("\n\n")
    );
    assert!(ours.len() > RULES, "only {} matches: the generator is broken", ours.len());
}
