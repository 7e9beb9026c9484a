//! Where the lake is.

use super::QueryError;
use crate::config;
use std::fmt;
use std::path::Path;
use url::Url;

/// Location of a lake: a directory or a prefix in a bucket, or nothing at all.
///
/// Finding it opens nothing: a directory is looked at once, a bucket not before a table is named.
#[derive(Debug, Clone)]
pub struct Lake {
    url: Option<Url>,
    text: String,
}

impl Lake {
    /// A session without a lake: naming a table is an error that says how to give one.
    pub fn absent() -> Self {
        Lake { url: None, text: String::new() }
    }

    /// The lake given by `--lake` or the environment, else the demo's below `directory`.
    ///
    /// # Errors
    /// [`QueryError::Lake`] when a given directory does not exist or a URL is of an unknown kind.
    pub fn resolve(given: Option<&str>, directory: &Path) -> Result<Self, QueryError> {
        match given.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) if text.contains("://") => Lake::from_url(text),
            Some(text) => Lake::from_directory(&directory.join(text), text),
            None if directory.join(config::DEMO_LAKE).is_dir() => {
                Lake::from_directory(&directory.join(config::DEMO_LAKE), config::DEMO_LAKE)
            }
            None => Ok(Lake::absent()),
        }
    }

    fn from_url(text: &str) -> Result<Self, QueryError> {
        let failed = |reason: String| QueryError::Lake { location: text.to_owned(), reason };
        let mut url = Url::parse(text).map_err(|error| failed(format!("not a URL: {error}")))?;
        match url.scheme() {
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| failed("a file URL has three slashes: file:///data/lake".to_owned()))?;
                return Lake::from_directory(&path, text);
            }
            "s3" | "s3a" if url.host_str().is_some_and(|bucket| !bucket.is_empty()) => {}
            "s3" | "s3a" => return Err(failed("no bucket: write s3://bucket/prefix".to_owned())),
            other => {
                return Err(failed(format!("unknown scheme {other}: use a directory, file:// or s3://")));
            }
        }
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        Ok(Lake { text: url.as_str().trim_end_matches('/').to_owned(), url: Some(url) })
    }

    fn from_directory(path: &Path, text: &str) -> Result<Self, QueryError> {
        let failed = |reason: String| QueryError::Lake { location: text.to_owned(), reason };
        let path = path.canonicalize().map_err(|error| {
            failed(format!(
                "{error}; give the directory that holds the tables, e.g. the `lake` the processor writes"
            ))
        })?;
        if !path.is_dir() {
            return Err(failed("not a directory".to_owned()));
        }
        let url = Url::from_directory_path(&path).map_err(|()| failed("not an absolute path".to_owned()))?;
        Ok(Lake { url: Some(url), text: path.display().to_string() })
    }

    /// URL of the lake with a trailing slash.
    ///
    /// # Errors
    /// [`QueryError::NoLake`] when none was given.
    pub fn url(&self) -> Result<&Url, QueryError> {
        self.url.as_ref().ok_or(QueryError::NoLake)
    }

    /// URL of one table's directory, with a trailing slash.
    ///
    /// # Errors
    /// [`QueryError::NoLake`] when no lake was given.
    pub fn table_url(&self, table: &str) -> Result<Url, QueryError> {
        let mut url = self.url()?.clone();
        let path = format!("{}{table}/", url.path());
        url.set_path(&path);
        Ok(url)
    }

    /// Whether a lake was given.
    pub fn is_present(&self) -> bool {
        self.url.is_some()
    }

    /// The location as text for messages and for the reproducing commands of findings; empty
    /// without a lake.
    pub fn location(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_present() { &self.text } else { "no lake" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_taken_as_given_and_not_touched() {
        let lake = Lake::resolve(Some("s3://logs/prod/lake//"), Path::new(".")).unwrap();
        assert_eq!(lake.location(), "s3://logs/prod/lake");
        assert_eq!(lake.table_url("vpc_flow").unwrap().as_str(), "s3://logs/prod/lake/vpc_flow/");
        let root = Lake::resolve(Some("s3://logs"), Path::new(".")).unwrap();
        assert_eq!(root.table_url("ingest").unwrap().as_str(), "s3://logs/ingest/");
    }

    #[test]
    fn wrong_locations_say_what_to_do() {
        for (text, word) in
            [("s3:///x", "bucket"), ("https://example.com/x", "scheme"), ("no-such-directory", "directory")]
        {
            let error = Lake::resolve(Some(text), Path::new(".")).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn without_a_lake_only_a_named_table_fails() {
        let empty = tempfile::tempdir().unwrap();
        let lake = Lake::resolve(None, empty.path()).unwrap();
        assert!(!lake.is_present());
        assert!(matches!(lake.table_url("cloudtrail"), Err(QueryError::NoLake)));
        std::fs::create_dir_all(empty.path().join(config::DEMO_LAKE)).unwrap();
        assert!(Lake::resolve(None, empty.path()).unwrap().is_present());
    }

    #[test]
    fn a_directory_with_spaces_survives_the_url() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("my lake");
        std::fs::create_dir(&path).unwrap();
        let lake = Lake::resolve(Some("my lake"), root.path()).unwrap();
        assert_eq!(
            lake.table_url("t").unwrap().to_file_path().unwrap(),
            path.canonicalize().unwrap().join("t/")
        );
    }
}
