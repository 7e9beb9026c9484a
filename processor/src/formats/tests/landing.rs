//! Landing objects of the collector.

use super::*;

#[test]
fn landing_records_become_rows() {
    let mut text = landing_file(0).replace("{\"end\":0}\n", "");
    let bodies = [
        r#""b":"{\"level\":\"error\",\"time\":\"2024-05-01T09:59:59Z\"}""#,
        r#""b":"1.2.3.4 - - [01/May/2024:10:00:00 +0000] \"GET /x HTTP/1.1\" 500 12 \"-\" \"curl\"""#,
        r#""b64":"oUE=","cut":"truncated""#,
        r#""b":"""#,
    ];
    for (number, body) in bodies.iter().enumerate() {
        text.push_str(&format!("{{\"s\":0,\"o\":{number},\"t\":\"2024-05-01T10:00:00.5Z\",{body}}}\n"));
    }
    text.push_str("{\"end\":4}\n");
    let (report, taken) = read_bytes(&zst(text.as_bytes()));
    assert_eq!(
        (report.format, report.counts.rows, report.counts.rejected),
        (FormatKind::Landing, 4, 0),
        "{:?}",
        taken.rejected
    );
    assert_eq!(taken.column("event_uid"), ["4f0c:0", "4f0c:1", "4f0c:2", "4f0c:3"]);
    assert_eq!(taken.column("severity_number"), ["17", "-", "-", "-"]);
    assert_eq!(taken.column("event_time")[..2], ["1714557599000000", "1714557600500000"]);
    assert_eq!(
        (taken.column("http_status")[1].as_str(), taken.column("outcome")[1].as_str()),
        ("500", "failure")
    );
    assert_eq!(taken.column("src_ip")[1], "1.2.3.4");
    assert_eq!(taken.column("body")[2], "\u{fffd}A");
    assert!(taken.column("body_bytes")[2].contains("161") || taken.column("body_bytes")[2].contains("a1"));
    assert_eq!(taken.column("cut")[2], "truncated");
    assert_eq!(
        (taken.column("actor")[0].as_str(), taken.column("labels")[0].as_str()),
        ("shop/api-1", r#"{"app":"x"}"#)
    );
    assert_eq!((taken.column("restart_count")[0].as_str(), taken.column("node")[0].as_str()), ("2", "n1"));
    // The same object again, within the run.
    let mut seen = Seen::default();
    read_with("a", text.as_bytes(), &Limits::default(), &mut seen);
    assert_eq!(read_with("a", text.as_bytes(), &Limits::default(), &mut seen).0.counts.duplicates, 4);
}

#[test]
fn what_the_collector_parsed_has_the_last_word_and_joins_what_the_body_says() {
    let mut text = landing_file(0).replace("{\"end\":0}\n", "");
    text.push_str(
        "{\"s\":0,\"o\":0,\"t\":\"2024-05-01T10:00:00.5Z\",\"b\":\"{\\\"level\\\":\\\"info\\\",\\\"x\\\":1}\",\
         \"n\":17,\"sv\":\"ERR\",\"tr\":\"0af7651916cd43dd8448eb211c80319c\",\"a\":{\"y\":2}}\n\
         {\"s\":0,\"o\":9,\"t\":\"2024-05-01T10:00:01Z\",\"b\":\"plain\",\"a\":{\"user\":\"eve\"}}\n{\"end\":2}\n",
    );
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!((report.counts.rows, report.counts.rejected), (2, 0), "{:?}", taken.rejected);
    assert_eq!(taken.column("severity_number"), ["17", "-"]);
    assert_eq!(taken.column("severity_text"), ["ERR", "-"]);
    assert_eq!(taken.column("trace_id")[0], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(taken.column("attributes"), [r#"{"level":"info","x":1,"y":2}"#, r#"{"user":"eve"}"#]);
}

#[test]
fn a_record_without_a_pod_keeps_what_is_known_about_it() {
    let text = concat!(
        r#"{"landing":1,"cluster":"c1","node":"n1"}"#,
        "\n",
        r#"{"stream":0,"id":"aa","file":"/var/log/app/app.log","host":"web-1","service":"checkout","source":"otlp","workload":"Deployment/api","resource":{"deployment.environment.name":"prod"}}"#,
        "\n",
        r#"{"s":0,"o":0,"t":"2024-05-01T10:00:00Z","b":"x"}"#,
        "\n{\"end\":1}\n"
    );
    let (report, taken) = read_bytes(text.as_bytes());
    assert_eq!(report.counts.rows, 1, "{:?}", taken.rejected);
    for (column, expected) in [
        ("actor", "checkout"),
        ("service", "checkout"),
        ("host", "web-1"),
        ("workload", "Deployment/api"),
        ("file", "/var/log/app/app.log"),
        ("resource", r#"{"deployment.environment.name":"prod"}"#),
        ("pod", "-"),
    ] {
        assert_eq!(taken.column(column)[0], expected, "{column}");
    }
}

#[test]
fn incomplete_and_unknown_landing_objects_are_reported() {
    let whole = landing_file(5);
    let without_trailer = whole.replace("{\"end\":5}\n", "");
    let (report, taken) = read_bytes(without_trailer.as_bytes());
    assert_eq!((report.counts.rows, taken.reasons()), (5, vec![Reason::IncompleteLanding]));
    let (report, taken) = read_bytes(whole.replace("\"end\":5", "\"end\":6").as_bytes());
    assert_eq!((report.counts.rows, taken.reasons()), (5, vec![Reason::IncompleteLanding]));
    let (report, taken) = read_bytes(whole.replace("\"landing\":1", "\"landing\":2").as_bytes());
    assert_eq!((report.counts.records, taken.reasons()), (1, vec![Reason::UnknownLandingVersion]));
    let (report, taken) = read_bytes(whole.replacen("\"s\":0", "\"s\":9", 1).as_bytes());
    assert_eq!((report.counts.rows, taken.reasons()), (4, vec![Reason::NotARecord]));
    let (report, taken) = read_bytes(whole.replacen("\"b\":\"line 2", "\"b\":\"line\u{1} 2", 1).as_bytes());
    assert_eq!((report.counts.rows, taken.reasons()), (4, vec![Reason::InvalidJson]));
    let (report, _) = read_bytes(
        [zst(whole.as_bytes()), zst(whole.replace("4f0c", "5a5a").as_bytes())].concat().as_slice(),
    );
    assert_eq!((report.counts.rows, report.counts.rejected), (10, 0));
}
