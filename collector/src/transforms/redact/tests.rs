use super::super::testing::{bodies, lines, settings};
use super::*;
use proptest::prelude::*;

fn redact(toml: &str, input: &[&str]) -> (Vec<String>, Counts) {
    let settings: RedactSettings = settings(toml);
    settings.check("t").unwrap();
    let mut transform = settings.build("t").unwrap();
    let (mut batch, mut counts) = (lines(input), Counts::default());
    let mut records = std::mem::take(&mut batch.records);
    transform.apply(&mut batch, &mut records, &mut counts);
    (bodies(&batch, &records), counts)
}

fn one(text: &str) -> String {
    redact("", &[text]).0.remove(0)
}

/// Secrets made for this test, one for each detector that is on by default. Put together from
/// parts, so that no scanner of source code takes them for real ones.
fn secrets() -> Vec<(&'static str, String, String)> {
    let key = format!("{}/{}", "wJalrXUtnFEMI", "K7MDENG+bPxRfiCYEXAMPLEKEY");
    let token = "FwoGZXIvYXdzEBYaDH".repeat(4);
    let jwt =
        format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", "eyJzdWIiOiIxMjM0NTYifQ", "dBjftJeZ4CVPmB92K27uhbUJU1p1r");
    let hub = format!("ghp_{}", "a1B2".repeat(9));
    let slack = format!("xox{}-123456789012-abcdefGHIJ", "b");
    vec![
        ("aws_secret_access_key", format!("\"secretAccessKey\": \"{key}\""), key.clone()),
        ("aws_secret_access_key", format!(r#"{{"m":"secret_access_key=\"{key}\""}}"#), key),
        ("aws_session_token", format!("\"sessionToken\":\"{token}\",\"x\":1"), token),
        (
            "bearer_token",
            "Authorization: Bearer abcdef0123456789abcdef".to_owned(),
            "abcdef0123456789abcdef".into(),
        ),
        ("jwt", format!("cookie {jwt} end"), jwt),
        ("credit_card", "card 4111 1111 1111 1111 ok".to_owned(), "4111 1111 1111 1111".into()),
        ("github_token", format!("clone {hub}"), hub),
        ("slack_token", format!("hook {slack}"), slack),
        ("url_password", "postgres://app:s3cr3t@db:5432/x".to_owned(), "s3cr3t".into()),
        ("password", "user=eve password=hunter2 ok".to_owned(), "hunter2".into()),
        ("password", r#"{"password":"a b c","z":1}"#.to_owned(), "a b c".into()),
    ]
}

#[test]
fn g11_each_secret_is_taken_out_and_nothing_else() {
    for (name, text, secret) in secrets() {
        let expected = text.replace(&secret, &format!("[redacted:{name}]"));
        assert_eq!(one(&text), expected, "{name}");
    }
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nAbC\n-----END RSA PRIVATE KEY-----";
    assert!(!one(key).contains("MIIEow"), "{}", one(key));
}

#[test]
fn numbers_that_are_no_cards_and_clean_lines_stay() {
    let clean = [
        "order 4111111111111112 shipped",
        "2026-11-24T10:00:00.123456789Z request 1234567890123456 took 12 ms",
        "Failed password for invalid user admin from 1.2.3.4 port 22 ssh2",
        "token bucket is full",
        r#"{"level":"info","msg":"hello","n":12345}"#,
    ];
    let (bodies, counts) = redact("", &clean);
    assert_eq!((bodies.as_slice(), counts.changed), (clean.map(str::to_owned).as_slice(), 0));
}

#[test]
fn json_stays_json_and_attributes_are_covered() {
    let body = one(r#"{"card":4111111111111111,"n":[4111111111111111],"t":"4111111111111111"}"#);
    let parsed: serde_json::Value = serde_json::from_str(&body).expect(&body);
    assert_eq!(parsed["card"], "[redacted:credit_card]");
    assert_eq!(parsed["n"][0], "[redacted:credit_card]");
    let settings = RedactSettings::default();
    let mut batch = lines(&["clean"]);
    let mut record = batch.records[0];
    let mut extra = crate::extra::Extra::default();
    extra.attributes.insert("h".into(), "Bearer abcdef0123456789abcdef".into());
    extra.attributes.insert("card".into(), 4_111_111_111_111_111_u64.into());
    extra.store(&mut batch, &mut record);
    let mut records = vec![record];
    settings.build("t").unwrap().apply(&mut batch, &mut records, &mut Counts::default());
    let clean = crate::extra::Extra::of(&batch, &records[0]);
    assert_eq!(clean.attributes["h"], "Bearer [redacted:bearer_token]");
    assert_eq!(clean.attributes["card"], "[redacted:credit_card]");
}

#[test]
fn the_action_and_own_patterns_are_followed() {
    let (bodies, _) = redact("action = \"remove\"\ndetectors = [\"email\"]", &["to eve@example.com."]);
    assert_eq!(bodies, ["to ."]);
    let hashed =
        redact("action = \"hash\"\nsalt = \"s\"\ndetectors = [\"email\"]", &["a@b.cc", "a@b.cc", "x@b.cc"]).0;
    assert!(
        hashed[0] == hashed[1] && hashed[0] != hashed[2] && hashed[0].starts_with("[email:"),
        "{hashed:?}"
    );
    let (bodies, _) = redact("detectors = []\npatterns = { id = 'id=(?P<s>[0-9]+)' }", &["id=42 x"]);
    assert_eq!(bodies, ["id=[redacted:id] x"]);
    for wrong in
        ["detectors = [\"nope\"]", "patterns = { a = '(' }", "patterns = { a = 'x*' }", "action = \"hash\""]
    {
        assert!(settings::<RedactSettings>(wrong).check("t").is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn g11_a_planted_secret_never_gets_through(before in "[ -~]{0,40}", after in "[ -~]{0,40}", which in 0..11usize) {
        let (_, text, secret) = secrets().remove(which);
        // Set apart from the noise, which could otherwise make it another text.
        let line = format!("{before} , {text} , {after}");
        prop_assert!(!one(&line).contains(&secret), "{line}");
    }

    #[test]
    fn no_bytes_make_it_fail(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut batch = Batch::default();
        super::super::testing::push(&mut batch, &body);
        let mut records = std::mem::take(&mut batch.records);
        RedactSettings::default().build("t").unwrap().apply(&mut batch, &mut records, &mut Counts::default());
        prop_assert_eq!(records.len(), 1);
    }
}
