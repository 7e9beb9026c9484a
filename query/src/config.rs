//! Every limit and default of `logq`, with its reason.

use std::time::Duration;

/// Where `./dev demo` puts its lake; used when no lake is given and it exists.
pub const DEMO_LAKE: &str = ".demo/lake";

/// Environment variable read when `--lake` is absent.
pub const LAKE_VARIABLE: &str = "LOGQ_LAKE";

/// Name of the program's folders below the user's configuration and state.
pub const PROGRAM: &str = "logq";

/// Environment variable read when `--config` is absent.
pub const CONFIG_VARIABLE: &str = "LOGQ_CONFIG";

/// Environment variable read when `--profile` is absent.
pub const PROFILE_VARIABLE: &str = "LOGQ_PROFILE";

/// Bytes operators may hold before they spill.
///
/// A fixed figure and not a share of the machine: analysts run `logq` on laptops and in pods whose
/// memory limit the process does not see, and a 1 GiB hash table or sort run is past the point
/// where more memory makes these queries quicker. What does not fit goes to disk.
pub const MEMORY_LIMIT_BYTES: usize = 1 << 30;

/// The smallest `--memory-limit`: below it DataFusion's sort cannot reserve its merge buffer
/// (10 MiB per partition) and every `order by` fails.
pub const MEMORY_LIMIT_BYTES_MIN: usize = 32 << 20;

/// Bytes spilled to disk before a query fails: enough for a sort of a day of flow logs, small
/// enough to leave room on a laptop.
pub const SPILL_BYTES_MAX: u64 = 50 << 30;

/// Parquet footers kept in memory within one invocation. A footer of an 80-column file is some
/// 100 KiB; 256 MiB holds those of about 2,500 files, and each is read once per query otherwise.
pub const METADATA_CACHE_BYTES: usize = 256 << 20;

/// Bytes fetched from the end of a file in the first read. Footer and page index of a 128 MiB file
/// with 80 columns fit, so a file costs one GET before its data.
pub const FOOTER_BYTES_HINT: usize = 512 << 10;

/// Values of an `in (…)` list that are still checked against statistics and bloom filters.
/// The engine's default of 20 is below the size of an ordinary list of indicators.
pub const IN_LIST_PRUNED_MAX: usize = 1_000;

/// Rows the table format shows unless `--limit` says otherwise. A table is held in memory to size
/// its columns, and nobody reads more; CSV and JSON Lines stream and have no limit.
pub const TABLE_ROWS_MAX: usize = 10_000;

/// Per-file statistics attached to a scan: files × columns. 400 bytes each, so 200 MB at most; past
/// it, files are pruned while planning only.
pub const FILE_STATISTICS_MAX: usize = 500_000;

/// Objects probed when a query failed on one, to say how many are affected.
pub const DIAGNOSED_OBJECTS_MAX: usize = 10_000;

/// Probes in flight at a time.
pub const DIAGNOSED_OBJECTS_PARALLEL: usize = 32;

/// Damaged objects named one by one in an error; the rest is counted.
pub const NAMED_OBJECTS_MAX: usize = 5;

/// Lines of history the shell keeps: months of work, a file of a megabyte.
pub const SHELL_HISTORY_LINES: usize = 10_000;

/// How long the shell goes on with the tables it has opened: rows of the last minute are rarely what is
/// asked for, and opening the log of a table over a bucket takes a second.
pub const SHELL_TABLES_AGE_MAX: Duration = Duration::from_secs(60);

/// Largest SQL text read from a file or standard input.
pub const SQL_BYTES_MAX: u64 = 16 << 20;
