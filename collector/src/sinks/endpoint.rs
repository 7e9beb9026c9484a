//! The other end of a sink that speaks HTTP: its address, how to trust it, how to be trusted by it.
//!
//! Promises: files with keys and tokens are read before every attempt, so that what was rotated is
//! in use at once; a file that is missing is a failed attempt, never a reason not to start. Secrets
//! come from files and environment variables that the configuration names: they are in no printed
//! configuration and no message. Redirects are not followed, because a redirect would take the
//! logs and the credentials to a place nobody configured. A proxy is used when `HTTPS_PROXY`,
//! `HTTP_PROXY` and `NO_PROXY` say so.

mod answer;
mod compression;
mod credentials;
mod tls;

pub use answer::{excerpt, later, retry_after};
pub use compression::{Algorithm, Compression, compression_rows};
pub use credentials::{Credentials, Strategy, credential_rows};
pub use tls::{Tls, tls_rows};

use super::DeliveryError;
use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Client;
use reqwest::redirect::Policy;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tls::Material;

/// A connection that is not there after this time will not be there within the request's either.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers this program sets itself.
const RESERVED: [&str; 7] = [
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
];

/// Checks an address; `key` is its path in the configuration. True for `https`.
///
/// # Errors
/// When it is not an absolute HTTP URL, or carries a password.
pub fn check_uri(key: &str, uri: &str) -> Result<bool, Problem> {
    let parsed = url::Url::parse(uri)
        .map_err(|error| problem(key, format!("`{uri}` is not a URL ({error}); write https://host/path")))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(problem(key, "must begin with https:// or http://"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(problem(key, "must hold no user and password: use auth.user and auth.password_file"));
    }
    if parsed.fragment().is_some() {
        return Err(problem(key, "must have no `#` part: it is never sent"));
    }
    Ok(parsed.scheme() == "https")
}

/// Checks names and values of headers; `key` is the path of the sink.
///
/// # Errors
/// Names the header that can't be sent.
pub fn check_headers(
    key: &str,
    headers: &BTreeMap<String, String>,
    files: &BTreeMap<String, PathBuf>,
) -> Result<(), Problem> {
    for (table, name) in
        headers.keys().map(|name| ("headers", name)).chain(files.keys().map(|name| ("header_files", name)))
    {
        let at = format!("{key}.{table}.{name}");
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(problem(at, "is not the name of a header"));
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(problem(at, "is set by the sink; for Authorization use auth.strategy"));
        }
    }
    for (name, value) in headers {
        if HeaderValue::from_str(value).is_err() {
            let at = format!("{key}.headers.{name}");
            return Err(problem(at, "holds characters a header can't have, such as a line break"));
        }
    }
    Ok(())
}

/// The lines of the reference page.
pub fn header_rows() -> Vec<Row> {
    vec![
        (
            "headers",
            options::none(),
            "Table of further headers. Values are printed by `validate`: keys belong into `header_files`",
        ),
        (
            "header_files",
            options::none(),
            "Table of headers whose value is in a file, such as an API key; read before every request",
        ),
    ]
}

/// What is needed to talk to the other end.
pub struct Endpoint {
    tls: Tls,
    credentials: Credentials,
    headers: BTreeMap<String, String>,
    header_files: BTreeMap<String, PathBuf>,
    http2_only: bool,
    client: Mutex<Option<(Material, Client)>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's key material is nobody's business.
        f.debug_struct("Endpoint").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Does not read files and does not connect. `http2_only` is for gRPC, which knows nothing else.
    pub fn new(
        tls: &Tls,
        credentials: &Credentials,
        headers: &BTreeMap<String, String>,
        header_files: &BTreeMap<String, PathBuf>,
        http2_only: bool,
    ) -> Self {
        Self {
            tls: tls.clone(),
            credentials: credentials.clone(),
            headers: headers.clone(),
            header_files: header_files.clone(),
            http2_only,
            client: Mutex::new(None),
        }
    }

    /// The client, made anew when a certificate or key has changed on disk.
    ///
    /// # Errors
    /// When a file can't be read or holds no certificate or key.
    pub async fn client(&self) -> Result<Client, DeliveryError> {
        let material = self.tls.read().await?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = &*kept
            && *of == material
        {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .user_agent(concat!("logq-collector/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_danger_accept_invalid_certs(!self.tls.verify_certificate);
        if self.http2_only {
            builder = builder.http2_prior_knowledge();
        }
        let client = self.tls.apply(builder, &material)?.build().map_err(service)?;
        *kept = Some((material, client.clone()));
        Ok(client)
    }

    /// The configured headers and the credentials.
    ///
    /// # Errors
    /// When a file or variable with a secret is missing.
    pub async fn headers(&self) -> Result<HeaderMap, DeliveryError> {
        let mut map = HeaderMap::new();
        let wrong = |name: &str| DeliveryError::Service(format!("header {name} can't be sent").into());
        let mut put = |name: &str, value: HeaderValue| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
            map.insert(name, value);
            Ok::<(), DeliveryError>(())
        };
        for (name, value) in &self.headers {
            put(name, HeaderValue::from_str(value).map_err(|_| wrong(name))?)?;
        }
        for (name, path) in &self.header_files {
            put(name, sensitive(&read_secret(path).await?, &format!("{}", path.display()))?)?;
        }
        if let Some(value) = self.credentials.header().await? {
            put("authorization", value)?;
        }
        Ok(map)
    }
}

/// The text of a file that holds one secret, without the line break editors put behind it.
async fn read_secret(path: &Path) -> Result<String, DeliveryError> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, &error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A header value that is never printed.
fn sensitive(value: &str, origin: &str) -> Result<HeaderValue, DeliveryError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        DeliveryError::Service(format!("{origin}: holds characters a header can't have").into())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn unreadable(path: &Path, error: &std::io::Error) -> DeliveryError {
    DeliveryError::Service(format!("{}: can't be read: {error}", path.display()).into())
}

/// A failure to get a request through.
pub fn service(error: reqwest::Error) -> DeliveryError {
    DeliveryError::Service(Box::new(error))
}

#[cfg(test)]
mod tests;
