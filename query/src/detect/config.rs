//! Limits and defaults of `logq detect`, each with its reason.

/// Sample rows kept per finding: enough to recognise the pattern, small enough for a pager.
pub const SAMPLES: usize = 5;

/// Findings kept per table in one run. One costs about 2 KB with its samples, so this is 100 MB;
/// beyond it a rule is too broad to be read, and the rest is counted and said.
pub const GROUPS_MAX: usize = 50_000;

/// Matches kept for correlations in one run, 24 bytes each: 96 MB.
pub const CORRELATION_MATCHES_MAX: usize = 4_000_000;

/// Findings of one SQL rule or of the network intent; ordered by count, so the rest is the tail.
pub const SQL_FINDINGS_MAX: usize = 1_000;

/// Findings of one SQL rule for which sample rows are fetched: each costs one query.
pub const SAMPLED_FINDINGS_MAX: usize = 20;

/// Longest text kept in a sample value; policies inside requestParameters reach 20 KB.
pub const SAMPLE_TEXT_MAX: usize = 1_000;

/// Ports above 1023 that are servers, not clients. Without the SYN flag the direction of a flow
/// record is guessed from ports: the registered service wins, then the lower number.
pub const SERVICE_PORTS: &[u16] = &[
    1080, 1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3000, 3128, 3268, 3269, 3306, 3389, 4317, 4318,
    4369, 5000, 5432, 5439, 5671, 5672, 5900, 5901, 5984, 5985, 5986, 6379, 6443, 7000, 7001, 8000, 8008,
    8080, 8081, 8088, 8443, 8888, 9000, 9042, 9090, 9092, 9093, 9094, 9100, 9200, 9300, 9443, 9997, 10250,
    10255, 11211, 15672, 26257, 27017, 27018,
];
