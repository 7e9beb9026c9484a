//! Writes container logs the way containerd does, and rotates them the way kubelet does.

use super::{Container, Line, Stdio};
use crate::loggen::stamp;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// containerd cuts a line after this many bytes of text.
pub const PIECE_BYTES: usize = 16_384;

/// A pods directory could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the container log {path}: {source}")]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writer of a pods directory.
#[derive(Debug)]
pub struct PodsWriter {
    files: Vec<LogFile>,
}

#[derive(Debug)]
struct LogFile {
    directory: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
    records: u64,
    rotations: u32,
}

impl PodsWriter {
    /// Creates `pods` with one open log per container; existing logs are continued.
    ///
    /// # Errors
    /// When a directory or file cannot be created.
    pub fn create(pods: &Path, containers: &[Container]) -> Result<Self, WriteError> {
        let files = containers
            .iter()
            .map(|container| LogFile::open(pods.join(container.directory()), container.restart))
            .collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// Writes one record with the time it carries.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: &Line) -> Result<(), WriteError> {
        self.files[line.container].write(line.nanosecond, line.stdio, &line.body)
    }

    /// Hands everything written so far to the operating system.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        for file in &mut self.files {
            file.flush()?;
        }
        Ok(())
    }

    /// Rotates the log of `container`: the open file is renamed to `<n>.log.<time>` and a new one
    /// takes its place. `second` names the rotated file.
    ///
    /// # Errors
    /// When the file cannot be renamed or the new one not created.
    pub fn rotate(&mut self, container: usize, second: i64) -> Result<(), WriteError> {
        self.files[container].rotate(second)
    }

    /// Records written per container.
    pub fn records(&self) -> Vec<u64> {
        self.files.iter().map(|file| file.records).collect()
    }

    /// Bytes written to all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes in the open file of `container`.
    pub fn open_bytes(&self, container: usize) -> u64 {
        let file = &self.files[container];
        std::fs::metadata(&file.path).map(|meta| meta.len()).unwrap_or_default()
            + file.file.buffer().len() as u64
    }
}

impl LogFile {
    fn open(directory: PathBuf, restart: u32) -> Result<Self, WriteError> {
        let path = directory.join(format!("{restart}.log"));
        let open = || {
            std::fs::create_dir_all(&directory)?;
            OpenOptions::new().create(true).append(true).open(&path)
        };
        match open() {
            Ok(file) => {
                Ok(Self { file: BufWriter::new(file), directory, path, bytes: 0, records: 0, rotations: 0 })
            }
            Err(source) => Err(WriteError { path, source }),
        }
    }

    fn write(&mut self, nanosecond: i64, stdio: Stdio, body: &[u8]) -> Result<(), WriteError> {
        let mut pieces = body.chunks(PIECE_BYTES).peekable();
        let time = stamp::nanos(nanosecond);
        let mut put = |tag: &str, piece: &[u8]| -> io::Result<()> {
            write!(self.file, "{time} {} {tag} ", stdio.as_str())?;
            self.file.write_all(piece)?;
            self.file.write_all(b"\n")?;
            self.bytes += (time.len() + 11 + piece.len()) as u64;
            Ok(())
        };
        let mut result = Ok(());
        if pieces.peek().is_none() {
            result = put("F", b"");
        }
        while let Some(piece) = pieces.next() {
            let tag = if pieces.peek().is_some() { "P" } else { "F" };
            result = result.and_then(|()| put(tag, piece));
        }
        self.records += 1;
        result.map_err(|source| self.error(source))
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.file.flush().map_err(|source| self.error(source))
    }

    fn rotate(&mut self, second: i64) -> Result<(), WriteError> {
        self.flush()?;
        self.rotations += 1;
        // Two rotations within a second must not take the same name.
        let rotated = PathBuf::from(format!(
            "{}.{}",
            self.path.display(),
            stamp::rotation(second + i64::from(self.rotations))
        ));
        let reopened = std::fs::rename(&self.path, rotated)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&self.path));
        match reopened {
            Ok(file) => {
                self.file = BufWriter::new(file);
                Ok(())
            }
            Err(source) => Err(self.error(source)),
        }
    }

    fn error(&self, source: io::Error) -> WriteError {
        WriteError {
            path: if self.path.exists() { self.path.clone() } else { self.directory.clone() },
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loggen::cri::apps::App;

    fn container() -> Container {
        Container {
            namespace: "shop".to_owned(),
            pod: "api-0".to_owned(),
            uid: "00000000-0000-4000-8000-000000000000".to_owned(),
            name: "api".to_owned(),
            restart: 0,
            app: App::Plain,
        }
    }

    fn line(body: Vec<u8>) -> Line {
        Line { container: 0, nanosecond: 1_795_341_600_000_000_000, stdio: Stdio::Out, body }
    }

    #[test]
    fn a_line_above_16_kib_is_cut_like_containerd_does() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let mut writer = PodsWriter::create(folder.path(), &[container()]).expect("creates");
        writer.write(&line(vec![b'x'; PIECE_BYTES])).expect("writes");
        writer.write(&line(vec![b'y'; PIECE_BYTES + 1])).expect("writes");
        writer.write(&line(Vec::new())).expect("writes");
        writer.flush().expect("flushes");
        let text = std::fs::read_to_string(folder.path().join(container().directory()).join("0.log"))
            .expect("reads");
        let tags: Vec<&str> = text.lines().map(|l| l.split(' ').nth(2).unwrap_or_default()).collect();
        assert_eq!(tags, ["F", "P", "F", "F"]);
        assert_eq!(text.len() as u64, writer.bytes());
        assert_eq!(writer.records(), [3]);
    }

    #[test]
    fn rotation_renames_and_reopens() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let mut writer = PodsWriter::create(folder.path(), &[container()]).expect("creates");
        for _ in 0..3 {
            writer.write(&line(b"one".to_vec())).expect("writes");
            writer.rotate(0, 1_795_341_600).expect("rotates");
        }
        writer.write(&line(b"last".to_vec())).expect("writes");
        writer.flush().expect("flushes");
        let names = std::fs::read_dir(folder.path().join(container().directory())).expect("lists").count();
        assert_eq!(names, 4);
    }
}
