//! Collector configurations for tests and the demo.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// A configuration of `logq-collector` that reads one pods directory.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Where it keeps its spool and positions.
    pub data: PathBuf,
    /// The pods directory.
    pub pods: PathBuf,
    /// Landing objects go below this directory.
    pub out: Option<PathBuf>,
    /// Landing objects go to this bucket of the S3 service at this endpoint.
    pub bucket: Option<(String, String)>,
    /// Port of the admin page.
    pub admin: Option<u16>,
    /// A segment is sealed after this long.
    pub segment_max_age: String,
}

impl Collector {
    /// Reads `pods`, keeps its state in `data`, writes landing objects below `out`.
    pub fn to_directory(data: &Path, pods: &Path, out: &Path) -> Self {
        Self {
            data: data.to_owned(),
            pods: pods.to_owned(),
            out: Some(out.to_owned()),
            bucket: None,
            admin: None,
            segment_max_age: "1s".to_owned(),
        }
    }

    /// The configuration file's text.
    pub fn text(&self) -> String {
        // `$` introduces a variable in the collector's configuration.
        let quoted =
            |path: &Path| toml::Value::from(path.display().to_string().replace('$', "$$")).to_string();
        let mut text = format!("data_dir = {}\ncluster = \"demo\"\nnode = \"node-1\"\n", quoted(&self.data));
        // Writing into a String cannot fail.
        let admin = self.admin.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default();
        let _ = write!(text, "\n[admin]\naddress = \"{admin}\"\n");
        let _ = write!(
            text,
            "\n[batch]\ntimeout_secs = \"500ms\"\n\n[segment]\nmax_age = \"{}\"\n\n[sources.pods]\ntype = \"kubernetes_logs\"\npods_dir = {}\nglob_minimum_cooldown = \"500ms\"\n",
            self.segment_max_age,
            quoted(&self.pods)
        );
        if let Some(out) = &self.out {
            let _ = write!(
                text,
                "\n[sinks.landing]\ntype = \"file\"\ninputs = [\"pods\"]\npath = {}\n",
                quoted(out)
            );
        }
        if let Some((bucket, endpoint)) = &self.bucket {
            let _ = write!(
                text,
                "\n[sinks.bucket]\ntype = \"aws_s3\"\ninputs = [\"pods\"]\nbucket = \"{bucket}\"\nregion = \"us-east-1\"\nendpoint = \"{endpoint}\"\n"
            );
        }
        text
    }

    /// Writes the configuration to `path`, and the directories it needs.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(&self.data)?;
        std::fs::create_dir_all(&self.pods)?;
        if let Some(out) = &self.out {
            std::fs::create_dir_all(out)?;
        }
        std::fs::write(path, self.text())
    }
}
