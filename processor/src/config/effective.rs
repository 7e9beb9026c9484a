//! The configuration as a file: what `validate` prints.

use super::Config;
use super::maintenance::Maintenance;
use crate::formats::FlowFormat;
use crate::formats::vpc_flow::format::Scope;
use crate::lake::archive::LockMode;
use std::time::Duration;
use toml::{Table, Value};

impl Config {
    /// The configuration as a file that gives exactly it.
    pub fn to_toml(&self) -> String {
        let mut table = Table::new();
        let mut put = |key: &str, value: Value| {
            table.insert(key.to_owned(), value);
        };
        put("shard", self.shard.clone().into());
        put("commit_interval", duration(self.commit_interval));
        put("batch_objects_max", size(self.batch_objects_max));
        put("batch_stored_bytes_max", number(self.batch_stored_bytes_max));
        if let Some(days) = self.ledger_days {
            put("ledger_days", days.into());
        }
        put("reads_max", size(self.reads_max));
        put("file_memory_bytes_max", size(self.file_memory_bytes_max));
        put("settle", duration(self.settle));
        put("poll_interval", duration(self.poll_interval));
        put("visibility", duration(self.visibility));
        put("shutdown_timeout", duration(self.shutdown_timeout));
        if let Some(path) = &self.cloudtrail_public_keys {
            put("cloudtrail_public_keys", path.display().to_string().into());
        }
        put("object_bytes_max", number(self.limits.object_bytes_max));
        put("record_bytes_max", size(self.limits.record_bytes_max));
        put("rejected_bytes_max", size(self.limits.rejected_bytes_max));
        put("maintenance", maintenance(&self.maintenance).into());
        let pulled: Vec<Value> =
            self.cloudwatch_logs.iter().map(|section| section.to_toml().into()).collect();
        if !pulled.is_empty() {
            put("cloudwatch_logs", pulled.into());
        }
        let formats: Vec<Value> = self.flow_formats.iter().map(|format| flow_format(format).into()).collect();
        if !formats.is_empty() {
            put("flow_format", formats.into());
        }
        table.to_string()
    }
}

fn duration(value: Duration) -> Value {
    humantime::format_duration(value).to_string().into()
}

fn number(value: u64) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

fn size(value: usize) -> Value {
    number(value as u64)
}

fn flow_format(format: &FlowFormat) -> Table {
    let (key, place) = match format.scope() {
        Scope::Location(location) => ("location", location),
        Scope::LogGroup(group) => ("log_group", group),
    };
    Table::from_iter([
        (key.to_owned(), place.clone().into()),
        ("format".to_owned(), format.text().to_owned().into()),
    ])
}

fn maintenance(settings: &Maintenance) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| {
        table.insert(key.to_owned(), value);
    };
    put("file_bytes", number(settings.file_bytes));
    put("memory_bytes_max", number(settings.memory_bytes_max));
    put("seal_after", duration(settings.seal_after));
    if let Some(archive) = &settings.archive {
        put("archive", archive.clone().into());
    }
    if let Some(class) = &settings.storing.storage_class {
        put("archive_storage_class", class.clone().into());
    }
    if let Some(lock) = settings.storing.lock {
        let mode = match lock.mode {
            LockMode::Governance => "governance",
            LockMode::Compliance => "compliance",
        };
        put("archive_lock_mode", mode.into());
        put("archive_lock_days", lock.days.into());
    }
    put("pack_bytes", number(settings.pack_bytes));
    put("pack_member_bytes_max", number(settings.pack_member_bytes_max));
    table
}
