//! The sink `otlp` against receivers that fail in every way the protocol knows.

use crate::http_sink::{bench, log, once, rejected, run};
use crate::program::pods;
use crate::receiver::{Receiver, Reply};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Response, Status};

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.clone()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("text expected, not {other:?}"),
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    text(
        attributes.iter().find(|pair| pair.key == name).unwrap_or_else(|| panic!("no {name}")).value.as_ref(),
    )
}

/// Uid and body of every record, with checks of what every record must have.
fn records(request: &ExportLogsServiceRequest) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for group in &request.resource_logs {
        let resource = &group.resource.as_ref().unwrap().attributes;
        assert_eq!(attribute(resource, "k8s.namespace.name"), "shop");
        assert_eq!(attribute(resource, "k8s.cluster.name"), "test");
        assert_eq!(attribute(resource, "service.name"), "api");
        for record in group.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            assert!(record.time_unix_nano > 1_700_000_000_000_000_000);
            all.push((attribute(&record.attributes, "log.record.uid"), text(record.body.as_ref())));
        }
    }
    all
}

fn has_bad(request: &ExportLogsServiceRequest) -> bool {
    records(request).iter().any(|(_, body)| body.starts_with("bad") || body.starts_with("huge"))
}

fn bad_of(bodies: &[String]) -> Vec<(String, String)> {
    let bad = bodies.iter().filter(|body| !body.starts_with("line"));
    bad.map(|body| (body.clone(), "refused".to_owned())).collect()
}

#[derive(Default, Clone)]
struct Collector {
    calls: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<(String, String)>>>,
}

/// A status with `google.rpc.RetryInfo` of 10 ms, as it is on the wire.
fn exhausted() -> Status {
    let mut info = vec![0x0a, 5, 0x10];
    prost::encoding::encode_varint(10_000_000, &mut info);
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    info[1] = u8::try_from(info.len() - 2).unwrap();
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let any = [field(0x0a, url), field(0x12, &info)].concat();
    Status::with_details(Code::ResourceExhausted, "later", field(0x1a, &any).into())
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        assert_eq!(request.metadata().get("x-scope").unwrap(), "a");
        assert!(request.metadata().contains_key("grpc-encoding"));
        let request = request.into_inner();
        match self.calls.fetch_add(1, Ordering::SeqCst) {
            0 => return Err(Status::unavailable("starting")),
            1 => return Err(exhausted()),
            2 => return Err(Status::unauthenticated("who")),
            3 => return Err(Status::aborted("again")),
            4 => std::future::pending().await,
            _ => {}
        }
        if has_bad(&request) {
            return Err(Status::invalid_argument("bad record"));
        }
        self.taken.lock().unwrap().extend(records(&request));
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[test]
fn otlp_over_grpc_loses_nothing_and_rejects_exactly_what_is_refused() {
    for algorithm in ["gzip", "zstd"] {
        let dir = tempfile::tempdir().unwrap();
        let bodies = log(dir.path(), 400);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let collector = Collector::default();
        let service = LogsServiceServer::new(collector.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        let server = tonic::transport::Server::builder().add_service(service);
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        runtime.spawn(server.serve_with_incoming(incoming));
        let bench = bench(
            dir.path(),
            &format!(
                "type = \"otlp\"\nendpoint = \"http://127.0.0.1:{port}\"\nheaders.x-scope = \"a\"\n\
                 compression.algorithm = \"{algorithm}\"\n"
            ),
        );
        run(&bench);
        let taken: Vec<String> =
            collector.taken.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
        let good: Vec<String> = bodies.iter().filter(|body| body.starts_with("line")).cloned().collect();
        assert_eq!(taken, good, "each once, and in order");
        assert_eq!(rejected(&bench), bad_of(&bodies));
    }
}

#[test]
fn otlp_over_http_repeats_with_the_same_uid_only_what_had_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let bodies = log(dir.path(), 400);
    let plain = |status| Reply::Status(status, "", Vec::new());
    let receiver = Receiver::start(None, move |number, request| match number {
        0 => Reply::Status(503, "retry-after: 1\r\n", Vec::new()),
        1 => plain(429),
        2 => Reply::ResetBefore,
        3 => plain(404),
        // An outage that says no more than that it is one.
        4..30 => plain(500),
        _ => {
            // The head alone is asked about before the body is read.
            if request.body.is_empty() {
                return plain(200);
            }
            let request = ExportLogsServiceRequest::decode(&request.unpacked()[..]).unwrap();
            match (has_bad(&request), number) {
                (true, _) => plain(400),
                (false, 40 | 60) => Reply::ResetAfter,
                (false, _) => plain(200),
            }
        }
    });
    let sink =
        format!("type = \"otlp\"\nprotocol = \"http\"\nendpoint = \"http://127.0.0.1:{}\"\n", receiver.port);
    let bench = bench(dir.path(), &sink);
    run(&bench);
    let taken = receiver.taken();
    assert!(taken.iter().all(|request| request.line.starts_with("POST /v1/logs ")));
    assert!(taken.iter().all(|request| request.header("content-type") == "application/x-protobuf"));
    let read = |request: &crate::receiver::Request| {
        records(&ExportLogsServiceRequest::decode(&request.unpacked()[..]).unwrap())
    };
    let mut by_uid: BTreeMap<String, String> = BTreeMap::new();
    for (uid, body) in taken.iter().flat_map(read) {
        assert_eq!(by_uid.entry(uid).or_insert_with(|| body.clone()), &body, "one uid, one record");
    }
    let mut once: Vec<String> = once(taken).iter().flat_map(read).map(|(_, body)| body).collect();
    let mut good: Vec<String> = bodies.iter().filter(|body| body.starts_with("line")).cloned().collect();
    assert_eq!(by_uid.len(), good.len());
    // What an outage in the middle of a batch made doubtful comes later.
    once.sort();
    good.sort();
    assert_eq!(once, good);
    assert_eq!(rejected(&bench), bad_of(&bodies));
}

#[test]
fn what_a_partial_success_leaves_out_is_counted_and_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..20).map(|n| format!("2026-11-22T10:00:00.{n:06}Z stdout F line {n}\n")).collect();
    fs::write(pods(dir.path()).join("0.log"), lines).unwrap();
    let partial = ExportLogsPartialSuccess { rejected_log_records: 3, error_message: "three".into() };
    let answer = ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let receiver = Receiver::start(None, move |_, _| Reply::Status(200, "", answer.clone()));
    let sink =
        format!("type = \"otlp\"\nprotocol = \"http\"\nendpoint = \"http://127.0.0.1:{}\"\n", receiver.port);
    let bench = bench(dir.path(), &sink);
    let mut command = bench.command();
    let output =
        crate::http_sink::without_proxy(&mut command).args(["--until-idle", "500ms"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(receiver.taken().len(), 1);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("receiver did not take everything") && log.contains("three"), "{log}");
}
