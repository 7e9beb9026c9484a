//! Where the SQL comes from, and sizes on the command line.

use super::Cli;
use crate::config;
use anyhow::{Context, bail};
use std::io::{IsTerminal, Read};
use std::path::PathBuf;

/// The SQL to run; `None` when none is given and nobody pipes any.
///
/// # Errors
/// When the file or standard input cannot be read, is no text or is larger than
/// [`config::SQL_BYTES_MAX`].
pub fn sql(cli: &Cli) -> Result<Option<String>, anyhow::Error> {
    if let Some(path) = &cli.file {
        if path.as_os_str() == "-" {
            return read(std::io::stdin().lock()).context("standard input").map(Some);
        }
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        return read(file).with_context(|| path.display().to_string()).map(Some);
    }
    match cli.sql.as_deref() {
        Some("-") => read(std::io::stdin().lock()).context("standard input").map(Some),
        Some(text) => {
            let known = super::command();
            let word = !text.trim().contains(char::is_whitespace);
            let names = known.get_subcommands().map(clap::Command::get_name);
            if word && let Some(name) = crate::session::nearest::nearest(text, names) {
                bail!("{text} is neither a command nor SQL, did you mean logq {name}?");
            }
            Ok(Some(text.to_owned()))
        }
        None if std::io::stdin().is_terminal() => Ok(None),
        None => read(std::io::stdin().lock()).context("standard input").map(Some),
    }
}

fn read(from: impl Read) -> Result<String, anyhow::Error> {
    let mut bytes = Vec::new();
    from.take(config::SQL_BYTES_MAX + 1).read_to_end(&mut bytes).context("cannot read the SQL")?;
    if bytes.len() as u64 > config::SQL_BYTES_MAX {
        bail!("more than {} bytes of SQL", config::SQL_BYTES_MAX);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        anyhow::anyhow!("the SQL is not UTF-8, byte {}", error.utf8_error().valid_up_to())
    })?;
    // A byte order mark is what editors on Windows put in front.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// `NAME=FILE`.
///
/// # Errors
/// A message when there is no name or no file.
pub fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.trim().is_empty() && !file.is_empty() => {
            Ok((name.trim().to_owned(), PathBuf::from(file)))
        }
        _ => Err("write NAME=FILE, e.g. tor=tor-exits.txt".to_owned()),
    }
}

/// A memory limit: a size that lets every query run.
///
/// # Errors
/// A message when it cannot be read or is below the least that works.
pub fn memory_limit(text: &str) -> Result<usize, String> {
    let bytes = byte_size(text)?;
    if bytes < config::MEMORY_LIMIT_BYTES_MIN {
        return Err(format!("at least {}MiB are needed to sort", config::MEMORY_LIMIT_BYTES_MIN >> 20));
    }
    Ok(bytes)
}

/// A size in bytes: `1GiB`, `512MiB`, `2G`, `1500000`.
///
/// # Errors
/// A message when it cannot be read.
pub fn byte_size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err("write a size such as 512MiB or 4GiB".to_owned()),
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .ok_or_else(|| "write a size such as 512MiB or 4GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(byte_size("1GiB"), Ok(config::MEMORY_LIMIT_BYTES));
        assert_eq!(byte_size("512 MiB"), Ok(512 << 20));
        assert_eq!(byte_size("2g"), Ok(2 << 30));
        assert_eq!(byte_size("100MB"), Ok(100_000_000));
        for text in ["", "GiB", "1.5GiB", "-1", "99999999999999999999G"] {
            assert!(byte_size(text).is_err(), "{text}");
        }
        assert!(memory_limit("1MiB").is_err() && memory_limit("64MiB").is_ok());
    }

    #[test]
    fn sql_must_be_text_of_a_sane_size() {
        assert_eq!(read("\u{feff}select 1".as_bytes()).unwrap(), "select 1");
        assert!(read(&b"select \xff"[..]).unwrap_err().to_string().contains("byte 7"));
    }
}
