use super::super::filter::FilterSettings;
use super::super::testing::{bodies, lines, settings};
use super::*;

fn apply<S: Settings + TransformConfig>(toml: &str, input: &[&str]) -> (Vec<String>, Counts) {
    let settings: S = settings(toml);
    settings.check("t").unwrap();
    let mut transform = settings.build("t").unwrap();
    let (mut batch, mut counts) = (lines(input), Counts::default());
    let mut records = std::mem::take(&mut batch.records);
    transform.apply(&mut batch, &mut records, &mut counts);
    assert_eq!(records.len() as u64 + counts.dropped.values().sum::<u64>(), input.len() as u64);
    (bodies(&batch, &records), counts)
}

#[test]
fn a_filter_keeps_or_drops_what_its_condition_says() {
    let input = ["GET /health ok", "GET /pay ok", "boom"];
    let keep = apply::<FilterSettings>("[condition]\nmatches = ['^GET']\npods = ['a*']", &input);
    assert_eq!(keep.0, ["GET /health ok", "GET /pay ok"]);
    let drop = apply::<FilterSettings>("mode = \"drop\"\n[condition]\ncontains = ['/health']", &input);
    assert_eq!((drop.0.len(), drop.1.dropped["filtered"]), (2, 1));
    assert!(apply::<FilterSettings>("[condition]\nnamespaces = ['kube-*']", &input).0.is_empty());
    assert!(apply::<FilterSettings>("[condition]\nseverity_min = 'warn'", &input).0.is_empty());
    for wrong in ["[condition]", "[condition]\nmatches = ['(']", "[condition]\nseverity_min = 'loud'"] {
        assert!(settings::<FilterSettings>(wrong).check("t").is_err(), "{wrong}");
    }
}

#[test]
fn a_sample_picks_about_its_share_the_same_every_time_and_spares_what_is_excluded() {
    let texts: Vec<String> = (0..4_000).map(|n| format!("line {n}")).collect();
    let input: Vec<&str> = texts.iter().map(String::as_str).collect();
    let picked = apply::<SampleSettings>("rate = 10", &input).0;
    assert!((300..500).contains(&picked.len()), "{}", picked.len());
    assert_eq!(apply::<SampleSettings>("rate = 10", &input).0, picked);
    let spared = apply::<SampleSettings>("rate = 1000000\n[exclude]\ncontains = ['99']", &input).0;
    assert_eq!(spared.len(), texts.iter().filter(|text| text.contains("99")).count());
}

#[test]
fn a_throttle_lets_a_burst_pass_and_then_its_rate() {
    let mut throttle = Throttle {
        interval: Duration::from_millis(100),
        window: Duration::from_secs(1),
        key_field: KeyField::All,
        start: Instant::now(),
        due: HashMap::new(),
    };
    let mut passed =
        |at: u64, tries: usize| (0..tries).filter(|_| throttle.passes(7, Duration::from_millis(at))).count();
    assert_eq!(passed(0, 50), 10, "the burst");
    assert_eq!(passed(250, 50), 2, "one for every 100 ms since");
    assert_eq!(passed(10_000, 50), 10, "a full burst after a pause");
    assert_eq!(throttle_other(), 10);
}

fn throttle_other() -> usize {
    apply::<ThrottleSettings>("threshold = 10\nwindow_secs = 3600", &["x"; 25]).0.len()
}

#[test]
fn repeated_bodies_are_dropped_and_memory_is_bounded() {
    let (bodies, counts) = apply::<DedupeSettings>("", &["a", "b", "a", "a", "c"]);
    assert_eq!((bodies.join(""), counts.dropped["duplicate"]), ("abc".to_owned(), 2));
    let settings: DedupeSettings = settings("cache = 100");
    let mut dedupe = Dedupe { settings, seen: HashMap::new() };
    for round in 0..20 {
        let texts: Vec<String> = (0..50).map(|n| format!("{round} {n}")).collect();
        let mut batch = lines(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut records = std::mem::take(&mut batch.records);
        dedupe.apply(&mut batch, &mut records, &mut Counts::default());
        assert_eq!(records.len(), 50);
        assert!(dedupe.seen.len() <= 100);
    }
}
