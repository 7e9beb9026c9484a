use super::super::testing::{bodies, hinted, lines, settings};
use super::*;
use proptest::prelude::*;

fn extras(toml: &str, input: &[&str]) -> (Vec<Extra>, Counts) {
    apply(toml, lines(input))
}

fn apply(toml: &str, mut batch: Batch) -> (Vec<Extra>, Counts) {
    let settings: ParseSettings = settings(toml);
    settings.check("t").unwrap();
    let mut transform = settings.build("t").unwrap();
    let mut counts = Counts::default();
    let mut records = std::mem::take(&mut batch.records);
    let before = bodies(&batch, &records);
    transform.apply(&mut batch, &mut records, &mut counts);
    assert_eq!(bodies(&batch, &records), before, "a body is never changed");
    (records.iter().map(|record| Extra::of(&batch, record)).collect(), counts)
}

#[test]
fn json_gives_severity_and_trace_context_and_copies_no_field() {
    let line = r#"{"level":"warn","traceId":"0AF7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","x":{"y":1}}"#;
    let (extras, counts) = extras("format = \"json\"", &[line, "no json", r#"{"level":30,"msg":"pino"}"#]);
    assert_eq!((extras[0].severity_number, extras[0].severity_text.as_str()), (13, "warn"));
    assert_eq!(extras[0].trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(extras[0].span_id, "b7ad6b7169203331");
    assert!(extras[0].attributes.is_empty());
    assert_eq!(extras[1], Extra::default());
    assert_eq!(extras[2].severity_number, 9);
    assert_eq!(counts.errors, 1);
}

#[test]
fn auto_recognises_each_format_and_never_counts_an_error() {
    let input = [
        r#"10.1.2.3 - - [26/Jan/2019:20:27:53 +0330] "GET /a?b=c HTTP/1.1" 404 3863 "-" "curl/8""#,
        "I1122 10:00:00.000000    1234 main.go:10] started",
        "level=error msg=\"it broke\" user=eve",
        "2016/10/25 14:49:34 [error] 54053#0: *1 open() failed, client: 81.2.69.143, server: x",
        "just text",
    ];
    let (extras, counts) = extras("", &input);
    let attribute = |i: usize, name: &str| extras[i].attributes.get(name).cloned().unwrap_or_default();
    assert_eq!(attribute(0, "url.path"), "/a");
    assert_eq!(attribute(0, "url.query"), "b=c");
    assert_eq!(attribute(0, "http.response.status_code"), 404);
    assert_eq!(attribute(0, "client.address"), "10.1.2.3");
    assert_eq!((extras[1].severity_number, attribute(1, "code.line.number")), (9, 10.into()));
    assert_eq!((extras[2].severity_number, attribute(2, "user")), (17, "eve".into()));
    assert_eq!((extras[3].severity_number, attribute(3, "client.address")), (17, "81.2.69.143".into()));
    assert_eq!((&extras[4], counts.errors), (&Extra::default(), 0));
}

#[test]
fn apache_error_logs_of_both_ages_give_their_level() {
    let input = [
        "[Mon Dec 26 16:22:08 2016] [error] [client 192.168.33.1] File does not exist: /var/www/favicon.ico",
        "[Mon Dec 26 16:15:55.103786 2016] [core:notice] [pid 11379] AH00094: Command line: '/usr/local'",
        "[Wed Oct 20 19:20:59.121211 2021] [rewrite:trace3] [pid 121591:tid 1] [client 10.121.192.8:38350] applying",
        "no log line",
    ];
    let (extras, counts) = extras("format = \"apache\"", &input);
    let numbers: Vec<u8> = extras.iter().map(|extra| extra.severity_number).collect();
    assert_eq!((numbers, counts.errors), (vec![17, 10, 1, 0], 1));
    assert_eq!(extras[0].attributes["client.address"], "192.168.33.1");
    assert_eq!(extras[2].attributes["client.port"], 38350);
}

#[test]
fn named_groups_become_attributes_and_known_names_go_to_their_places() {
    let toml = "format = \"regex\"\npattern = '^(?P<severity>[A-Z]+) (?P<user>\\w+): '";
    let (extras, counts) = extras(toml, &["WARN eve: hello", "nothing"]);
    assert_eq!((extras[0].severity_number, &extras[0].attributes["user"]), (13, &"eve".into()));
    assert_eq!(counts.errors, 1);
}

#[test]
fn a_pod_may_choose_its_own_format() {
    let batch = hinted(&[r#"{"level":"error"}"#], "json");
    assert_eq!(apply("format = \"klog\"", batch).0[0].severity_number, 17);
    let batch = hinted(&[r#"{"level":"error"}"#], "json");
    assert_eq!(apply("format = \"klog\"\nhonor_hints = false", batch).1.errors, 1);
}

#[test]
fn what_is_known_already_stays() {
    let mut batch = lines(&["level=error a=1"]);
    let known = Extra { severity_number: 9, trace_id: "ab".into(), ..Extra::default() };
    let mut record = batch.records[0];
    known.store(&mut batch, &mut record);
    batch.records[0] = record;
    let (extras, _) = apply("", batch);
    assert_eq!((extras[0].severity_number, extras[0].trace_id.as_str()), (9, "ab"));
    assert_eq!(extras[0].attributes["a"], "1");
}

proptest! {
    #[test]
    fn no_body_makes_it_fail_and_what_it_writes_is_json(body in prop::collection::vec(any::<u8>(), 0..200),
                                                        text in "[ -~]{0,120}") {
        for format in ["auto", "json", "logfmt", "nginx", "apache", "gunicorn", "klog", "level"] {
            for body in [&body[..], text.as_bytes(), &[b"{\"level\":", &body[..]].concat()] {
                let mut batch = Batch::default();
                super::super::testing::push(&mut batch, body);
                let settings: ParseSettings = settings(&format!("format = \"{format}\""));
                let mut records = std::mem::take(&mut batch.records);
                settings.build("t").unwrap().apply(&mut batch, &mut records, &mut Counts::default());
                let mut line = b"{\"x\":1".to_vec();
                line.extend_from_slice(batch.bytes(records[0].extra));
                line.push(b'}');
                prop_assert!(serde_json::from_slice::<Value>(&line).is_ok(), "{}", String::from_utf8_lossy(&line));
            }
        }
    }
}
