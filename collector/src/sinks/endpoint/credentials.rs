//! Who asks: nobody, a user with a password, or the bearer of a token.

use super::{read_secret, sensitive};
use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use crate::sinks::DeliveryError;
use ::http::header::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How to identify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    Basic,
    /// A token.
    Bearer,
}

/// Settings of credentials. The secret itself is in a file or a variable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// How to identify.
    pub strategy: Strategy,
    /// User, for `basic`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// File with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Name of the environment variable with the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// File with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Name of the environment variable with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_env: Option<String>,
}

impl Credentials {
    /// Checks the settings; `key` is the path of the sink.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        let at = |name: &str| format!("{key}.auth.{name}");
        let basic = !self.user.is_empty() || self.password_file.is_some() || self.password_env.is_some();
        let bearer = self.token_file.is_some() || self.token_env.is_some();
        let (file, variable, name) = match self.strategy {
            Strategy::None if basic || bearer => {
                return Err(problem(at("strategy"), "must be basic or bearer for the other keys to work"));
            }
            Strategy::None => return Ok(()),
            Strategy::Basic if bearer => {
                return Err(problem(at("strategy"), "basic takes user and password, not a token"));
            }
            Strategy::Bearer if basic => {
                return Err(problem(at("strategy"), "bearer takes a token, not user and password"));
            }
            Strategy::Basic if self.user.is_empty() || self.user.contains(':') => {
                return Err(problem(at("user"), "must be a name without `:`"));
            }
            Strategy::Basic => (&self.password_file, &self.password_env, "password_file"),
            Strategy::Bearer => (&self.token_file, &self.token_env, "token_file"),
        };
        match (file, variable.as_deref()) {
            (Some(_), None) => Ok(()),
            (None, Some(variable)) if is_variable(variable) => Ok(()),
            (None, Some(_)) => {
                let message = "must be the name of an environment variable, not the secret itself";
                Err(problem(at(name).replace("_file", "_env"), message))
            }
            _ => Err(problem(at(name), "give either the file or, as `…_env`, the variable with the secret")),
        }
    }

    /// The value of `Authorization`.
    pub(super) async fn header(&self) -> Result<Option<HeaderValue>, DeliveryError> {
        let (file, variable) = match self.strategy {
            Strategy::None => return Ok(None),
            Strategy::Basic => (&self.password_file, &self.password_env),
            Strategy::Bearer => (&self.token_file, &self.token_env),
        };
        let (secret, origin) = match (file, variable) {
            (Some(path), _) => (read_secret(path).await?, path.display().to_string()),
            (None, Some(name)) => {
                let missing =
                    || DeliveryError::Service(format!("environment variable {name} is not set").into());
                (std::env::var(name).map_err(|_| missing())?, name.clone())
            }
            (None, None) => return Ok(None),
        };
        if secret.is_empty() {
            return Err(DeliveryError::Service(format!("{origin}: is empty").into()));
        }
        let value = match self.strategy {
            Strategy::Basic => format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.user))),
            _ => format!("Bearer {secret}"),
        };
        sensitive(&value, &origin).map(Some)
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The lines of the reference page.
pub fn credential_rows() -> Vec<Row> {
    use options::{none, text};
    vec![
        ("auth.strategy", text("none"), "`none`, `basic` or `bearer`"),
        ("auth.user", none(), "User, for `basic`"),
        ("auth.password_file", none(), "File with the password; read before every request"),
        ("auth.password_env", none(), "Or the name of the environment variable that holds it"),
        (
            "auth.token_file",
            none(),
            "File with the token, for `bearer`; read before every request, so a rotated one is used at once",
        ),
        ("auth.token_env", none(), "Or the name of the environment variable that holds it"),
    ]
}
