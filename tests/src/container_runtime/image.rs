//! The one image the containers run: two static programs, packed without a registry as the archive
//! `docker save` makes (OCI image-spec `config.md` for the configuration).

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its name.
pub const NAME: &str = "registry.local/logq-tests:1";

/// Compiles the programs and packs the image below `dir`; gives the archive.
///
/// # Errors
/// When a tool fails; the message names it.
pub fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    let root = dir.join("rootfs");
    fs::create_dir_all(&root)?;
    let sources = crate::harness::repository().join("tests/containers");
    for program in ["pause", "lines"] {
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-static", "-o"]).arg(root.join(program));
        run(cc.arg(sources.join(format!("{program}.c"))))?;
    }
    let layer = dir.join("layer.tar");
    run(Command::new("tar").arg("-cf").arg(&layer).arg("-C").arg(&root).args(["pause", "lines"]))?;
    let digest = hex(&Sha256::digest(fs::read(&layer)?));
    let config = serde_json::json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Entrypoint": ["/pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    fs::write(dir.join("config.json"), config.to_string())?;
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    fs::write(dir.join("manifest.json"), manifest.to_string())?;
    let archive = dir.join("image.tar");
    let parts = ["manifest.json", "config.json", "layer.tar"];
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(dir).args(parts))?;
    Ok(archive)
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("starting {name}"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
