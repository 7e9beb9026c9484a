//! Storage classes of S3 and what their documentation says about moving into them.

use serde::Deserialize;
use std::fmt;

/// A storage class a lifecycle rule can name, warmest first: a rule only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Class {
    /// Where objects are written.
    Standard,
    /// Infrequent access.
    StandardIa,
    /// Moves by access.
    IntelligentTiering,
    /// One zone only.
    OnezoneIa,
    /// Glacier Instant Retrieval: readable at once.
    GlacierIr,
    /// Glacier Flexible Retrieval: readable after a restore.
    Glacier,
    /// Glacier Deep Archive: readable after a restore.
    DeepArchive,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 7] = [
        Class::Standard,
        Class::StandardIa,
        Class::IntelligentTiering,
        Class::OnezoneIa,
        Class::GlacierIr,
        Class::Glacier,
        Class::DeepArchive,
    ];

    /// The name S3 gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Standard => "STANDARD",
            Class::StandardIa => "STANDARD_IA",
            Class::IntelligentTiering => "INTELLIGENT_TIERING",
            Class::OnezoneIa => "ONEZONE_IA",
            Class::GlacierIr => "GLACIER_IR",
            Class::Glacier => "GLACIER",
            Class::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether an object in it must be restored before it can be read.
    pub fn is_offline(self) -> bool {
        matches!(self, Class::Glacier | Class::DeepArchive)
    }

    /// Days an object must have before S3 accepts a move into the class.
    pub fn days_before(self) -> i32 {
        match self {
            Class::StandardIa | Class::OnezoneIa => 30,
            _ => 0,
        }
    }

    /// Days billed at least once an object is in the class.
    pub fn days_billed(self) -> i32 {
        match self {
            Class::Standard | Class::IntelligentTiering => 0,
            Class::StandardIa | Class::OnezoneIa => 30,
            Class::GlacierIr | Class::Glacier => 90,
            Class::DeepArchive => 180,
        }
    }

    /// Whether an object below 128 KiB is billed as one of 128 KiB.
    pub fn bills_small_objects_up(self) -> bool {
        matches!(self, Class::StandardIa | Class::OnezoneIa | Class::GlacierIr)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
