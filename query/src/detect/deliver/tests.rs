#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::detect::finding::Occurrence;
use crate::detect::rule::Meta;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn finding(summary: &str) -> Finding {
    let map =
        serde_norway::from_str("title: <Title>\nid: r\nlevel: high\ntags: [attack.discovery, attack.t1046]")
            .unwrap();
    let meta = Meta::from_yaml(&map, "test", true).unwrap();
    Finding::new(
        &meta,
        Occurrence {
            entity: "10.0.0.1".to_owned(),
            account_id: Some("111122223333".to_owned()),
            region: None,
            first: 1_000_000,
            last: 2_000_000,
            count: 3,
            summary: summary.to_owned(),
            evidence: Vec::new(),
            sql: "SELECT 1".to_owned(),
        },
    )
}

/// A receiver that answers with these status lines, one a request; what it got is the result.
async fn receiver(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut got = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                });
                if body.len() >= length.unwrap().parse::<usize>().unwrap() {
                    got.push(text);
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        got
    });
    (address, task)
}

fn webhook(address: &str, slack: bool) -> Webhook {
    Webhook { pause: Duration::from_millis(1), ..Webhook::new(address, slack).unwrap() }
}

#[tokio::test]
async fn a_busy_receiver_is_tried_again_and_one_that_refuses_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.jsonl");
    let (address, task) = receiver(vec!["503 Busy", "429 Slow\r\nretry-after: 0", "200 OK", "400 Bad"]).await;
    let findings = [finding("one"), finding("two")];
    let delivered = webhook(&address, false).deliver(&findings, &dead).await.unwrap();
    assert_eq!(delivered, Delivered { sent: 1, dead: 1 });
    let got = task.await.unwrap();
    assert!(got.iter().all(|text| text.contains(&format!("idempotency-key: {}", findings[0].finding_id))));
    assert!(got[0].contains("\"summary\":\"one\"") && got[3].contains("\"summary\":\"two\""));
    let letter: Value = serde_json::from_str(std::fs::read_to_string(&dead).unwrap().trim()).unwrap();
    assert_eq!(letter["finding"]["summary"], "two");
    assert!(letter["reason"].as_str().unwrap().contains("400") && !letter.to_string().contains("/hook"));
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_no_finding_and_names_no_address() {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.jsonl");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/secret", listener.local_addr().unwrap());
    drop(listener);
    let delivered = webhook(&address, false).deliver(&[finding("one")], &dead).await.unwrap();
    assert_eq!(delivered, Delivered { sent: 0, dead: 1 });
    let letter = std::fs::read_to_string(&dead).unwrap();
    assert!(letter.contains("5 times") && !letter.contains("secret"), "{letter}");
}

#[tokio::test]
async fn slack_shows_no_markup_of_an_attacker() {
    let (address, task) = receiver(vec!["200 OK"]).await;
    let folder = tempfile::tempdir().unwrap();
    let findings = [finding("<!channel> & <https://evil.example|click>")];
    webhook(&address, true).deliver(&findings, folder.path()).await.unwrap();
    let got = task.await.unwrap().remove(0);
    assert!(
        got.contains("&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;")
            && got.contains("&lt;Title&gt;")
    );
    assert!(Webhook::new("ftp://x", false).is_err() && Webhook::new("@/nonexistent", false).is_err());
}

#[test]
fn other_formats_say_the_same_finding() {
    let finding = finding("why");
    let event = crate::detect::ocsf::event(&finding);
    assert_eq!((event["class_uid"].as_i64(), event["type_uid"].as_i64()), (Some(2004), Some(200_401)));
    assert_eq!(event["finding_info"]["uid"], finding.finding_id);
    assert_eq!(event["finding_info"]["attacks"][1]["technique"]["uid"], "T1046");
    assert_eq!(event["severity_id"], 4);
    assert_eq!(event["cloud"]["account"]["uid"], "111122223333");
    let asff = crate::detect::asff::finding(&finding);
    assert_eq!(asff["Types"][0], "TTPs/Discovery");
    assert_eq!(asff["Severity"]["Label"], "HIGH");
    assert_eq!(asff["ProductArn"], "arn:aws:securityhub:us-east-1:111122223333:product/111122223333/default");
    let sarif = crate::detect::sarif::log(std::slice::from_ref(&finding));
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");
    assert_eq!(sarif["runs"][0]["results"][0]["partialFingerprints"]["findingId/v1"], finding.finding_id);
}

#[test]
fn kept_findings_are_updated_and_not_repeated() {
    use crate::detect::ledger::{self, Written};
    let folder = tempfile::tempdir().unwrap();
    let mut finding = finding("one");
    assert_eq!(
        ledger::write(folder.path(), std::slice::from_ref(&finding)).unwrap(),
        Written { new: 1, updated: 0 }
    );
    finding.count = 9;
    assert_eq!(
        ledger::write(folder.path(), std::slice::from_ref(&finding)).unwrap(),
        Written { new: 0, updated: 1 }
    );
    assert_eq!(ledger::write(folder.path(), std::slice::from_ref(&finding)).unwrap(), Written::default());
    let path = folder.path().join("findings-1970-01-01.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("\"count\":9"));
    std::fs::write(&path, "something else\n").unwrap();
    assert!(
        ledger::write(folder.path(), std::slice::from_ref(&finding)).is_err(),
        "what is not ours is not replaced"
    );
}

#[test]
fn a_watch_tells_what_is_new_or_grown_and_survives_a_restart() {
    use crate::detect::engine::Outcome;
    use crate::detect::watch::State;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let mut state = State::load(&path).unwrap();
    let versions = std::collections::BTreeMap::from([("cloudtrail".to_owned(), 3)]);
    let mut finding = finding("one");
    let news = state.news(std::slice::from_ref(&finding));
    assert_eq!(news.len(), 1);
    assert!(state.is_behind(&versions));
    // Stopped before the state is saved: the next start tells it again.
    assert_eq!(State::load(&path).unwrap().news(std::slice::from_ref(&finding)).len(), 1);
    let now = finding.last_seen;
    state.take(&news, versions.clone(), &Outcome::default(), now);
    state.save(&path).unwrap();
    let mut state = State::load(&path).unwrap();
    assert!(!state.is_behind(&versions) && state.news(std::slice::from_ref(&finding)).is_empty());
    finding.count += 1;
    assert_eq!(state.news(std::slice::from_ref(&finding)).len(), 1);
    state.take(&[], versions, &Outcome::default(), now + chrono::Duration::days(401));
    assert_eq!(state.news(&news).len(), 1, "forgotten when it is old");
    std::fs::write(&path, "{}x").unwrap();
    assert!(State::load(&path).is_err());
}
