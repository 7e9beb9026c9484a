//! The service: its requests, paced and repeated.

use super::render::Event;
use super::settings::Settings;
use super::window::Window;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Attempts at one request. With a first pause of a quarter second, doubled up to the longest and spread
/// at random by the client, they outlast half a minute of throttling.
const ATTEMPTS: u32 = 8;
const BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The most the service gives in one answer.
const EVENTS: i32 = 10_000;

/// A request failed.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The token of a request that goes on is not known any more.
    #[error("the token of {group} has expired, its window is read again")]
    Token {
        /// The group.
        group: String,
    },
    /// Anything else.
    #[error("CloudWatch Logs {operation} on {group} failed: {reason}")]
    Failed {
        /// The request.
        operation: &'static str,
        /// The group, or the prefix of groups.
        group: String,
        /// What the service says.
        reason: String,
    },
}

/// A group as the service describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Days after which its events are gone.
    pub retention_days: Option<i32>,
}

/// A page of events.
#[derive(Debug)]
pub struct Page {
    /// The events; none does not mean that there are no more.
    pub events: Vec<Event>,
    /// Where the next request goes on; none at the end of the window.
    pub token: Option<String>,
}

/// A client of one section.
#[derive(Debug)]
pub struct Requests {
    client: Client,
    spacing: Duration,
    next: Mutex<Instant>,
}

impl Requests {
    /// Connects with the AWS default credential chain, or with the section's role.
    pub async fn open(settings: &Settings) -> Requests {
        let retry = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(BACKOFF)
            .with_max_backoff(BACKOFF_MAX);
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(retry);
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let shared = loader.load().await;
        let mut builder = aws_sdk_cloudwatchlogs::config::Builder::from(&shared);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        if let Some(role) = &settings.role_arn {
            let mut assume =
                AssumeRoleProvider::builder(role).session_name("logq-processor").configure(&shared);
            if let Some(external_id) = &settings.external_id {
                assume = assume.external_id(external_id);
            }
            builder = builder.credentials_provider(assume.build().await);
        }
        Requests {
            client: Client::from_conf(builder.build()),
            spacing: Duration::from_secs(1) / settings.requests_per_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for the turn of the next request.
    async fn pace(&self) {
        let mut next = self.next.lock().await;
        let at = (*next).max(Instant::now());
        *next = at + self.spacing;
        drop(next);
        tokio::time::sleep_until(at).await;
    }

    /// The groups whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the service refuses after all attempts.
    pub async fn groups(&self, prefix: &str) -> Result<Vec<Group>, RequestError> {
        let mut groups = Vec::new();
        let mut token: Option<String> = None;
        loop {
            self.pace().await;
            let mut request = self.client.describe_log_groups().set_next_token(token.take());
            if !prefix.is_empty() {
                request = request.log_group_name_prefix(prefix);
            }
            let answer = request.send().await.map_err(|error| failed("DescribeLogGroups", prefix, &error))?;
            groups.extend(answer.log_groups.unwrap_or_default().into_iter().filter_map(|group| {
                Some(Group { name: group.log_group_name?, retention_days: group.retention_in_days })
            }));
            match answer.next_token {
                Some(next) => token = Some(next),
                None => return Ok(groups),
            }
        }
    }

    /// One page of a window.
    ///
    /// # Errors
    /// When the service refuses after all attempts.
    pub async fn page(
        &self,
        group: &str,
        window: Window,
        token: Option<String>,
    ) -> Result<Page, RequestError> {
        self.pace().await;
        let token = token.filter(|token| !token.is_empty());
        let goes_on = token.is_some();
        let request = self
            .client
            .filter_log_events()
            .log_group_name(group)
            .start_time(window.from)
            .end_time(window.to)
            .limit(EVENTS)
            .set_next_token(token);
        match request.send().await {
            Ok(answer) => Ok(Page {
                events: answer.events.unwrap_or_default().into_iter().map(Event::from_service).collect(),
                token: answer.next_token.filter(|token| !token.is_empty()),
            }),
            Err(error) if goes_on && error.code() == Some("InvalidParameterException") => {
                Err(RequestError::Token { group: group.to_owned() })
            }
            Err(error) => Err(failed("FilterLogEvents", group, &error)),
        }
    }
}

fn failed<E, R>(operation: &'static str, group: &str, error: &SdkError<E, R>) -> RequestError
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let reason = DisplayErrorContext(error).to_string();
    RequestError::Failed { operation, group: group.to_owned(), reason }
}
