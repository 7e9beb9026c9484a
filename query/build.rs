//! Lists the shipped detections and named queries: every file under `detections/` and `queries/` becomes
//! an `include_str!` entry, so that adding a rule or a query is adding files and nothing else.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    list("detections")?;
    list("queries")
}

fn list(folder: &str) -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join(folder);
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut code = format!("/// Path below `{folder}/` and text of every shipped file.\n");
    code.push_str("pub(crate) const FILES: &[(&str, &str)] = &[\n");
    for file in &files {
        let name = file.strip_prefix(&root)?.to_str().ok_or("a shipped file's name is not UTF-8")?;
        writeln!(code, "    ({name:?}, include_str!({:?})),", file.to_str().ok_or("the path is not UTF-8")?)?;
    }
    code.push_str("];\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join(format!("{folder}.rs")), code)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "yml" || e == "sql" || e == "jsonl" || e == "toml") {
            files.push(path);
        }
    }
    Ok(())
}
