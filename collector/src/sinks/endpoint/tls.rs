//! Which certificates to trust and which to show.

use super::{service, unreadable};
use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use crate::sinks::DeliveryError;
use reqwest::{Certificate, ClientBuilder, Identity};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Settings of TLS, under Vector's names.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates of the only authorities to trust; the system's otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate to show, with its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crt_file: Option<PathBuf>,
    /// Key of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Whether the other end must prove who it is.
    pub verify_certificate: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { ca_file: None, crt_file: None, key_file: None, verify_certificate: true }
    }
}

/// The files, as they were read. Not `Debug`: it holds a key.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Material {
    authorities: Vec<u8>,
    identity: Vec<u8>,
}

impl Tls {
    /// Checks the settings; `key` is the path of the sink, `https` says what its address begins with.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str, https: bool) -> Result<(), Problem> {
        if self.crt_file.is_some() != self.key_file.is_some() {
            let missing = if self.crt_file.is_some() { "key_file" } else { "crt_file" };
            return Err(problem(format!("{key}.tls.{missing}"), "certificate and key belong together"));
        }
        let used = [("ca_file", self.ca_file.is_some()), ("crt_file", self.crt_file.is_some())];
        let used = used.into_iter().chain([("verify_certificate", !self.verify_certificate)]);
        if let Some((name, _)) = used.into_iter().find(|(_, used)| *used && !https) {
            return Err(problem(
                format!("{key}.tls.{name}"),
                "has no effect: the address begins with http://",
            ));
        }
        if self.ca_file.is_some() && !self.verify_certificate {
            let message = "has no effect with verify_certificate = false: remove one of them";
            return Err(problem(format!("{key}.tls.ca_file"), message));
        }
        Ok(())
    }

    pub(super) async fn read(&self) -> Result<Material, DeliveryError> {
        let mut material = Material::default();
        if let Some(path) = &self.ca_file {
            material.authorities = read(path).await?;
        }
        if let (Some(crt), Some(key)) = (&self.crt_file, &self.key_file) {
            material.identity = read(key).await?;
            material.identity.push(b'\n');
            material.identity.extend(read(crt).await?);
        }
        Ok(material)
    }

    pub(super) fn apply(
        &self,
        mut builder: ClientBuilder,
        material: &Material,
    ) -> Result<ClientBuilder, DeliveryError> {
        if let Some(path) = &self.ca_file {
            let found = Certificate::from_pem_bundle(&material.authorities).map_err(service)?;
            if found.is_empty() {
                let message = format!("{}: holds no certificate in PEM", path.display());
                return Err(DeliveryError::Service(message.into()));
            }
            builder = builder.tls_certs_only(found);
        }
        if let Some(path) = &self.crt_file {
            let identity = Identity::from_pem(&material.identity).map_err(|error| {
                let message = format!("{}: no usable certificate and key in PEM: {error}", path.display());
                DeliveryError::Service(message.into())
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, DeliveryError> {
    tokio::fs::read(path).await.map_err(|error| unreadable(path, &error))
}

/// The lines of the reference page.
pub fn tls_rows() -> Vec<Row> {
    vec![
        ("tls.ca_file", options::plain("the system's"), "PEM file with the only authorities to trust"),
        (
            "tls.crt_file",
            options::none(),
            "PEM file with the certificate to show and its chain; read again when it changes",
        ),
        ("tls.key_file", options::none(), "PEM file with its key"),
        (
            "tls.verify_certificate",
            options::plain("`true`"),
            "`false`: anybody can pretend to be the receiver",
        ),
    ]
}
