//! Where AWS credentials come from on a node: the Security Token Service, and the agent of EKS Pod
//! Identity. Both hand out the one key pair the S3 stand-in accepts, for a short time, and refuse
//! whoever does not bring what the real ones demand.
//!
//! Written to the documented contracts: `AssumeRole` and `AssumeRoleWithWebIdentity` of the STS API
//! (version 2011-06-15), and the container credential provider's endpoint (`GET`, the token in
//! `Authorization`, JSON with `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration`).

use super::faults::{Fault, Faults, Service};
use super::s3::CREDENTIALS;
use super::{Answer, Server, answer};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Path of the container credential endpoint.
pub const CONTAINER_PATH: &str = "/v1/credentials";

/// How long credentials are good for. The SDK renews ten seconds early, so this is every other second.
const LIFETIME_SECONDS: i64 = 12;

#[derive(Debug, Default)]
struct State {
    token: String,
    issued: BTreeMap<&'static str, u64>,
    refused: u64,
}

/// What callers have to bring.
#[derive(Debug)]
pub struct Demands {
    /// Role they may assume.
    pub role: &'static str,
    /// External id for `AssumeRole`.
    pub external_id: &'static str,
    /// Session name for `AssumeRole`.
    pub session_name: &'static str,
}

/// The service, shared by the server and the test.
#[derive(Debug)]
pub struct Sts {
    demands: Demands,
    state: Mutex<State>,
}

impl Sts {
    /// Starts it; no token is accepted before [`Sts::accept`].
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(demands: Demands) -> io::Result<(Arc<Self>, Server)> {
        let sts = Arc::new(Self { demands, state: Mutex::default() });
        let server = Server::start(sts.clone(), Arc::new(Faults::none()))?;
        Ok((sts, server))
    }

    /// From now on only this token is good, as web identity and for the container endpoint.
    pub fn accept(&self, token: &str) {
        token.clone_into(&mut self.state().token);
    }

    /// How often credentials were handed out, by what was asked for.
    pub fn issued(&self, what: &str) -> u64 {
        self.state().issued.get(what).copied().unwrap_or(0)
    }

    /// How often somebody was refused.
    pub fn refused(&self) -> u64 {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, what: &'static str, good: bool, credentials: impl Fn(&str) -> Answer) -> Answer {
        let mut state = self.state();
        if !good {
            state.refused += 1;
            return answer(403, &[], refusal("AccessDenied"));
        }
        *state.issued.entry(what).or_default() += 1;
        let until = chrono::Utc::now() + chrono::Duration::seconds(LIFETIME_SECONDS);
        credentials(&until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }
}

fn refusal(code: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>not allowed</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    )
}

fn xml(action: &str, until: &str) -> Answer {
    let (key, secret) = CREDENTIALS;
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>session</SessionToken><Expiration>{until}</Expiration></Credentials></{action}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    answer(200, &[("content-type", "text/xml")], body)
}

impl Service for Sts {
    async fn answer(&self, request: http::Request<Incoming>) -> Answer {
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let authorization = authorization.unwrap_or_default().to_owned();
        if request.uri().path() == CONTAINER_PATH {
            let good = !authorization.is_empty() && authorization == self.state().token;
            return self.judge("container", good, |until| {
                let (key, secret) = CREDENTIALS;
                let body = format!(
                    r#"{{"AccessKeyId":"{key}","SecretAccessKey":"{secret}","Token":"session","Expiration":"{until}","AccountId":"111122223333"}}"#
                );
                answer(200, &[("content-type", "application/json")], body)
            });
        }
        let body = match request.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return answer(400, &[], refusal("IncompleteBody")),
        };
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
        let is = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
        match form.get("Action").map(String::as_str) {
            Some("AssumeRoleWithWebIdentity") => {
                let token = self.state().token.clone();
                let good =
                    is("RoleArn", self.demands.role) && !token.is_empty() && is("WebIdentityToken", &token);
                self.judge("AssumeRoleWithWebIdentity", good, |until| xml("AssumeRoleWithWebIdentity", until))
            }
            Some("AssumeRole") => {
                // Signed by whoever asks; the name of the key is in the header.
                let good = authorization.contains("Credential=AKIAORIGINALCALLER/")
                    && is("RoleArn", self.demands.role)
                    && is("ExternalId", self.demands.external_id)
                    && is("RoleSessionName", self.demands.session_name);
                self.judge("AssumeRole", good, |until| xml("AssumeRole", until))
            }
            _ => answer(400, &[], refusal("InvalidAction")),
        }
    }

    fn failure(_: Fault) -> Answer {
        answer(500, &[], refusal("InternalFailure"))
    }
}
