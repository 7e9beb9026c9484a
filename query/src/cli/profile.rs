//! The configuration file: what an analyst does not want to type every day.
//!
//! ```toml
//! lake = "s3://logs-lake/prod"
//! zones = "intent.toml"
//! geoip = ["GeoLite2-City.mmdb", "GeoLite2-ASN.mmdb"]
//! queries = "queries"
//!
//! [lists]
//! tor = "tor.txt"
//!
//! [profile.stage]
//! lake = "s3://logs-lake/stage"
//! ```
//!
//! The command line wins over the environment, that over the chosen profile, that over the top of
//! the file. Paths are relative to the file. An unknown key is an error: a misspelt `lists` must not
//! silently find nothing.

use crate::config;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a configuration file says, for one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Where the tables are.
    pub lake: Option<String>,
    /// Network intent with zones and sets.
    pub zones: Option<PathBuf>,
    /// MaxMind databases.
    pub geoip: Vec<PathBuf>,
    /// Lists of addresses by name.
    pub lists: BTreeMap<String, PathBuf>,
    /// Directory of named queries.
    pub queries: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    lake: Option<String>,
    zones: Option<PathBuf>,
    geoip: Option<Vec<PathBuf>>,
    #[serde(default)]
    lists: BTreeMap<String, PathBuf>,
    queries: Option<PathBuf>,
    #[serde(default)]
    profile: BTreeMap<String, RawProfile>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    lake: Option<String>,
    zones: Option<PathBuf>,
    geoip: Option<Vec<PathBuf>>,
    #[serde(default)]
    lists: BTreeMap<String, PathBuf>,
    queries: Option<PathBuf>,
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {reason}", path.display())]
    Unreadable {
        /// File.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// Not TOML, or an unknown key.
    #[error("configuration {}: {reason}", path.display())]
    Syntax {
        /// File.
        path: PathBuf,
        /// Line and key.
        reason: String,
    },
    /// No such profile.
    #[error("no profile called {name} in {}{}", path.display(), there_are(.known))]
    Unknown {
        /// As given.
        name: String,
        /// File.
        path: PathBuf,
        /// Profiles there are.
        known: Vec<String>,
    },
    /// A profile was asked for and there is no file.
    #[error("profile {name} is asked for and there is no configuration file: write one at {}", path.display())]
    NoFile {
        /// As given.
        name: String,
        /// Where it would be.
        path: PathBuf,
    },
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
}

impl Profile {
    /// Reads the file given, or the usual one when it exists; the profile `name` of it, or its top.
    ///
    /// # Errors
    /// [`ProfileError`]
    pub fn load(file: Option<&Path>, name: Option<&str>) -> Result<Self, ProfileError> {
        let usual = config_directory().map(|directory| directory.join("config.toml"));
        let path = match (file, usual) {
            (Some(path), _) => path.to_owned(),
            (None, Some(usual)) if usual.is_file() => usual,
            (None, usual) => {
                return match name {
                    None => Ok(Profile::default()),
                    Some(name) => Err(ProfileError::NoFile {
                        name: name.to_owned(),
                        path: usual.unwrap_or_else(|| PathBuf::from("config.toml")),
                    }),
                };
            }
        };
        let text = std::fs::read_to_string(&path)
            .map_err(|reason| ProfileError::Unreadable { path: path.clone(), reason })?;
        Profile::parse(&text, &path, name)
    }

    fn parse(text: &str, path: &Path, name: Option<&str>) -> Result<Self, ProfileError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ProfileError::Syntax {
            path: path.to_owned(),
            reason: error.to_string().trim().replace('\n', " "),
        })?;
        let chosen = match name {
            None => RawProfile::default(),
            Some(name) => raw.profile.get(name).cloned().ok_or_else(|| ProfileError::Unknown {
                name: name.to_owned(),
                path: path.to_owned(),
                known: raw.profile.keys().cloned().collect(),
            })?,
        };
        let directory = path.parent().unwrap_or(Path::new("."));
        let beside = |path: PathBuf| directory.join(path);
        let lists = raw.lists.into_iter().chain(chosen.lists);
        Ok(Profile {
            lake: chosen.lake.or(raw.lake).map(|lake| match lake.contains("://") {
                true => lake,
                false => directory.join(lake).display().to_string(),
            }),
            zones: chosen.zones.or(raw.zones).map(beside),
            geoip: chosen.geoip.or(raw.geoip).unwrap_or_default().into_iter().map(beside).collect(),
            lists: lists.map(|(name, path)| (name, beside(path))).collect(),
            queries: chosen.queries.or(raw.queries).map(beside).or_else(usual_queries),
        })
    }
}

/// Named queries of the user, where they are put without saying so.
fn usual_queries() -> Option<PathBuf> {
    config_directory().map(|directory| directory.join("queries")).filter(|directory| directory.is_dir())
}

/// `$XDG_CONFIG_HOME/logq`, else `~/.config/logq`.
fn config_directory() -> Option<PathBuf> {
    directory_of("XDG_CONFIG_HOME", ".config")
}

/// `$XDG_STATE_HOME/logq`, else `~/.local/state/logq`: where the shell keeps its history.
pub fn state_directory() -> Option<PathBuf> {
    directory_of("XDG_STATE_HOME", ".local/state")
}

/// <https://specifications.freedesktop.org/basedir-spec/latest/>: a relative path is to be ignored.
fn directory_of(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given.or_else(|| {
        std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(|home| PathBuf::from(home).join(below_home))
    })?;
    Some(base.join(config::PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "lake = 's3://a/b'\ngeoip = ['x.mmdb']\n[lists]\ntor = 'tor.txt'\n\
        [profile.stage]\nlake = 'lake'\n[profile.stage.lists]\nbad = '/srv/bad.txt'\n";

    fn parse(text: &str, name: Option<&str>) -> Result<Profile, ProfileError> {
        Profile::parse(text, Path::new("/etc/logq/config.toml"), name)
    }

    #[test]
    fn a_profile_adds_to_the_top_of_the_file() {
        let top = parse(TEXT, None).unwrap();
        assert_eq!(top.lake.as_deref(), Some("s3://a/b"));
        assert_eq!(top.geoip, [PathBuf::from("/etc/logq/x.mmdb")]);
        let stage = parse(TEXT, Some("stage")).unwrap();
        assert_eq!(stage.lake.as_deref(), Some("/etc/logq/lake"));
        assert_eq!(stage.geoip, top.geoip);
        assert_eq!(stage.lists["tor"], PathBuf::from("/etc/logq/tor.txt"));
        assert_eq!(stage.lists["bad"], PathBuf::from("/srv/bad.txt"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(parse(TEXT, Some("prod")).unwrap_err().to_string().contains("there are stage"));
        assert!(parse("lst = {}", None).unwrap_err().to_string().contains("lst"));
        assert!(matches!(
            Profile::load(Some(Path::new("/no/such.toml")), None),
            Err(ProfileError::Unreadable { .. })
        ));
    }
}
