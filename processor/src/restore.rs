//! Getting archived days back: which files, in which state, what it costs and how long it takes.
//!
//! The archive's manifests say which files a day has. S3 is asked about each file, and told to restore
//! those that are offline and not on their way. S3 itself keeps what is going on, so a run that was
//! interrupted is simply run again: nothing is requested twice. When each request was made, and with
//! which tier, is noted in the lake's `state/restores/`, for the time of arrival.
//!
//! Nothing of the archive is changed: a restore is a temporary copy that S3 keeps for some days.

pub mod estimate;
pub mod manifest;
pub mod progress;
pub mod survey;

use crate::lifecycle::class::Class;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// How fast, and how dear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Hours to two days; the cheapest.
    Bulk,
    /// Three to twelve hours.
    Standard,
    /// Minutes; not for Deep Archive, and only when S3 has capacity.
    Expedited,
}

impl Tier {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Bulk => "bulk",
            Tier::Standard => "standard",
            Tier::Expedited => "expedited",
        }
    }

    fn to_s3(self) -> aws_sdk_s3::types::Tier {
        match self {
            Tier::Bulk => aws_sdk_s3::types::Tier::Bulk,
            Tier::Standard => aws_sdk_s3::types::Tier::Standard,
            Tier::Expedited => aws_sdk_s3::types::Tier::Expedited,
        }
    }

    /// How long S3 says a restore takes at most; none where S3 has no such tier.
    /// Source: Amazon S3 User Guide, “Understanding archive retrieval options”.
    pub fn longest(self, class: Class) -> Option<TimeDelta> {
        match (class, self) {
            (Class::Glacier, Tier::Expedited) => Some(TimeDelta::minutes(5)),
            (Class::Glacier, Tier::Standard) => Some(TimeDelta::hours(5)),
            (Class::Glacier, Tier::Bulk) | (Class::DeepArchive, Tier::Standard) => Some(TimeDelta::hours(12)),
            (Class::DeepArchive, Tier::Bulk) => Some(TimeDelta::hours(48)),
            _ => None,
        }
    }
}
