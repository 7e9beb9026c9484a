//! What all AWS sinks share: region, endpoint, credentials.
//!
//! Credentials come from the AWS SDK's default chain (environment, profile with SSO, web identity
//! for IRSA, container endpoint for EKS Pod Identity, instance metadata), optionally exchanged for a
//! role in another account. The SDK caches them and renews them before they expire.

use crate::config::component::{Problem, Row, problem};
use crate::config::options;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where the service is and who asks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// ARN of a role to assume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<String>,
    /// External id the role demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Session name seen in CloudTrail.
    #[serde(default = "session_name")]
    pub session_name: String,
    /// Region of the STS endpoint; the sink's otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

fn session_name() -> String {
    options::SESSION_NAME.to_owned()
}

/// Checks an endpoint override; `key` is the path of the sink.
///
/// # Errors
/// When it is not a URL.
pub fn check_endpoint(key: &str, endpoint: Option<&str>) -> Result<(), Problem> {
    match endpoint {
        Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
            Err(problem(format!("{key}.endpoint"), "must begin with https:// or http://"))
        }
        _ => Ok(()),
    }
}

impl Auth {
    /// Checks the settings; `key` is the path of the sink.
    ///
    /// # Errors
    /// Names the key that can't work.
    pub fn check(&self, key: &str) -> Result<(), Problem> {
        if self.external_id.is_some() && self.assume_role.is_none() {
            return Err(problem(format!("{key}.auth.external_id"), "needs auth.assume_role"));
        }
        Ok(())
    }

    /// The SDK's configuration. Retries are the sink's own, visible in its metrics and without an
    /// end, so the SDK makes one attempt of at most `timeout`.
    pub async fn load(&self, region: Option<&str>, endpoint: Option<&str>, timeout: Duration) -> SdkConfig {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let base = loader.load().await;
        let mut config = base.to_builder();
        if base.region().is_none() {
            config.set_region(Some(Region::new("us-east-1")));
        }
        if let Some(role) = &self.assume_role {
            let region = self.region.clone().or_else(|| base.region().map(ToString::to_string));
            let mut provider = aws_config::sts::AssumeRoleProvider::builder(role)
                .session_name(self.session_name.clone())
                .configure(&base);
            if let Some(id) = &self.external_id {
                provider = provider.external_id(id);
            }
            if let Some(region) = region {
                provider = provider.region(Region::new(region));
            }
            config.set_credentials_provider(Some(SharedCredentialsProvider::new(provider.build().await)));
        }
        if let Some(endpoint) = endpoint {
            config.set_endpoint_url(Some(endpoint.to_owned()));
        }
        config.build()
    }
}

/// The lines of the reference page.
pub fn auth_rows() -> Vec<Row> {
    use options::{none, plain, text};
    vec![
        ("region", plain("the SDK's"), "Region of the service"),
        ("endpoint", none(), "URL of another endpoint; plain HTTP only when it begins with `http://`"),
        ("auth.assume_role", none(), "ARN of a role to assume"),
        ("auth.external_id", none(), "External id the role demands"),
        ("auth.session_name", text(options::SESSION_NAME), "Session name seen in CloudTrail"),
        ("auth.region", plain("`region`"), "Region of the STS endpoint"),
    ]
}
