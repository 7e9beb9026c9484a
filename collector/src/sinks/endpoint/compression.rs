//! How request bodies are packed.

use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use serde::{Deserialize, Serialize};
use std::io::{self, Write as _};

/// How bodies are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Settings of compression.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// How.
    pub algorithm: Algorithm,
    /// How hard to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<i32>,
}

/// Levels: gzip's own, and of zstd what a node can afford.
const GZIP_LEVELS: (i32, i32) = (1, 9);
/// Cheap by default: a node's CPU is dearer than its transfer.
const GZIP_LEVEL: u32 = 3;

impl Compression {
    /// Checks the settings; `key` is the path of the sink.
    ///
    /// # Errors
    /// When the algorithm has no such level.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        let Some(level) = self.level else { return Ok(()) };
        let at = format!("{key}.compression.level");
        let (least, most) = match self.algorithm {
            Algorithm::None => return Err(problem(at, "needs compression.algorithm = \"gzip\" or \"zstd\"")),
            Algorithm::Gzip => GZIP_LEVELS,
            Algorithm::Zstd => options::COMPRESSION_RANGE,
        };
        if (least..=most).contains(&level) {
            return Ok(());
        }
        Err(problem(at, format!("must be between {least} and {most}, not {level}")))
    }

    /// The name in `Content-Encoding`; none for plain bodies.
    pub fn name(&self) -> Option<&'static str> {
        match self.algorithm {
            Algorithm::None => None,
            Algorithm::Gzip => Some("gzip"),
            Algorithm::Zstd => Some("zstd"),
        }
    }

    /// Packs a body. Blocking.
    ///
    /// # Errors
    /// When zstd has no memory.
    pub fn pack(&self, body: Vec<u8>) -> io::Result<Vec<u8>> {
        match self.algorithm {
            Algorithm::None => Ok(body),
            Algorithm::Zstd => zstd::bulk::compress(&body, self.level.unwrap_or(options::COMPRESSION_LEVEL)),
            Algorithm::Gzip => {
                let level = self.level.and_then(|level| u32::try_from(level).ok()).unwrap_or(GZIP_LEVEL);
                let packed = Vec::with_capacity(body.len() / 4);
                let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::new(level));
                encoder.write_all(&body)?;
                encoder.finish()
            }
        }
    }
}

/// The lines of the reference page; `algorithm` is the sink's default.
pub fn compression_rows(algorithm: &str) -> Vec<Row> {
    vec![
        ("compression.algorithm", options::text(algorithm), "`none`, `gzip` or `zstd`"),
        ("compression.level", options::plain("3 for gzip, 1 for zstd"), "gzip: 1 to 9, zstd: -7 to 19"),
    ]
}
