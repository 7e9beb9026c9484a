//! What the containers of the cluster print.

use super::Stdio;
use crate::loggen::estate::benign_address;
use crate::loggen::{Random, stamp};

/// A kind of application, by the lines it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// nginx, combined access log with request time.
    Nginx,
    /// Flask on gunicorn, JSON lines; now and then one above 16 KiB.
    Gunicorn,
    /// Java service: log lines on stdout, stack traces on stderr.
    Java,
    /// Worker with logfmt lines.
    Worker,
    /// Cluster component with klog lines on stderr.
    Klog,
    /// Old program that prints Latin-1.
    Legacy,
    /// PostgreSQL exporter with plain text.
    Plain,
}

/// Namespace, name, kind and replicas of each deployment.
pub const DEPLOYMENTS: &[(&str, &str, App, u32)] = &[
    ("ingress-nginx", "controller", App::Nginx, 2),
    ("shop", "web", App::Nginx, 2),
    ("shop", "api", App::Gunicorn, 3),
    ("shop", "orders", App::Java, 2),
    ("shop", "payments", App::Java, 1),
    ("shop", "mailer", App::Worker, 1),
    ("kube-system", "coredns", App::Klog, 1),
    ("legacy", "invoice-print", App::Legacy, 1),
    ("data", "postgres-exporter", App::Plain, 1),
];

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "kube-probe/1.31",
    "ELB-HealthChecker/2.0",
];
const PATHS: [&str; 10] = [
    "/",
    "/api/v1/cart",
    "/api/v1/orders",
    "/api/v1/products?page=2&sort=price",
    "/static/app.9f3c1.js",
    "/static/logo.svg",
    "/login",
    "/healthz",
    "/api/v1/search?q=caf%C3%A9",
    "/checkout",
];

/// What one happening prints: usually one line, for a stack trace many.
pub type Printed = Vec<(Stdio, Vec<u8>)>;

fn out(text: String) -> Printed {
    vec![(Stdio::Out, text.into_bytes())]
}

impl App {
    /// Relative number of lines.
    pub fn weight(self) -> u32 {
        match self {
            App::Nginx => 30,
            App::Gunicorn => 24,
            App::Java => 10,
            App::Worker => 8,
            App::Klog => 4,
            App::Legacy | App::Plain => 2,
        }
    }

    /// One happening at `nanosecond`; `number` is unique within the plan.
    pub fn print(self, random: &mut Random, nanosecond: i64, number: u64) -> Printed {
        match self {
            App::Nginx => nginx(random, nanosecond, number),
            App::Gunicorn => gunicorn(random, nanosecond, number),
            App::Java => java(random, nanosecond, number),
            App::Worker => worker(random, number),
            App::Klog => klog(random, nanosecond, number),
            App::Legacy => legacy(random, number),
            App::Plain => plain(random, nanosecond, number),
        }
    }
}

fn status(random: &mut Random) -> u16 {
    const STATUS: [(u16, u32); 9] =
        [(200, 860), (304, 60), (301, 15), (404, 30), (401, 10), (403, 6), (400, 6), (500, 7), (502, 6)];
    STATUS[random.weighted(STATUS.iter().map(|(_, weight)| *weight))].0
}

fn nginx(random: &mut Random, nanosecond: i64, number: u64) -> Printed {
    let client = benign_address(random);
    let status = status(random);
    let method = if random.chance(0.12) { "POST" } else { "GET" };
    let bytes = random.long_tail(4_200.0, 1.0) as u64;
    let duration = random.long_tail(0.035, 0.9);
    let time = stamp::access_log(nanosecond / 1_000_000_000);
    let (path, agent) = (*random.pick(&PATHS), *random.pick(&AGENTS));
    if status == 502 {
        let error = format!(
            "{} [error] 31#31: *{number} upstream prematurely closed connection while reading response header from upstream, client: {client}, server: shop.example.com, request: \"{method} {path} HTTP/2.0\", upstream: \"http://10.0.17.{}:8080{path}\"",
            stamp::iso(nanosecond / 1_000_000_000).replace('-', "/").replace('T', " ").trim_end_matches('Z'),
            random.between(5, 250),
        );
        let access = format!(
            "{client} - - [{time}] \"{method} {path} HTTP/2.0\" {status} 559 \"-\" \"{agent}\" {duration:.3}"
        );
        return vec![(Stdio::Err, error.into_bytes()), (Stdio::Out, access.into_bytes())];
    }
    out(format!(
        "{client} - - [{time}] \"{method} {path} HTTP/2.0\" {status} {bytes} \"https://shop.example.com/\" \"{agent}\" {duration:.3}"
    ))
}

fn gunicorn(random: &mut Random, nanosecond: i64, number: u64) -> Printed {
    let status = status(random);
    let level = match status {
        500.. => "ERROR",
        400.. => "WARNING",
        _ => "INFO",
    };
    // One record in 400 carries a dump above containerd's 16 KiB line limit.
    let message = if random.below(400) == 0 {
        format!("request body dump {}", "0123456789abcdef".repeat(random.between(1_100, 2_200) as usize))
    } else {
        (*random.pick(&[
            "request handled",
            "cart updated",
            "price recalculated",
            "cache miss",
            "token refreshed",
        ]))
        .to_owned()
    };
    out(format!(
        r#"{{"time":"{}","level":"{level}","logger":"gunicorn.access","message":"{message}","request_id":"{number:08x}","trace_id":"{}","method":"{}","path":"{}","status":{status},"duration_ms":{:.1},"remote_addr":"10.0.{}.{}","user":"u-{}"}}"#,
        stamp::nanos(nanosecond / 1_000_000 * 1_000_000),
        random.hex(32),
        if random.chance(0.3) { "POST" } else { "GET" },
        random.pick(&PATHS),
        random.long_tail(24.0, 0.9),
        random.between(1, 3),
        random.between(5, 250),
        random.between(1_000, 9_999),
    ))
}

fn java(random: &mut Random, nanosecond: i64, number: u64) -> Printed {
    let time = stamp::logger(nanosecond);
    let thread = random.between(1, 24);
    if random.below(60) > 0 {
        let level = if random.below(14) == 0 { "WARN" } else { "INFO" };
        let text = *random.pick(&[
            "order accepted",
            "order shipped",
            "stock reserved",
            "payment authorised",
            "retrying call",
        ]);
        return out(format!(
            "{time} {level}  [http-nio-8080-exec-{thread}] com.example.orders.OrderService - {text} order={number}"
        ));
    }
    let mut printed = vec![(
        Stdio::Err,
        format!("{time} ERROR [http-nio-8080-exec-{thread}] com.example.orders.OrderService - order failed order={number}").into_bytes(),
    )];
    printed.push((
        Stdio::Err,
        b"org.springframework.dao.DataAccessResourceFailureException: could not open JDBC connection"
            .to_vec(),
    ));
    for depth in 0..random.between(4, 14) {
        let line = format!(
            "\tat com.example.orders.{}.{}({0}.java:{})",
            random.pick(&["OrderService", "StockClient", "Repository"]),
            random.pick(&["reserve", "save", "invoke", "call"]),
            20 + depth * 17
        );
        printed.push((Stdio::Err, line.into_bytes()));
        // The other stream goes on while the trace is printed.
        if depth == 2 && random.chance(0.4) {
            let line = format!(
                "{time} INFO  [http-nio-8080-exec-{}] com.example.orders.OrderService - order accepted order={number}",
                thread + 1
            );
            printed.push((Stdio::Out, line.into_bytes()));
        }
    }
    printed.push((Stdio::Err, b"Caused by: java.net.SocketTimeoutException: connect timed out".to_vec()));
    printed.push((Stdio::Err, b"\t... 41 more".to_vec()));
    printed
}

fn worker(random: &mut Random, number: u64) -> Printed {
    let level = *random.pick(&["info", "info", "info", "debug", "warn"]);
    let text = *random.pick(&["mail queued", "mail sent", "template rendered", "bounce recorded"]);
    out(format!(
        "level={level} msg=\"{text}\" queue=outgoing attempt={} duration={}ms id={number}",
        random.between(1, 3),
        random.between(2, 900)
    ))
}

fn klog(random: &mut Random, nanosecond: i64, number: u64) -> Printed {
    let letter = *random.pick(&['I', 'I', 'I', 'W', 'E']);
    let text = *random.pick(&[
        "Reconciling endpoints",
        "Watch closed, restarting",
        "Lease renewed",
        "Sync took longer than expected",
    ]);
    let line = format!(
        "{letter}{}       1 controller.go:{}] {text} revision={number}",
        stamp::klog(nanosecond),
        random.between(40, 900)
    );
    vec![(Stdio::Err, line.into_bytes())]
}

/// Latin-1: `é`, `ü` and `ß` as single bytes that are not UTF-8.
fn legacy(random: &mut Random, number: u64) -> Printed {
    let mut body = format!("Rechnung {number} gedruckt f").into_bytes();
    let tails: [&[u8]; 3] =
        [b"\xfcr M\xfcller, Stra\xdfe 4", b"\xfcr Ren\xe9, caf\xe9", b"uer Schmidt, Platz 1"];
    body.extend_from_slice(tails[random.below(3) as usize]);
    vec![(Stdio::Out, body)]
}

fn plain(random: &mut Random, nanosecond: i64, number: u64) -> Printed {
    let level = *random.pick(&["LOG", "LOG", "WARNING", "ERROR"]);
    let time = stamp::logger(nanosecond).replace(',', ".");
    out(format!(
        "{time} UTC [{}] {level}:  scrape {number} took {} ms",
        random.between(20, 90),
        random.between(3, 400)
    ))
}
