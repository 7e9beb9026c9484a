//! Sources that clients push to, as programs: real sockets, and kill -9 between requests.

use crate::program::{Bench, Delivered, Running};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

/// A collector that said where it listens.
pub struct Listening {
    pub running: Running,
    pub addresses: BTreeMap<String, SocketAddr>,
}

impl Listening {
    /// Starts the program and waits until it listens for all of `protocols`.
    pub fn start(bench: &Bench, protocols: &[&str]) -> Self {
        let mut command = bench.command();
        command.env("LOGQ_LOG_FORMAT", "json").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        let mut log = BufReader::new(running.0.stderr.take().unwrap()).lines();
        let mut addresses = BTreeMap::new();
        while !protocols.iter().all(|protocol| addresses.contains_key(*protocol)) {
            let line = log.next().expect("ended early").unwrap();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let fields = &line["fields"];
            if fields["message"] == "listening" {
                let protocol = fields["protocol"].as_str().unwrap().to_owned();
                let any = "127.0.0.1:0".parse().unwrap();
                let address = fields["address"].as_str().map_or(any, |address| address.parse().unwrap());
                addresses.insert(protocol, address);
            }
        }
        // A full pipe must not stop the collector.
        std::thread::spawn(move || log.for_each(drop));
        Self { running, addresses }
    }

    pub fn connect(&self, protocol: &str) -> TcpStream {
        TcpStream::connect(self.addresses[protocol]).unwrap()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.running.0.kill().unwrap();
        self.running.0.wait().unwrap();
    }
}

/// Bodies and identities: once each, however often they were delivered.
pub fn once(delivered: Vec<Delivered>) -> BTreeMap<(String, u64), String> {
    let named = delivered
        .into_iter()
        .map(|record| ((record.stream.id, record.offset), String::from_utf8(record.body).unwrap()));
    named.collect()
}

#[cfg(feature = "forward")]
mod fluent {
    use super::*;
    use rmpv::Value;

    fn encode(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        bytes
    }

    fn chunk(id: &str, bodies: &[&str]) -> Vec<u8> {
        let record = |body: &&str| Value::Map(vec![("log".into(), (*body).into())]);
        let entries = bodies.iter().map(|body| Value::Array(vec![1_763_805_600.into(), record(body)]));
        let option = Value::Map(vec![("chunk".into(), id.into())]);
        encode(&Value::Array(vec!["app".into(), Value::Array(entries.collect()), option]))
    }

    fn acknowledged(stream: &mut impl std::io::Read, id: &str) {
        let answer = rmpv::decode::read_value(stream).unwrap();
        assert_eq!(answer, Value::Map(vec![("ack".into(), id.into())]));
    }

    const CONFIG: &str =
        "[sources.in]\ntype = \"fluent\"\naddress = \"127.0.0.1:0\"\n[sinks.out]inputs = [\"in\"]\n";

    #[test]
    fn what_was_acknowledged_survives_kill_and_a_repeated_chunk_changes_nothing() {
        let bench = Bench::of(CONFIG);
        let collector = Listening::start(&bench, &["fluent"]);
        let mut stream = collector.connect("fluent");
        stream.write_all(&chunk("1", &["a", "b"])).unwrap();
        acknowledged(&mut stream, "1");
        collector.kill();
        let collector = Listening::start(&bench, &["fluent"]);
        let mut stream = collector.connect("fluent");
        // The client saw the connection break and can't know: it sends again.
        for (id, bodies) in [("1", &["a", "b"][..]), ("2", &["c"])] {
            stream.write_all(&chunk(id, bodies)).unwrap();
            acknowledged(&mut stream, id);
        }
        // Without a chunk nobody answers; what is there when the collector stops is taken.
        let record = Value::Map(vec![("log".into(), "d".into())]);
        stream.write_all(&encode(&Value::Array(vec!["app".into(), 1_763_805_600.into(), record]))).unwrap();
        assert_eq!(collector.running.terminate(), Some(0));
        let delivered = bench.delivered();
        assert_eq!(delivered.len(), 6, "the repeated chunk was delivered twice");
        let bodies: Vec<String> = once(delivered).into_values().collect();
        assert_eq!(bodies.len(), 4);
        assert!(
            ["a", "b", "c", "d"].iter().all(|body| bodies.iter().any(|found| found == body)),
            "{bodies:?}"
        );
    }

    #[test]
    fn junk_closes_its_connection_and_no_other() {
        let bench = Bench::of(CONFIG);
        let collector = Listening::start(&bench, &["fluent"]);
        let mut good = collector.connect("fluent");
        for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xdb, 0xff, 0xff, 0xff, 0xff], &[0xc1]] {
            let mut bad = collector.connect("fluent");
            bad.write_all(junk).unwrap();
            // Closed, or reset when bytes were left unread.
            assert_eq!(bad.read(&mut [0; 16]).unwrap_or(0), 0);
        }
        good.write_all(&chunk("1", &["a"])).unwrap();
        acknowledged(&mut good, "1");
        assert_eq!(collector.running.terminate(), Some(0));
        assert_eq!(once(bench.delivered()).len(), 1);
    }

    #[test]
    fn a_unix_socket_takes_clients_too() {
        let bench = Bench::of(&CONFIG.replace("address = \"127.0.0.1:0\"", "path = \"{root}/s\""));
        for id in ["1", "2"] {
            let collector = Listening::start(&bench, &["fluent"]);
            let mut stream = std::os::unix::net::UnixStream::connect(bench.root.join("s")).unwrap();
            stream.write_all(&chunk(id, &["a"])).unwrap();
            acknowledged(&mut stream, id);
            // What a killed collector leaves behind is replaced.
            collector.kill();
        }
        let collector = Listening::start(&bench, &["fluent"]);
        assert_eq!(collector.running.terminate(), Some(0));
        assert_eq!(once(bench.delivered()).len(), 2);
        assert!(!bench.root.join("s").exists());
    }
}

#[cfg(feature = "otlp")]
mod opentelemetry {
    use super::*;
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message as _;
    use tonic::codec::CompressionEncoding;

    const CONFIG: &str = "[sources.in]\ntype = \"opentelemetry\"\ngrpc.address = \"127.0.0.1:0\"\nhttp.address = \"127.0.0.1:0\"\nmax_request_bytes = \"64KiB\"\n[sinks.out]inputs = [\"in\"]\n";
    const PROTOCOLS: &[&str] = &["otlp/grpc", "otlp/http"];

    fn request(bodies: &[&str]) -> ExportLogsServiceRequest {
        let record = |body: &&str| LogRecord {
            time_unix_nano: 1_763_805_600_000_000_000,
            body: Some(AnyValue { value: Some(Value::StringValue((*body).to_owned())) }),
            ..LogRecord::default()
        };
        let log_records = bodies.iter().map(record).collect();
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        ExportLogsServiceRequest { resource_logs }
    }

    /// Exports over gRPC.
    fn export(
        collector: &Listening,
        request: ExportLogsServiceRequest,
        compression: Option<CompressionEncoding>,
    ) -> Result<(), tonic::Status> {
        let address = format!("http://{}", collector.addresses["otlp/grpc"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = LogsServiceClient::connect(address).await.unwrap();
            if let Some(encoding) = compression {
                client = client.send_compressed(encoding);
            }
            let answer = client.export(request).await?;
            assert!(answer.into_inner().partial_success.is_none());
            Ok(())
        })
    }

    /// Posts over HTTP; the status and the body of the answer.
    fn post(collector: &Listening, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = collector.connect("otlp/http");
        let length = body.len();
        let head = format!(
            "POST /v1/logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // An answer may come before all was read.
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const PROTOBUF: &str = "content-type: application/x-protobuf";
    const JSON: &str = "content-type: application/json";

    #[test]
    fn every_way_in_is_stored_before_it_is_answered() {
        let bench = Bench::of(CONFIG);
        let collector = Listening::start(&bench, PROTOCOLS);
        export(&collector, request(&["plain"]), None).unwrap();
        export(&collector, request(&["gzip"]), Some(CompressionEncoding::Gzip)).unwrap();
        export(&collector, request(&["zstd"]), Some(CompressionEncoding::Zstd)).unwrap();
        assert_eq!(post(&collector, PROTOBUF, &request(&["protobuf"]).encode_to_vec()), (200, String::new()));
        let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"json"}}]}]}]}"#;
        assert_eq!(post(&collector, JSON, json), (200, "{}".to_owned()));
        let packed = format!("{PROTOBUF}\r\ncontent-encoding: gzip");
        assert_eq!(post(&collector, &packed, &gzip(&request(&["packed"]).encode_to_vec())).0, 200);
        // What was answered is on disk.
        collector.kill();
        let collector = Listening::start(&bench, PROTOCOLS);
        assert_eq!(collector.running.terminate(), Some(0));
        let mut bodies: Vec<String> = once(bench.delivered()).into_values().collect();
        bodies.sort();
        assert_eq!(bodies, ["gzip", "json", "packed", "plain", "protobuf", "zstd"]);
    }

    #[test]
    fn a_request_repeated_after_kill_has_the_same_ids() {
        let bench = Bench::of(CONFIG);
        for round in 0..3 {
            let collector = Listening::start(&bench, PROTOCOLS);
            export(&collector, request(&["a", "b"]), None).unwrap();
            // With something new each time, so that the objects differ and stay side by side.
            let new = format!("new {round}");
            assert_eq!(post(&collector, PROTOBUF, &request(&[&new]).encode_to_vec()).0, 200);
            match round {
                2 => assert_eq!(collector.running.terminate(), Some(0)),
                _ => collector.kill(),
            }
        }
        let delivered = bench.delivered();
        assert_eq!((delivered.len(), once(delivered).len()), (9, 5));
    }

    #[test]
    fn what_cannot_be_taken_is_told_by_its_status() {
        let bench = Bench::of(CONFIG);
        let collector = Listening::start(&bench, PROTOCOLS);
        let large = request(&["x".repeat(70_000).as_str()]);
        let packed = format!("{PROTOBUF}\r\ncontent-encoding: gzip");
        for (status, headers, body) in [
            (400, PROTOBUF, b"\xff\xff".to_vec()),
            (400, JSON, b"{".to_vec()),
            (400, packed.as_str(), b"no gzip".to_vec()),
            (413, PROTOBUF, large.encode_to_vec()),
            (413, packed.as_str(), gzip(&large.encode_to_vec())),
            (415, "content-type: text/plain", b"x".to_vec()),
            (415, "content-type: application/json\r\ncontent-encoding: br", b"{}".to_vec()),
        ] {
            assert_eq!(post(&collector, headers, &body).0, status, "{headers}");
        }
        let code = export(&collector, large, None).unwrap_err().code();
        assert_eq!(code, tonic::Code::OutOfRange);
        assert_eq!(collector.running.terminate(), Some(0));
        assert_eq!(bench.delivered().len(), 0);
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_spool_that_drops_what_is_new_tells_clients_to_come_again() {
        // Nothing is delivered, so the spool is full after its smallest size.
        let text =
            "segment.max_bytes = \"4KiB\"\nspool.max_bytes = \"16KiB\"\nspool.when_full = \"drop_newest\"\n";
        let sink = "[sinks.away]\ntype = \"http\"\ninputs = [\"in\"]\nuri = \"http://127.0.0.1:1/\"\n";
        let bench = Bench::of(&format!("shutdown_timeout = \"1ms\"\n{text}{CONFIG}{sink}"));
        let collector = Listening::start(&bench, PROTOCOLS);
        let mut refused = (0..200u64).find_map(|n| {
            // Hardly to be compressed.
            let body: String = (0..200)
                .map(|k| format!("{:x}", (n * 1000 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect();
            let answer = post(&collector, PROTOBUF, &request(&[&body]).encode_to_vec());
            (answer.0 != 200).then_some((answer.0, request(&[&body])))
        });
        let (status, request) = refused.take().expect("a full spool refuses");
        assert_eq!(status, 429);
        let code = export(&collector, request, None).unwrap_err().code();
        assert_eq!(code, tonic::Code::Unavailable);
        assert_eq!(collector.running.terminate(), Some(0));
    }
}
