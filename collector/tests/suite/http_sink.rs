//! The sink `http` against a server that fails in every way.

use crate::program::{Bench, Running, pods};
use crate::receiver::{Receiver, Reply, Request};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A log of numbered lines; some are `bad`, one is huge.
pub fn log(root: &Path, lines: u32) -> Vec<String> {
    let body = |n: u32| match n {
        n if n % 97 == 13 => format!("bad {n}"),
        200 => format!("huge {}", "x".repeat(30_000)),
        n => format!("line {n}"),
    };
    let bodies: Vec<String> = (0..lines).map(body).collect();
    let text: String = (0..)
        .zip(&bodies)
        .map(|(n, body)| format!("2026-11-22T10:00:00.{n:06}Z stdout F {body}\n"))
        .collect();
    fs::write(pods(root).join("0.log"), text).unwrap();
    bodies
}

/// A bench with one sink `net` that reads the log.
pub fn bench(root: &Path, sink: &str) -> Bench {
    Bench::of(&format!(
        "[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = \"{}\"\nrotate_wait = \"100ms\"\n\
         [sinks.net]\ninputs = [\"pods\"]\nbatch.max_events = 50\nrequest.timeout = \"2s\"\n\
         request.concurrency = 1\nrequest.backoff = {{ initial = \"1ms\", max = \"10ms\" }}\n{sink}",
        root.join("pods").display()
    ))
}

/// Runs to the end, without a proxy whatever the machine has.
pub fn run(bench: &Bench) {
    let mut command = bench.command();
    let output = without_proxy(&mut command).args(["--until-idle", "500ms"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn without_proxy(command: &mut std::process::Command) -> &mut std::process::Command {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Bodies and reasons of rejected records.
pub fn rejected(bench: &Bench) -> Vec<(String, String)> {
    let text = fs::read_to_string(bench.root.join("data/rejected/net.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let of = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    lines.map(|line| (of(&line["record"]["b"]), of(&line["reason"]))).collect()
}

/// Requests by key: what is sent again must be the same.
pub fn once(requests: Vec<Request>) -> Vec<Request> {
    let mut by_key: BTreeMap<String, Request> = BTreeMap::new();
    let mut order = Vec::new();
    for request in requests {
        let key = request.header("idempotency-key").to_owned();
        assert!(!key.is_empty());
        match by_key.get(&key) {
            Some(before) => assert_eq!(before.body, request.body, "one key, the same records"),
            None => order.push(request.clone()),
        }
        by_key.insert(key, request);
    }
    order
}

fn bodies(request: &Request) -> Vec<String> {
    let text = request.unpacked();
    let records: Vec<serde_json::Value> = match request.header("content-type") {
        "application/json" => serde_json::from_slice(&text).unwrap(),
        _ => std::str::from_utf8(&text).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect(),
    };
    records
        .iter()
        .map(|record| {
            assert_eq!(record["resource"]["k8s.namespace.name"], "shop");
            assert_eq!(record["resource"]["k8s.cluster.name"], "test");
            assert!(record["event_uid"].as_str().unwrap().contains(':'));
            record["body"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn fails_in_every_way(number: usize, request: &Request) -> Reply {
    let plain = |status| Reply::Status(status, "", b"no".to_vec());
    match number {
        0 => return plain(500),
        1 => return Reply::Status(503, "retry-after: 1\r\n", Vec::new()),
        2 => return plain(429),
        3 | 11 => return Reply::ResetBefore,
        5 => return Reply::Hang,
        6 => return plain(401),
        7 => return Reply::Status(302, "location: http://127.0.0.1:1/\r\n", Vec::new()),
        4 | 14 => return Reply::ResetAfter,
        _ => {}
    }
    if request.body.is_empty() {
        return plain(200);
    }
    let text = request.unpacked();
    if text.len() > 20_000 {
        return plain(413);
    }
    let bad = String::from_utf8_lossy(&text).contains("bad ");
    plain(if bad { 400 } else { 200 })
}

fn nothing_is_lost(sink: &str) {
    let dir = tempfile::tempdir().unwrap();
    let expected = log(dir.path(), 600);
    // A request whose answer is lost was taken, so it must not be one that would be refused.
    let receiver = Receiver::start(None, |number, request| match fails_in_every_way(number, request) {
        Reply::ResetAfter if String::from_utf8_lossy(&request.unpacked()).contains("bad ") => Reply::Hang,
        reply => reply,
    });
    let sink = sink.replace("{port}", &receiver.port.to_string());
    let bench = bench(dir.path(), &sink);
    run(&bench);
    let taken: Vec<String> = once(receiver.taken()).iter().flat_map(bodies).collect();
    let good: Vec<String> = expected.iter().filter(|body| body.starts_with("line")).cloned().collect();
    assert_eq!(taken, good, "each once, and in order");
    let mut refused: Vec<(String, String)> = Vec::new();
    for body in expected.into_iter().filter(|body| !body.starts_with("line")) {
        let reason = if body.starts_with("bad") { "refused" } else { "too_large" };
        refused.push((body, reason.to_owned()));
    }
    assert_eq!(rejected(&bench), refused);
}

#[test]
fn http_loses_nothing_and_rejects_exactly_what_is_refused() {
    nothing_is_lost(
        "type = \"http\"\nuri = \"http://127.0.0.1:{port}/in\"\ncompression.algorithm = \"zstd\"\n",
    );
}

#[test]
fn http_as_lines_in_gzip_does_the_same() {
    nothing_is_lost(
        "type = \"http\"\nuri = \"http://127.0.0.1:{port}/in\"\nmethod = \"put\"\n\
         compression = { algorithm = \"gzip\", level = 6 }\nframing.method = \"newline_delimited\"\n",
    );
}

#[test]
fn after_a_crash_what_is_sent_again_has_the_key_it_had() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(pods(dir.path()).join("0.log"), "2026-11-22T10:00:00Z stdout F only\n").unwrap();
    let receiver = Receiver::start(None, |number, _| match number {
        0 => Reply::Hang,
        _ => Reply::Status(200, "", Vec::new()),
    });
    let uri = format!("type = \"http\"\nuri = \"http://127.0.0.1:{}/\"\n", receiver.port);
    let bench = bench(dir.path(), &uri);
    let mut collector = Running::start(without_proxy(&mut bench.command()));
    collector.until(|| !receiver.seen.lock().unwrap().is_empty());
    drop(collector);
    run(&bench);
    let seen = receiver.seen.lock().unwrap();
    let keys: Vec<&str> = seen.iter().map(|(request, _)| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert_eq!(seen[0].0.body, seen[1].0.body);
}

/// A certificate authority, and a server that wants a certificate of it.
struct Authority {
    pem: String,
    server: Arc<rustls::ServerConfig>,
    client: (String, String),
}

fn authority() -> Authority {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = leaf("127.0.0.1");
    let (client, client_key) = leaf("collector");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let key = rustls::pki_types::PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    Authority {
        pem: root.pem(),
        server: Arc::new(config),
        client: (client.pem(), client_key.serialize_pem()),
    }
}

#[test]
fn a_private_authority_a_client_certificate_and_a_token_are_used_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::write(pods(root).join("0.log"), "2026-11-22T10:00:00Z stdout F secret\n").unwrap();
    let (ours, strangers) = (authority(), authority());
    let receiver = Receiver::start(Some(ours.server.clone()), |_, request| {
        let known = request.header("authorization") == "Bearer right" && request.header("x-key") == "k";
        Reply::Status(if known { 200 } else { 403 }, "", Vec::new())
    });
    let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
    write("ca.pem", &strangers.pem);
    write("crt.pem", &strangers.client.0);
    write("key.pem", &strangers.client.1);
    write("token", "wrong\n");
    write("x-key", "k\n");
    let sink = format!(
        "type = \"http\"\nuri = \"https://127.0.0.1:{}/\"\nauth = {{ strategy = \"bearer\", token_file = \"{root}/token\" }}\n\
         header_files.x-key = \"{root}/x-key\"\n\
         tls = {{ ca_file = \"{root}/ca.pem\", crt_file = \"{root}/crt.pem\", key_file = \"{root}/key.pem\" }}\n",
        receiver.port,
        root = root.display()
    );
    let bench = bench(root, &sink);
    let mut collector = Running::start(without_proxy(&mut bench.command()));
    // The server's certificate is not from whom we trust.
    collector.until(|| receiver.failed.load(Ordering::SeqCst) > 0);
    write("ca.pem", &ours.pem);
    // Ours is not from whom the server trusts.
    let before = receiver.failed.load(Ordering::SeqCst);
    collector.until(|| receiver.failed.load(Ordering::SeqCst) > before + 2);
    assert!(receiver.seen.lock().unwrap().is_empty());
    write("key.pem", &ours.client.1);
    write("crt.pem", &ours.client.0);
    collector.until(|| !receiver.seen.lock().unwrap().is_empty());
    assert!(receiver.taken().is_empty());
    write("token", "right\n");
    collector.until(|| !receiver.taken().is_empty());
    assert_eq!(collector.terminate(), Some(0));
    assert_eq!(rejected(&bench), []);
}
