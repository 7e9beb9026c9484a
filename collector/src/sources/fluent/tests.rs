//! What messages become, what is refused, and a whole session over a pipe in memory.

use super::handshake::{Handshake, Secrets, hex};
use super::message::{Answer, Origin, decode};
use super::scan::{Fault, Scan, VALUES};
use super::session::{Ended, Session};
use super::{Intake, received};
use crate::metrics::Metrics;
use proptest::prelude::*;
use received::Push;
use rmpv::Value;
use std::io::Write as _;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

const MOST: usize = 1 << 20;

fn origin() -> Origin {
    Origin { source: "in".into(), connection: "c".into(), number: 0, most: MOST }
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect())
}

fn time() -> Value {
    let mut bytes = 1_763_805_600u32.to_be_bytes().to_vec();
    bytes.extend(123_456_789u32.to_be_bytes());
    Value::Ext(0, bytes)
}

fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn record(n: u64) -> Value {
    map(&[("log", format!("line {n}").into()), ("n", n.into())])
}

/// Two events in each form, with a chunk.
fn forms() -> Vec<Vec<u8>> {
    let entries: Vec<Value> = (0..2).map(|n| Value::Array(vec![time(), record(n)])).collect();
    let packed: Vec<u8> = entries.iter().flat_map(encode).collect();
    let chunk = map(&[("chunk", "id".into()), ("size", 2.into())]);
    let pressed = map(&[("compressed", "gzip".into()), ("chunk", "id".into())]);
    let parts = [
        vec!["app".into(), Value::Array(entries), chunk.clone()],
        vec!["app".into(), Value::Binary(packed.clone()), chunk],
        vec!["app".into(), Value::Binary(gzip(&packed)), pressed],
    ];
    parts.into_iter().map(|parts| encode(&Value::Array(parts))).collect()
}

fn read(message: &[u8]) -> Result<(Push, Option<Answer>), Fault> {
    let mut push = Push::default();
    let answer = origin().read(message, &mut push)?;
    Ok((push, answer))
}

#[test]
fn all_forms_hold_the_same_records_and_name_their_chunk() {
    for message in forms() {
        let (push, answer) = read(&message).unwrap();
        assert_eq!(answer, Some(Answer::Ack("id".into())));
        assert_eq!((push.records.len(), push.streams.len()), (2, 1));
        let (about, second) = (&push.streams[0], &push.records[1]);
        assert_eq!((about.source.as_str(), about.service.as_str()), ("in", "app"));
        assert_eq!((second.offset, second.time.as_str()), (1, "2025-11-22T10:00:00.123456789Z"));
        assert_eq!(second.body, b"line 1");
        assert_eq!(serde_json::json!(second.extra.attributes), serde_json::json!({"n": 1}));
    }
    let one = encode(&Value::Array(vec!["app".into(), 1_763_805_600.into(), record(7)]));
    let (push, answer) = read(&one).unwrap();
    assert_eq!(
        (answer, push.records[0].time.as_str()),
        (Some(Answer::None), "2025-11-22T10:00:00.000000000Z")
    );
    assert_eq!(read(&[0xc0]).unwrap().1, None, "a heartbeat");
}

#[test]
fn a_repeated_chunk_keeps_its_identities_and_nothing_else_shares_them() {
    let id = |message: &[u8]| read(message).unwrap().0.streams[0].id.clone();
    let forms = forms();
    assert_eq!(id(&forms[1]), id(&forms[1]));
    assert_eq!(id(&forms[1]), id(&forms[2]), "however it is packed");
    let other = |tag: &str, chunk: &str, n| {
        let entry = encode(&Value::Array(vec![time(), record(n)]));
        let option = map(&[("chunk", chunk.into())]);
        id(&encode(&Value::Array(vec![tag.into(), Value::Binary(entry), option])))
    };
    let ids: std::collections::BTreeSet<String> =
        [other("a", "1", 0), other("b", "1", 0), other("a", "2", 0), other("a", "1", 1)].into();
    assert_eq!(ids.len(), 4);
    // Without a chunk, numbers go on within a connection.
    let (mut origin, mut push) = (origin(), Push::default());
    let one = encode(&Value::Array(vec!["app".into(), 1.into(), record(7)]));
    origin.read(&one, &mut push).unwrap();
    let mut second = Push::default();
    origin.read(&one, &mut second).unwrap();
    assert_eq!((push.records[0].offset, second.records[0].offset), (0, 1));
    assert_eq!(push.streams[0].id, second.streams[0].id);
}

#[test]
fn what_fluent_bit_knows_about_a_pod_describes_the_stream() {
    let pod = map(&[
        ("namespace_name", "shop".into()),
        ("pod_name", "api-1".into()),
        ("container_name", "api".into()),
        ("labels", map(&[("app", "api".into())])),
        ("docker_id", "abc".into()),
    ]);
    let record = map(&[("stream", "stderr".into()), ("message", "hi".into()), ("kubernetes", pod)]);
    let times = Value::Array(vec![time(), map(&[])]);
    let entry = Value::Array(vec![times, record]);
    let (push, _) = read(&encode(&Value::Array(vec!["kube".into(), Value::Array(vec![entry])]))).unwrap();
    let about = &push.streams[0];
    assert_eq!(
        (about.namespace.as_str(), about.pod.as_str(), about.container.as_str()),
        ("shop", "api-1", "api")
    );
    assert_eq!((about.labels["app"].as_str(), about.stdio.as_str()), ("api", "stderr"));
    let attributes = serde_json::json!(push.records[0].extra.attributes);
    assert_eq!(attributes, serde_json::json!({"kubernetes": {"docker_id": "abc"}}));
    assert_eq!(push.records[0].body, b"hi");
}

#[test]
fn a_record_without_a_message_is_its_own_body() {
    let record = map(&[("user", "eve".into()), ("raw", Value::Binary(vec![0xff]))]);
    let (push, _) = read(&encode(&Value::Array(vec!["t".into(), 1.into(), record]))).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&push.records[0].body).unwrap();
    assert_eq!(body, serde_json::json!({"user": "eve", "raw": "/w=="}));
    let record = map(&[("msg", Value::Binary(vec![0xff, 1])), ("log", Value::Nil)]);
    let (push, _) = read(&encode(&Value::Array(vec!["t".into(), 1.into(), record]))).unwrap();
    assert_eq!(push.records[0].body, [0xff, 1], "bytes stay as they are");
}

#[test]
fn bombs_are_refused_before_they_unfold() {
    let end = |bytes: &[u8]| Scan::new(MOST, VALUES).end(bytes);
    // Four gigabytes of text, four thousand million values, arrays in arrays.
    assert_eq!(end(&[0xdb, 0xff, 0xff, 0xff, 0xff]), Err(Fault::TooLarge));
    assert_eq!(end(&[0xdd, 0xff, 0xff, 0xff, 0xff]), Err(Fault::TooLarge));
    assert_eq!(end(&[0xdf, 0xff, 0xff, 0xff, 0xff]), Err(Fault::TooLarge));
    assert_eq!(end(&[0x91; 64]), Err(Fault::Malformed("nested too deeply")));
    let many = [&[0xdd, 0, 0x20, 0, 0][..], &vec![0xc0; 2 << 20]].concat();
    assert_eq!(Scan::new(4 << 20, VALUES).end(&many), Err(Fault::TooLarge));
    let zeros = gzip(&vec![0xc0; MOST + 1]);
    let option = map(&[("compressed", "gzip".into())]);
    let message = encode(&Value::Array(vec!["t".into(), Value::Binary(zeros), option]));
    assert_eq!(read(&message).err(), Some(Fault::TooLarge));
    let metrics = map(&[("fluent_signal", 1.into())]);
    let message = encode(&Value::Array(vec!["t".into(), Value::Binary(vec![]), metrics]));
    assert!(matches!(read(&message), Err(Fault::Unsupported(_))));
}

#[test]
fn only_who_knows_key_and_password_is_let_in() {
    let users = [("eve".to_owned(), "secret".to_owned())].into();
    let handshake = Handshake::new(Secrets { shared_key: b"key".to_vec(), users }).unwrap();
    let helo = handshake.helo();
    let option = |name: &str| {
        let options = helo[1].as_map().unwrap();
        options.iter().find(|(key, _)| key.as_str() == Some(name)).unwrap().1.as_slice().unwrap().to_vec()
    };
    let (nonce, auth) = (option("nonce"), option("auth"));
    let ping = |key: &[u8], user: &str, password: &[u8]| {
        let digest = hex(&[b"salt", b"host", &nonce, key]);
        let proof = hex(&[&auth, user.as_bytes(), password]);
        let parts = ["PING", "host", "salt", &digest, user, &proof].map(Value::from);
        handshake.pong(&encode(&Value::Array(parts.to_vec())), "us").unwrap()
    };
    let (pong, verdict) = ping(b"key", "eve", b"secret");
    let ours = hex(&[b"salt", b"us", &nonce, b"key"]);
    assert_eq!((pong[1].as_bool(), pong[4].as_str(), verdict), (Some(true), Some(ours.as_str()), Ok(())));
    for (key, user, password) in [("yek", "eve", "secret"), ("key", "eve", "guess"), ("key", "bob", "")] {
        let (pong, verdict) = ping(key.as_bytes(), user, password.as_bytes());
        assert_eq!(pong[1].as_bool(), Some(false));
        assert!(matches!(verdict, Err(Fault::Unauthorized(_))), "{user}");
    }
    assert!(handshake.pong(&encode(&"PING".into()), "us").is_err());
}

/// Offset and body of a record.
type Stored = (u64, Vec<u8>);

/// Sends `pieces` to a session; what arrived in order, what the client was answered, how it ended.
fn session(pieces: Vec<Vec<u8>>) -> (Vec<Stored>, Vec<Value>, Result<(), Ended>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let (intake, mut arrivals) = Intake::new(
            "in",
            crate::sources::received::IN_FLIGHT_BYTES,
            stop.clone(),
            Arc::new(Metrics::default()),
        );
        let (mut client, server) = tokio::io::duplex(64);
        let serve = async move { Session::new(server, intake, stop).run(origin()).await };
        let talk = async move {
            let (mut reading, mut writing) = tokio::io::split(&mut client);
            let write = async {
                for piece in pieces {
                    // The server may have closed.
                    if writing.write_all(&piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                drop(writing.shutdown().await);
            };
            let mut answer = Vec::new();
            let (_, read) = tokio::join!(write, reading.read_to_end(&mut answer));
            read.unwrap();
            answer
        };
        let store = async {
            let mut records = Vec::new();
            while let Some((push, receipt)) = arrivals.next().await {
                records.extend(push.records.into_iter().map(|record| (record.offset, record.body)));
                receipt.send(()).unwrap();
            }
            records
        };
        let (ended, answer, records) = tokio::join!(serve, talk, store);
        let (mut answers, mut rest) = (Vec::new(), &answer[..]);
        while !rest.is_empty() {
            answers.push(rmpv::decode::read_value(&mut rest).unwrap());
        }
        (records, answers, ended)
    })
}

proptest! {
    #[test]
    fn however_the_bytes_arrive_the_records_are_the_same(cuts in prop::collection::vec(0usize..600, 0..12)) {
        let mut bytes = forms().concat();
        bytes.push(0xc0);
        bytes.extend(encode(&Value::Array(vec!["app".into(), 1.into(), record(9)])));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(bytes[from..to].to_vec());
            from = to;
        }
        let (records, answers, ended) = session(pieces);
        prop_assert!(ended.is_ok(), "{ended:?}");
        let line = |n: u64| (n, format!("line {n}").into_bytes());
        let last = (0, b"line 9".to_vec());
        prop_assert_eq!(records, vec![line(0), line(1), line(0), line(1), line(0), line(1), last]);
        prop_assert_eq!(answers, vec![map(&[("ack", "id".into())]); 3]);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(read(&bytes));
        drop(decode(&bytes));
        drop(session(vec![bytes]));
    }

    #[test]
    fn no_damage_is_too_odd(form in 0usize..3, damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut message = forms().swap_remove(form);
        for (at, byte) in damage {
            let at = at % message.len();
            message[at] = byte;
        }
        drop(read(&message));
        if let Ok(Some(end)) = Scan::new(MOST, VALUES).end(&message) {
            prop_assert!(decode(&message[..end]).is_ok(), "what was scanned decodes");
        }
    }
}
