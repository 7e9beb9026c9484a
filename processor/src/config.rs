//! Limits and intervals, each with its reason. `RawConfig` is what a file may say, [`Config`] what
//! later code sees.

mod effective;
mod maintenance;

pub use maintenance::{Maintenance, RawMaintenance, storage_class};

use crate::discover::cloudwatch::settings::{RawSettings, Settings, SettingsError};
use crate::formats::vpc_flow::format::Scope;
use crate::formats::{FlowFormat, Limits};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name under which this processor claims batches. Two processors of one lake need two names.
    pub shard: String,
    /// How long `run` gathers objects before it commits. One commit per table and interval keeps the
    /// Delta log small (2,880 a day at 30 s) and a row queryable within a minute.
    pub commit_interval: Duration,
    /// Most objects in one batch: bounds the claim's size (about 250 bytes an object).
    pub batch_objects_max: usize,
    /// Most stored bytes in one batch: they are held in memory together. 32 MiB of gzip is about
    /// 280 MB of CloudTrail JSON. A single larger object makes a batch of its own
    /// and is parsed from a file.
    pub batch_stored_bytes_max: u64,
    /// How far back `run` remembers the objects it took in, by the day of their arrival; `None` is for
    /// ever. SQS keeps a message for 14 days at most and CloudTrail delivers again for 30 days.
    pub ledger_days: Option<u32>,
    /// Input objects read at the same time: enough to hide the latency of S3, few enough for memory.
    pub reads_max: usize,
    /// Rows are sorted and written as a file when a table's rows reach this size in memory. Sorting
    /// needs as much again, so the peak stays under half a GiB.
    pub file_memory_bytes_max: usize,
    /// A watched file is taken in when it has not changed for this long and has no unfinished name.
    pub settle: Duration,
    /// How often a watched directory is listed, beside what the kernel tells.
    pub poll_interval: Duration,
    /// SQS visibility while a batch is worked on; extended at half of it.
    pub visibility: Duration,
    /// What `aws cloudtrail list-public-keys` printed, a file or a folder: with it, CloudTrail digests
    /// are checked as they come in. Off by default, because each log file is then read a second time.
    pub cloudtrail_public_keys: Option<PathBuf>,
    /// Log groups that `run --cloudwatch-logs` pulls.
    pub cloudwatch_logs: Vec<Settings>,
    /// How long `run` may take to finish the batch in hand after SIGTERM; Kubernetes kills after 30 s by
    /// default. What is cut off then is taken up on the next start.
    pub shutdown_timeout: Duration,
    /// Parser limits.
    pub limits: Limits,
    /// Formats of flow logs that come without a header line. None: only AWS's default format of
    /// version 2 is read without one.
    pub flow_formats: Arc<[FlowFormat]>,
    /// Compaction, sealing, the archive.
    pub maintenance: Maintenance,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            shard: "0".to_owned(),
            commit_interval: Duration::from_secs(30),
            batch_objects_max: 1_000,
            batch_stored_bytes_max: 32 << 20,
            ledger_days: Some(35),
            reads_max: 16,
            file_memory_bytes_max: 192 << 20,
            settle: Duration::from_millis(500),
            poll_interval: Duration::from_secs(1),
            visibility: Duration::from_secs(120),
            cloudtrail_public_keys: None,
            cloudwatch_logs: Vec::new(),
            shutdown_timeout: Duration::from_secs(25),
            limits: Limits::default(),
            flow_formats: Arc::new([]),
            maintenance: Maintenance::default(),
        }
    }
}

/// What a configuration file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    shard: Option<String>,
    commit_interval: Option<String>,
    batch_objects_max: Option<usize>,
    batch_stored_bytes_max: Option<u64>,
    ledger_days: Option<u32>,
    reads_max: Option<usize>,
    file_memory_bytes_max: Option<usize>,
    settle: Option<String>,
    poll_interval: Option<String>,
    visibility: Option<String>,
    cloudtrail_public_keys: Option<PathBuf>,
    shutdown_timeout: Option<String>,
    #[serde(default)]
    cloudwatch_logs: Vec<RawSettings>,
    object_bytes_max: Option<u64>,
    record_bytes_max: Option<usize>,
    rejected_bytes_max: Option<usize>,
    #[serde(default)]
    flow_format: Vec<RawFlowFormat>,
    maintenance: Option<RawMaintenance>,
}

/// One `[[flow_format]]`: the format of flow logs below a location or in a log group.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlowFormat {
    location: Option<String>,
    log_group: Option<String>,
    format: String,
}

/// What is wrong with a configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not TOML or has an unknown key.
    #[error("configuration {} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A section of `cloudwatch_logs` is wrong.
    #[error(transparent)]
    CloudWatch(#[from] SettingsError),
    /// A value is out of range.
    #[error("`{key}` is `{value}`: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// As given.
        value: String,
        /// What it must be.
        reason: String,
    },
}

impl Config {
    /// Reads and checks a configuration file; without one, the defaults.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key or a value out of range.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let Some(path) = path else { return Ok(Config::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let raw: RawConfig = toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        Config::try_from(raw)
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Config, ConfigError> {
        let base = Config::default();
        let limits = Limits {
            object_bytes_max: raw.object_bytes_max.unwrap_or(base.limits.object_bytes_max),
            record_bytes_max: raw.record_bytes_max.unwrap_or(base.limits.record_bytes_max),
            rejected_bytes_max: raw.rejected_bytes_max.unwrap_or(base.limits.rejected_bytes_max),
            ..base.limits
        };
        Ok(Config {
            shard: shard(raw.shard.unwrap_or(base.shard))?,
            commit_interval: duration("commit_interval", raw.commit_interval, base.commit_interval)?,
            batch_objects_max: at_least_one(
                "batch_objects_max",
                raw.batch_objects_max,
                base.batch_objects_max,
            )?,
            batch_stored_bytes_max: raw.batch_stored_bytes_max.unwrap_or(base.batch_stored_bytes_max),
            ledger_days: raw.ledger_days.or(base.ledger_days),
            reads_max: at_least_one("reads_max", raw.reads_max, base.reads_max)?,
            file_memory_bytes_max: at_least_one(
                "file_memory_bytes_max",
                raw.file_memory_bytes_max,
                base.file_memory_bytes_max,
            )?,
            settle: duration("settle", raw.settle, base.settle)?,
            poll_interval: duration("poll_interval", raw.poll_interval, base.poll_interval)?,
            visibility: visibility(duration("visibility", raw.visibility, base.visibility)?)?,
            cloudtrail_public_keys: raw.cloudtrail_public_keys,
            shutdown_timeout: duration("shutdown_timeout", raw.shutdown_timeout, base.shutdown_timeout)?,
            cloudwatch_logs: sections(raw.cloudwatch_logs)?,
            limits,
            flow_formats: raw.flow_format.into_iter().map(flow_format).collect::<Result<_, _>>()?,
            maintenance: Maintenance::try_from(raw.maintenance.unwrap_or_default())?,
        })
    }
}

/// The sections, each under a name of its own.
fn sections(raw: Vec<RawSettings>) -> Result<Vec<Settings>, ConfigError> {
    let mut sections: Vec<Settings> = Vec::with_capacity(raw.len());
    for one in raw {
        let section = Settings::try_from(one)?;
        if sections.iter().any(|other| other.name == section.name) {
            let reason = "another section has this name".to_owned();
            return Err(ConfigError::Value { key: "cloudwatch_logs.name", value: section.name, reason });
        }
        sections.push(section);
    }
    Ok(sections)
}

/// A shard name goes into file names and transaction ids.
pub fn shard(name: String) -> Result<String, ConfigError> {
    let valid = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if valid {
        return Ok(name);
    }
    let reason = "use 1 to 63 letters, digits, `-` or `_`".to_owned();
    Err(ConfigError::Value { key: "shard", value: name, reason })
}

fn flow_format(raw: RawFlowFormat) -> Result<FlowFormat, ConfigError> {
    let scope = match (raw.location, raw.log_group) {
        // Local objects are known by their path.
        (Some(location), None) if location.starts_with('/') || location.contains("://") => {
            Scope::Location(location.strip_prefix("file://").unwrap_or(&location).to_owned())
        }
        (None, Some(group)) if !group.is_empty() => Scope::LogGroup(group),
        (location, _) => {
            let reason =
                "each flow_format needs either `location` (`s3://bucket/prefix/` or an absolute path) \
                          or `log_group`"
                    .to_owned();
            return Err(ConfigError::Value {
                key: "flow_format",
                value: location.unwrap_or_default(),
                reason,
            });
        }
    };
    FlowFormat::new(scope, &raw.format).map_err(|error| ConfigError::Value {
        key: "flow_format.format",
        value: raw.format,
        reason: error.to_string(),
    })
}

fn at_least_one(key: &'static str, value: Option<usize>, default: usize) -> Result<usize, ConfigError> {
    match value {
        Some(0) => {
            Err(ConfigError::Value { key, value: "0".to_owned(), reason: "must be at least 1".to_owned() })
        }
        Some(value) => Ok(value),
        None => Ok(default),
    }
}

fn duration(key: &'static str, value: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let Some(value) = value else { return Ok(default) };
    humantime::parse_duration(&value).map_err(|error| ConfigError::Value {
        key,
        value,
        reason: format!("not a duration such as `30s`: {error}"),
    })
}

/// SQS takes whole seconds from 0 to 12 hours; below 10 s a heartbeat could not keep up.
fn visibility(value: Duration) -> Result<Duration, ConfigError> {
    if (10..=43_200).contains(&value.as_secs()) {
        return Ok(value);
    }
    let reason = "must lie between 10s and 12h".to_owned();
    Err(ConfigError::Value {
        key: "visibility",
        value: humantime::format_duration(value).to_string(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::vpc_flow::format;

    fn parse(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        Config::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn values_override_defaults_and_keep_the_rest() {
        let config = parse("shard = \"eu-1\"\ncommit_interval = \"5s\"").expect("valid");
        assert_eq!(config.shard, "eu-1");
        assert_eq!(config.commit_interval, Duration::from_secs(5));
        assert_eq!(config.batch_objects_max, Config::default().batch_objects_max);
        let formats = "[[flow_format]]\nlocation = \"/data/flow/\"\nformat = \"${start} ${end}\"\n\
                       [[flow_format]]\nlog_group = \"g\"\nformat = \"start end srcaddr\"";
        let config = parse(formats).expect("valid");
        let below = format::of_location(&config.flow_formats, "/data/flow/x.gz");
        assert_eq!(below.map(|layout| layout.fields.len()), Some(2));
        assert_eq!(
            format::of_log_group(&config.flow_formats, "g").map(|layout| layout.fields.len()),
            Some(3)
        );
    }

    #[test]
    fn what_validate_prints_is_the_same_configuration() {
        assert_eq!(parse(&Config::default().to_toml()), Ok(Config::default()));
        let text = "shard = 'eu'\nsettle = '1500ms'\ncloudtrail_public_keys = '/keys'\nrecord_bytes_max = 77\n\
            [[cloudwatch_logs]]\nname = 'f'\ngroups = ['/a*', '/b']\nkind = 'vpc_flow'\n\
            log_format = '${version} ${vpc-id}'\nrole_arn = 'arn:aws:iam::111122223333:role/r'\nexternal_id = 'x'\n\
            [[cloudwatch_logs]]\nname = 'g'\ngroups = ['*']\nkind = 'app'\noverlap = '2m'\n\
             [[flow_format]]\nlocation = '/flows/'\nformat = '${start} ${srcaddr}'\n[[flow_format]]\nlog_group = 'g*'\n\
             format = 'end dstaddr'\n[maintenance]\narchive = 's3://b/a'\narchive_storage_class = 'GLACIER_IR'\n\
             archive_lock_mode = 'compliance'\narchive_lock_days = 3\nseal_after = '1h'\n";
        let config = parse(text).expect("valid");
        assert_eq!(parse(&config.to_toml()), Ok(config));
        let twice = "[[cloudwatch_logs]]\nname = 'f'\ngroups = ['/a']\nkind = 'app'\n".repeat(2);
        assert!(parse(&twice).expect_err("one name twice").contains("another section"));
    }

    #[test]
    fn mistakes_name_the_key() {
        for (text, part) in [
            ("commit_intervall = \"5s\"", "commit_intervall"),
            ("commit_interval = \"5 parsecs\"", "commit_interval"),
            ("shard = \"a/b\"", "shard"),
            ("batch_objects_max = 0", "batch_objects_max"),
            ("visibility = \"1s\"", "visibility"),
            ("[[flow_format]]\nformat = \"start end\"", "needs either `location`"),
            ("[[flow_format]]\nlog_group = \"g\"\nformat = \"${Start} end\"", "${Start}"),
            ("[[flow_format]]\nlog_group = \"g\"\nformat = \"\"\nx = 1", "`x`"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
