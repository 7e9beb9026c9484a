//! One CloudTrail record and how it is written.

use super::catalogue::Operation;
use super::identity::Identity;
use crate::loggen::{Estate, Random, stamp};
use std::fmt::Write;

/// One event before it is written.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unix seconds.
    pub second: i64,
    /// Index into the estate's accounts.
    pub account: usize,
    /// awsRegion
    pub region: &'static str,
    /// Random number that decides the place in the file: records are not sorted by time.
    pub order: u64,
    /// Who called.
    pub identity: Identity,
    /// eventVersion
    pub version: &'static str,
    /// eventSource
    pub source: String,
    /// eventName
    pub name: String,
    /// eventType
    pub kind: &'static str,
    /// errorCode and errorMessage; an empty code is left out (failed console logins have none).
    pub error: Option<(String, String)>,
    /// requestParameters as JSON, or `null`.
    pub request: String,
    /// responseElements as JSON, or `null`.
    pub response: String,
    /// additionalEventData as JSON.
    pub additional: Option<String>,
    /// resources as JSON.
    pub resources: Option<String>,
    /// requestID
    pub request_id: String,
    /// eventID
    pub event_id: String,
    /// readOnly
    pub read_only: bool,
    /// managementEvent
    pub management: bool,
    /// vpcEndpointId
    pub endpoint: Option<String>,
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Event {
    /// A management call of `identity`, successful, without parameters; callers change what differs.
    pub fn call(
        random: &mut Random,
        identity: Identity,
        account: usize,
        second: i64,
        source: &str,
        name: &str,
    ) -> Self {
        Self {
            second,
            account,
            region: region_of(source),
            order: random.bits(),
            identity,
            version: version(random),
            source: source.to_owned(),
            name: name.to_owned(),
            kind: "AwsApiCall",
            error: None,
            request: "null".to_owned(),
            response: "null".to_owned(),
            additional: None,
            resources: None,
            request_id: random.uuid(),
            event_id: random.uuid(),
            read_only: false,
            management: true,
            endpoint: None,
        }
    }

    /// Appends the record as compact JSON, keys in CloudTrail's order.
    pub fn write(&self, text: &mut String, account: &str) {
        let Event { identity, version, source, name, kind, request, response, .. } = self;
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            r#"{{"eventVersion":"{version}","userIdentity":{},"eventTime":"{}","eventSource":"{source}","eventName":"{name}","awsRegion":"{}","sourceIPAddress":"{}","userAgent":{}"#,
            identity.json,
            stamp::iso(self.second),
            self.region,
            identity.address,
            quoted(&identity.agent),
        );
        if let Some((code, message)) = &self.error {
            if !code.is_empty() {
                let _ = write!(text, r#","errorCode":"{code}""#);
            }
            let _ = write!(text, r#","errorMessage":{}"#, quoted(message));
        }
        let _ = write!(text, r#","requestParameters":{request},"responseElements":{response}"#);
        if let Some(additional) = &self.additional {
            let _ = write!(text, r#","additionalEventData":{additional}"#);
        }
        let _ = write!(
            text,
            r#","requestID":"{}","eventID":"{}","readOnly":{}"#,
            self.request_id, self.event_id, self.read_only
        );
        if let Some(resources) = &self.resources {
            let _ = write!(text, r#","resources":{resources}"#);
        }
        let _ = write!(text, r#","eventType":"{kind}""#);
        if *version != "1.05" {
            let _ = write!(text, r#","managementEvent":{}"#, self.management);
        }
        let _ = write!(text, r#","recipientAccountId":"{account}""#);
        if let Some(endpoint) = &self.endpoint {
            let _ = write!(text, r#","vpcEndpointId":"{endpoint}""#);
            if *version == "1.11" {
                let _ = write!(text, r#","vpcEndpointAccountId":"{account}""#);
            }
        }
        if *version != "1.05" {
            let category = if self.management { "Management" } else { "Data" };
            let _ = write!(text, r#","eventCategory":"{category}""#);
        }
        if !identity.service && *kind == "AwsApiCall" && *version != "1.05" {
            let service = source.trim_end_matches(".amazonaws.com");
            let _ = write!(
                text,
                r#","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{service}.{}.amazonaws.com"}}"#,
                self.region
            );
        }
        if identity.console && *kind == "AwsApiCall" {
            text.push_str(r#","sessionCredentialFromConsole":"true""#);
        }
        text.push('}');
    }
}

fn region_of(source: &str) -> &'static str {
    match source {
        "iam.amazonaws.com"
        | "organizations.amazonaws.com"
        | "route53.amazonaws.com"
        | "signin.amazonaws.com"
        | "cloudfront.amazonaws.com" => "us-east-1",
        _ => "eu-central-1",
    }
}

fn version(random: &mut Random) -> &'static str {
    const VERSIONS: [(&str, u32); 5] = [("1.08", 46), ("1.09", 18), ("1.10", 15), ("1.11", 17), ("1.05", 4)];
    VERSIONS[random.weighted(VERSIONS.iter().map(|(_, weight)| *weight))].0
}

/// A benign event of `operation`.
pub fn from_operation(
    estate: &Estate,
    random: &mut Random,
    operation: &Operation,
    identity: Identity,
    account: usize,
    second: i64,
) -> Event {
    let mut event = Event::call(random, identity, account, second, operation.source, operation.name);
    event.read_only = operation.read_only;
    event.management = !operation.data;
    if !event.management && event.version == "1.05" {
        event.version = "1.08";
    }
    if operation.name == "ConsoleLogin" {
        event.kind = "AwsConsoleSignIn";
    }
    let mut scene = Scene { estate, random, event: &event, seen: Vec::new() };
    let request = scene.fill(operation.request);
    let response = scene.fill(operation.response);
    let additional = (!operation.additional.is_empty()).then(|| scene.fill(operation.additional));
    let resources = (!operation.resources.is_empty()).then(|| scene.fill(operation.resources));
    (event.request, event.response, event.additional, event.resources) =
        (request, response, additional, resources);
    for &(code, message, per_mille) in operation.errors {
        if random.below(1_000) < u64::from(per_mille) {
            event.error = Some((code.to_owned(), message.to_owned()));
            event.response = "null".to_owned();
            break;
        }
    }
    if event.identity.endpoint
        && matches!(operation.source, "s3.amazonaws.com" | "sts.amazonaws.com" | "kms.amazonaws.com")
    {
        event.endpoint = Some(format!("vpce-0{}", &estate.vpc[5..21]));
    }
    event
}

/// Fills the `$names` of a template; the same name has the same value within one event.
struct Scene<'a> {
    estate: &'a Estate,
    random: &'a mut Random,
    event: &'a Event,
    seen: Vec<(&'static str, String)>,
}

impl Scene<'_> {
    fn fill(&mut self, template: &'static str) -> String {
        let mut text = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            let length = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
            let name = &tail[..length];
            match self.seen.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(value),
                None => {
                    let value = self.value(name);
                    text.push_str(&value);
                    self.seen.push((name, value));
                }
            }
            rest = &tail[length..];
        }
        text.push_str(rest);
        text
    }

    fn value(&mut self, name: &str) -> String {
        let account = &self.estate.accounts[self.event.account];
        let random = &mut *self.random;
        // A few dozen of each kind per account, so that resources repeat as they do in life.
        let numbered = |random: &mut Random, prefix: &str, kinds: u64| {
            let number = random.below(kinds);
            let digest = super::identity::unique_id(prefix, &account.id, &number.to_string());
            let hex: String = digest
                .bytes()
                .rev()
                .take(16)
                .map(|b| char::from(b"0123456789abcdef"[usize::from(b % 16)]))
                .collect();
            format!("{prefix}-0{hex}")
        };
        match name {
            "account" => account.id.clone(),
            "region" => self.event.region.to_owned(),
            "instance" => numbered(random, "i", 40),
            "eni" => numbered(random, "eni", 80),
            "volume" => numbered(random, "vol", 60),
            "snapshot" => numbered(random, "snap", 400),
            "subnet" => numbered(random, "subnet", 9),
            "group" => numbered(random, "sg", 14),
            "image" => numbered(random, "ami", 6),
            "template" => numbered(random, "lt", 5),
            "vpc" => self.estate.vpc.clone(),
            "bucket" => {
                let kind =
                    *random.pick(&["assets", "uploads", "invoices", "backups", "artifacts", "access-logs"]);
                format!("example-{}-{kind}", account.name)
            }
            "key" => {
                let kind = *random.pick(&["orders", "img/product", "reports/daily", "sessions", "exports"]);
                format!("{kind}/{}/{}", stamp::key_date(self.event.second), random.hex(12))
            }
            "secret" => {
                let kind =
                    *random.pick(&["shop-api/db", "orders/db", "payments/psp", "shop-api/session-key"]);
                format!("{}/{kind}", account.name)
            }
            "parameter" => {
                format!("/{}/{}", account.name, random.pick(&["shop/flags", "orders/limits", "edge/routes"]))
            }
            "kms" => {
                let digest = super::identity::unique_id("kms", &account.id, &random.below(4).to_string());
                let hex: String = digest.bytes().map(|b| format!("{:02x}", b)).collect();
                format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
            }
            "role" => {
                (*random.pick(&["irsa-shop-api", "irsa-orders", "eks-node-general", "deploy-pipeline"]))
                    .to_owned()
            }
            "service" => (*random.pick(&["shop-api", "orders", "payments", "web"])).to_owned(),
            "loggroup" => format!(
                "/aws/{}",
                random.pick(&["eks/prod/cluster", "rds/instance/orders/postgresql", "lambda/resize"])
            ),
            "stream" => format!("kube-apiserver-{}", random.hex(32)),
            "asg" => format!("eks-general-{}", &account.id[..6]),
            "uuid" => random.uuid(),
            "hex" => random.hex(32),
            "token" => random.upper(60),
            "keytail" => random.upper(16),
            "time" => stamp::iso(self.event.second),
            "ip" => format!("10.0.{}.{}", random.between(16, 50), random.between(5, 250)),
            "number" => random.between(1, 60_000).to_string(),
            "caller" => self.event.identity.name.clone(),
            _ => name.to_owned(),
        }
    }
}
