use super::*;
use crate::batch::{Encoding, Span};
use crate::stream::Stream;
use logq_schemas::landing;
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

fn taps() -> Arc<Taps> {
    Arc::new(Taps::new(vec!["pods".to_owned(), "clean".to_owned()]))
}

fn batch(pod: &str, bodies: &[&[u8]]) -> Batch {
    let about = landing::Stream { namespace: "shop".into(), pod: pod.into(), ..landing::Stream::default() };
    let mut batch = Batch { streams: vec![Arc::new(Stream::new(about))], ..Batch::default() };
    for body in bodies {
        let (time, body) = (batch.push(b"2026-11-22T10:00:00Z"), batch.push(body));
        batch.records.push(Record {
            stream: 0,
            encoding: Encoding::Unchecked,
            cut: Cut::No,
            offset: 0,
            time,
            body,
            extra: Span::default(),
        });
    }
    batch
}

fn offer(taps: &Taps, component: &str, batch: &Batch) {
    taps.offer(component, batch, &batch.records);
}

fn shown(watching: &mut Watching) -> Vec<String> {
    std::iter::from_fn(|| watching.records.try_recv().ok())
        .map(|shown| format!("{} {}", shown.component, String::from_utf8_lossy(&shown.bytes())))
        .collect()
}

#[test]
fn a_viewer_sees_what_it_asked_for_and_nobody_else_is_looked_at() {
    let taps = taps();
    offer(&taps, "pods", &batch("api-1", &[b"before"]));
    let request = Request {
        components: vec!["cle*".into()],
        matching: Some("err".into()),
        pod: vec!["api-*".into()],
        ..Request::default()
    };
    let mut watching = taps.watch(&request).unwrap();
    offer(&taps, "pods", &batch("api-1", &[b"err in pods"]));
    offer(&taps, "clean", &batch("api-1", &[b"err", b"fine"]));
    offer(&taps, "clean", &batch("db-1", &[b"err in db"]));
    assert_eq!(shown(&mut watching), ["clean err"]);
    drop(watching);
    assert_eq!(taps.watched.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_over_the_limit_or_does_not_fit_is_counted() {
    let taps = taps();
    let many = vec![b"x".as_slice(); 1000];
    for limit in [10, 100_000] {
        let mut watching = taps.watch(&Request { limit, ..Request::default() }).unwrap();
        offer(&taps, "pods", &batch("api", &many));
        let seen = shown(&mut watching).len();
        assert!(seen > 0 && seen <= QUEUE.min(limit as usize), "{seen}");
        assert_eq!(seen as u64 + watching.viewer.take_missed(), 1000);
        assert_eq!(watching.viewer.take_missed(), 0);
    }
}

#[test]
fn requests_that_cannot_work_say_why() {
    let taps = taps();
    let refused = |request: Request| taps.watch(&request).err().unwrap();
    let error = refused(Request { components: vec!["sink".into()], ..Request::default() });
    assert_eq!(error, "no such source or transform; there is pods, clean");
    let error = refused(Request { matching: Some("(".into()), ..Request::default() });
    assert!(error.starts_with("match: "), "{error}");
    let error = refused(Request { pod: vec!["[".into()], ..Request::default() });
    assert!(error.starts_with("pod: "), "{error}");
    // A few bytes that would compile to gigabytes.
    let error = refused(Request { matching: Some(r"\w{1000}{1000}".into()), ..Request::default() });
    assert!(error.contains("size limit"), "{error}");
    let viewers: Vec<_> = (0..VIEWERS_MAX).map(|_| taps.watch(&Request::default()).unwrap()).collect();
    assert!(refused(Request::default()).contains("viewers"));
    drop(viewers);
    assert!(taps.watch(&Request::default()).is_ok());
}

#[test]
fn a_body_is_cut_between_characters_and_binary_survives() {
    let taps = taps();
    let long = "é".repeat(SHOWN_BYTES);
    let odd = format!("x{long}");
    let mut watching = taps.watch(&Request::default()).unwrap();
    offer(&taps, "pods", &batch("api", &[odd.as_bytes(), b"\xff\x00"]));
    let first = watching.records.try_recv().unwrap();
    assert!(first.cut && odd.starts_with(first.body.as_deref().unwrap()));
    let second = watching.records.try_recv().unwrap();
    assert_eq!((second.bytes(), second.cut), (b"\xff\x00".to_vec(), false));
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_and_serves_until_the_viewer_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let taps = taps();
    // A dead collector's socket is in the way of nobody.
    server::serve(dir.path(), taps.clone()).unwrap().abort();
    let task = server::serve(dir.path(), taps.clone()).unwrap();
    let path = server::socket(dir.path());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"components\":[\"pods\"]}\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "{\"watching\":[\"pods\"]}");
    offer(&taps, "pods", &batch("api", &[b"hello"]));
    let line = lines.next_line().await.unwrap().unwrap();
    assert!(line.starts_with("{\"record\":{\"component\":\"pods\"") && line.contains("hello"), "{line}");
    drop(lines);
    while taps.watched.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"{\"colour\":1}\n").await.unwrap();
    let line = BufReader::new(stream).lines().next_line().await.unwrap().unwrap();
    assert!(line.starts_with("{\"refused\":\"request: unknown field"), "{line}");
    task.abort();
}
