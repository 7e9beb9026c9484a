//! What a source, transform or sink must bring to be configurable: its settings type does the
//! reading, the checking and the documentation.

use super::units::ByteSize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use toml::{Table, Value};

/// What is wrong with which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as written from the root of the file.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// A problem with `key`.
pub fn problem(key: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { key: key.into(), message: message.into() }
}

/// One line of the reference page: key, default, meaning.
pub type Row = (&'static str, String, &'static str);

/// The settings of one kind of component. Deserialised from its table (without `type`, `inputs`
/// and `buffer`), with every default filled in by serde and unknown keys refused.
pub trait Settings: DeserializeOwned + Serialize + Debug + Send + Sync + 'static {
    /// The value of `type`.
    const KIND: &'static str;
    /// One or two sentences for the reference page.
    const ABOUT: &'static str;

    /// The lines of the reference page: every key that may appear.
    fn options() -> Vec<Row>;

    /// Checks what serde can't; `key` is the path of the table, such as `sinks.out`.
    ///
    /// # Errors
    /// Names the key that can't work and what to do.
    fn check(&self, key: &str) -> Result<(), Problem> {
        let _ = key;
        Ok(())
    }
}

/// The object-safe part of [`Settings`].
pub trait Described: Debug + Send + Sync {
    /// The value of `type`.
    fn kind(&self) -> &'static str;
    /// The settings in effect, without `type`, `inputs` and `buffer`.
    fn table(&self) -> Table;
}

impl<S: Settings> Described for S {
    fn kind(&self) -> &'static str {
        S::KIND
    }

    fn table(&self) -> Table {
        // Settings are maps, texts and numbers; a path that is not UTF-8 can't come from TOML.
        Table::try_from(self).unwrap_or_default()
    }
}

/// One kind of component in a registry.
pub struct Kind<T: ?Sized> {
    /// The value of `type`.
    pub name: &'static str,
    /// For the reference page.
    pub about: &'static str,
    /// For the reference page.
    pub options: fn() -> Vec<Row>,
    /// Reads and checks a table found at a key.
    pub read: fn(&str, Table) -> Result<Arc<T>, Problem>,
}

/// Reads settings from the table at `key` and checks them.
///
/// # Errors
/// Names the key.
pub fn read_settings<S: Settings>(key: &str, table: Table) -> Result<Arc<S>, Problem> {
    let settings: S = read(key, table)?;
    settings.check(key)?;
    Ok(Arc::new(settings))
}

/// Deserialises a table; the error names the key it is about.
///
/// # Errors
/// When a key is unknown, missing or of the wrong type.
pub fn read<T: DeserializeOwned>(key: &str, table: Table) -> Result<T, Problem> {
    Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        // "message\nin `path`\n": the path belongs to the key.
        let text = error.to_string();
        let (message, inner) = text.split_once("\nin `").unwrap_or((&text, ""));
        let inner = inner.trim_end().trim_end_matches('`');
        let key = match (key, inner) {
            ("top level", "") => key.to_owned(),
            ("top level", inner) => inner.to_owned(),
            (key, "") => key.to_owned(),
            (key, inner) => format!("{key}.{inner}"),
        };
        problem(key, message.trim_end())
    })
}

/// Checks that a size lies within its limits.
///
/// # Errors
/// When it does not.
pub fn within(key: &str, size: ByteSize, (least, most): (usize, usize)) -> Result<(), Problem> {
    if (least..=most).contains(&size.bytes()) {
        return Ok(());
    }
    let (least, most) = (ByteSize::new(least), ByteSize::new(most));
    Err(problem(key, format!("must be between {least} and {most}, not {size}")))
}
