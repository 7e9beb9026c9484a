//! `logq report`: one page, whatever the lake holds.

use crate::lake::{TestLake, call, flow, text, three_days};
use datafusion::scalar::ScalarValue;

#[test]
fn the_report_shows_findings_traffic_and_what_is_missing() {
    let lake = three_days();
    let mut stop = call("2026-11-21T10:00:00Z", "StopLogging");
    stop.insert("event_source", text("cloudtrail.amazonaws.com"));
    stop.insert("actor", text("arn:aws:iam::111111111111:user/<b>mallory</b>"));
    stop.insert("user_identity_arn", text("arn:aws:iam::111111111111:user/<b>mallory</b>"));
    stop.insert("outcome", text("success"));
    lake.append("cloudtrail", &[stop]);
    let mut rejected = flow("2026-11-21T10:00:00Z", "198.51.100.7", 3389, 0);
    rejected.insert("action", text("REJECT"));
    rejected.insert("protocol", ScalarValue::Int32(Some(6)));
    lake.append("vpc_flow", &[rejected]);
    let page = lake.path().join("page.html");
    let ran = lake.logq(&[
        "report",
        "--since",
        "2026-11-20",
        "--until",
        "2026-11-23",
        "--output",
        page.to_str().unwrap(),
    ]);
    ran.ok();
    let html = std::fs::read_to_string(&page).unwrap();
    for expected in [
        "CloudTrail",
        "&lt;b&gt;mallory&lt;/b&gt;",
        "3389 rdp",
        "class=\"heat\"",
        "class=\"band",
        "class=\"bar\"",
        "<circle ",
        "203.0.113.7",
    ] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
    assert!(!html.contains("<b>mallory"), "{html}");
    // Freshness comes from `ingest`, which has nothing here.
    assert!(html.contains("No data in this interval"), "{html}");
    assert!(
        std::fs::read_dir(lake.path()).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("partial"))
    );
}

#[test]
fn a_report_over_nothing_is_a_page_that_says_so() {
    let lake = TestLake::new();
    let html = lake.logq(&["-q", "report", "--output", "-"]).ok();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"), "{html}");
    assert!(html.contains("has no data") && !html.contains("<svg"), "{html}");
}
