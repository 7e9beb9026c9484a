//! One pass over the keys of a CloudTrail record.

use crate::formats::json::{Cursor, Fault, Kind, Value};
use std::borrow::Cow;

/// Why a record was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// See [`Fault`].
    Fault(Fault),
    /// The object is no record but a document: its list of records starts at this byte, a `[`.
    List(usize),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// Members that hold a list of records, in the documents that pack them: log files, API answers,
/// CloudWatch Logs subscriptions and exports, results of CloudTrail Lake queries.
pub const LISTS: [&str; 5] = ["Records", "Events", "logEvents", "events", "QueryResultRows"];

/// What `userIdentity` holds.
#[derive(Debug, Default, Clone, Copy)]
pub struct Identity<'a> {
    /// The whole object.
    pub whole: Option<Value<'a>>,
    /// `type`
    pub kind: Option<Value<'a>>,
    /// `principalId`
    pub principal_id: Option<Value<'a>>,
    /// `arn`
    pub arn: Option<Value<'a>>,
    /// `accountId`
    pub account_id: Option<Value<'a>>,
    /// `accessKeyId`
    pub access_key_id: Option<Value<'a>>,
    /// `userName`
    pub user_name: Option<Value<'a>>,
    /// `invokedBy`
    pub invoked_by: Option<Value<'a>>,
    /// `sessionContext.sourceIdentity`
    pub source_identity: Option<Value<'a>>,
    /// `sessionContext.attributes.mfaAuthenticated`
    pub mfa: Option<Value<'a>>,
    /// `sessionContext.sessionIssuer.type`
    pub issuer_type: Option<Value<'a>>,
    /// `sessionContext.sessionIssuer.arn`
    pub issuer_arn: Option<Value<'a>>,
    /// `sessionContext.sessionIssuer.userName`
    pub issuer_user_name: Option<Value<'a>>,
}

/// A record as slices of its text. Absent members are `None`; null ones are present.
#[derive(Debug, Default, Clone)]
pub struct Record<'a> {
    /// The record's own text.
    pub raw: &'a str,
    /// Whether it has blanks outside of strings.
    pub loose: bool,
    /// `userIdentity`
    pub identity: Identity<'a>,
    /// `eventVersion`
    pub event_version: Option<Value<'a>>,
    /// `eventTime`
    pub event_time: Option<Value<'a>>,
    /// `eventSource`
    pub event_source: Option<Value<'a>>,
    /// `eventName`
    pub event_name: Option<Value<'a>>,
    /// `eventType`
    pub event_type: Option<Value<'a>>,
    /// `eventCategory`
    pub event_category: Option<Value<'a>>,
    /// `eventID`
    pub event_id: Option<Value<'a>>,
    /// `eventId`, as aggregated events spell it
    pub event_id_aggregated: Option<Value<'a>>,
    /// `awsRegion`
    pub aws_region: Option<Value<'a>>,
    /// `sourceIPAddress`
    pub source_ip_address: Option<Value<'a>>,
    /// `userAgent`
    pub user_agent: Option<Value<'a>>,
    /// `errorCode`
    pub error_code: Option<Value<'a>>,
    /// `errorMessage`
    pub error_message: Option<Value<'a>>,
    /// `readOnly`
    pub read_only: Option<Value<'a>>,
    /// `managementEvent`
    pub management_event: Option<Value<'a>>,
    /// `requestID`
    pub request_id: Option<Value<'a>>,
    /// `sharedEventID`
    pub shared_event_id: Option<Value<'a>>,
    /// `recipientAccountId`
    pub recipient_account_id: Option<Value<'a>>,
    /// `vpcEndpointId`
    pub vpc_endpoint_id: Option<Value<'a>>,
    /// `vpcEndpointAccountId`
    pub vpc_endpoint_account_id: Option<Value<'a>>,
    /// `tlsDetails.tlsVersion`
    pub tls_version: Option<Value<'a>>,
    /// `tlsDetails.cipherSuite`
    pub tls_cipher_suite: Option<Value<'a>>,
    /// Members of `tlsDetails` that have no column.
    pub tls_other: Vec<(Value<'a>, Value<'a>)>,
    /// `apiVersion`
    pub api_version: Option<Value<'a>>,
    /// `sessionCredentialFromConsole`
    pub session_credential_from_console: Option<Value<'a>>,
    /// `requestParameters`
    pub request_parameters: Option<Value<'a>>,
    /// `responseElements`
    pub response_elements: Option<Value<'a>>,
    /// `additionalEventData`
    pub additional_event_data: Option<Value<'a>>,
    /// `resources`
    pub resources: Option<Value<'a>>,
    /// `serviceEventDetails`
    pub service_event_details: Option<Value<'a>>,
    /// `insightDetails`
    pub insight_details: Option<Value<'a>>,
    /// `addendum`
    pub addendum: Option<Value<'a>>,
    /// Every other member.
    pub unmapped: Vec<(Value<'a>, Value<'a>)>,
}

impl<'a> Record<'a> {
    /// Reads the object that starts at byte `at`; also returns where it ends.
    ///
    /// With `document`, a member of [`LISTS`] that holds an array stops the walk: the object packs
    /// records and may be far larger than one.
    ///
    /// # Errors
    /// [`Stop`] when the object is cut, malformed or a document.
    pub fn read(text: &'a str, at: usize, document: bool) -> Result<(Self, usize), Stop> {
        let mut record = Self::default();
        let mut cursor = Cursor::new(text, at);
        let whole = cursor.value_with::<Stop>(|cursor, key| {
            let name = key.raw.get(1..key.raw.len() - 1).unwrap_or("");
            if document && LISTS.contains(&name) && cursor.peek()? == b'[' {
                return Err(Stop::List(cursor.at()));
            }
            record.member(name, key, cursor)
        })?;
        record.raw = whole.raw;
        record.loose = whole.loose;
        Ok((record, cursor.at()))
    }

    fn member(&mut self, name: &str, key: Value<'a>, cursor: &mut Cursor<'a>) -> Result<(), Stop> {
        let slot = match name {
            "userIdentity" => {
                self.identity = identity(cursor)?;
                return Ok(());
            }
            "tlsDetails" => return self.tls(key, cursor),
            "eventVersion" => &mut self.event_version,
            "eventTime" => &mut self.event_time,
            "eventSource" => &mut self.event_source,
            "eventName" => &mut self.event_name,
            "eventType" => &mut self.event_type,
            "eventCategory" => &mut self.event_category,
            "eventID" => &mut self.event_id,
            "eventId" => &mut self.event_id_aggregated,
            "awsRegion" => &mut self.aws_region,
            "sourceIPAddress" => &mut self.source_ip_address,
            "userAgent" => &mut self.user_agent,
            "errorCode" => &mut self.error_code,
            "errorMessage" => &mut self.error_message,
            "readOnly" => &mut self.read_only,
            "managementEvent" => &mut self.management_event,
            "requestID" => &mut self.request_id,
            "sharedEventID" => &mut self.shared_event_id,
            "recipientAccountId" => &mut self.recipient_account_id,
            "vpcEndpointId" => &mut self.vpc_endpoint_id,
            "vpcEndpointAccountId" => &mut self.vpc_endpoint_account_id,
            "apiVersion" => &mut self.api_version,
            "sessionCredentialFromConsole" => &mut self.session_credential_from_console,
            "requestParameters" => &mut self.request_parameters,
            "responseElements" => &mut self.response_elements,
            "additionalEventData" => &mut self.additional_event_data,
            "resources" => &mut self.resources,
            "serviceEventDetails" => &mut self.service_event_details,
            "insightDetails" => &mut self.insight_details,
            "addendum" => &mut self.addendum,
            _ => {
                let value = cursor.value()?;
                self.unmapped.retain(|(known, _)| known.raw != key.raw);
                self.unmapped.push((key, value));
                return Ok(());
            }
        };
        *slot = Some(cursor.value()?);
        Ok(())
    }

    fn tls(&mut self, key: Value<'a>, cursor: &mut Cursor<'a>) -> Result<(), Stop> {
        self.tls_version = None;
        self.tls_cipher_suite = None;
        self.tls_other.clear();
        let whole = cursor.value_with::<Stop>(|cursor, key| {
            let value = cursor.value()?;
            match key.raw {
                "\"tlsVersion\"" => self.tls_version = Some(value),
                "\"cipherSuite\"" => self.tls_cipher_suite = Some(value),
                _ => self.tls_other.push((key, value)),
            }
            Ok(())
        })?;
        if !matches!(whole.kind, Kind::Object | Kind::Null) {
            self.unmapped.push((key, whole));
        }
        Ok(())
    }

    /// The value of an unmapped member.
    pub fn other(&self, name: &str) -> Option<Value<'a>> {
        self.unmapped
            .iter()
            .find(|(key, _)| key.raw.get(1..key.raw.len() - 1) == Some(name))
            .map(|(_, value)| *value)
    }

    /// Whether this object is a CloudTrail record: it has a record version together with any other
    /// member that only CloudTrail has, or names a service and a call, or a time and a call. Event
    /// notifications of S3, SQS, DynamoDB and others look alike, but their source begins with
    /// `aws:`.
    pub fn is_cloudtrail(&self) -> bool {
        let text =
            |value: &Option<Value<'a>>| value.is_some_and(|value| matches!(value.kind, Kind::Text { .. }));
        if self.event_source.is_some_and(|source| source.raw.starts_with("\"aws:")) {
            return false;
        }
        let (source, name) = (text(&self.event_source), text(&self.event_name));
        let companion = source
            || name
            || text(&self.event_type)
            || text(&self.event_id)
            || text(&self.event_id_aggregated)
            || self.identity.whole.is_some()
            || self.insight_details.is_some();
        (self.event_version.is_some() && companion) || (name && (source || text(&self.event_time)))
    }

    /// `insightDetails.eventSource` and `.eventName`.
    pub fn insight_call(&self) -> (Option<Value<'a>>, Option<Value<'a>>) {
        let mut call = (None, None);
        if let Some(details) = self.insight_details {
            let _ = Cursor::new(details.raw, 0).object::<Stop>(|cursor, key| {
                let value = cursor.value()?;
                match key.raw {
                    "\"eventSource\"" => call.0 = Some(value),
                    "\"eventName\"" => call.1 = Some(value),
                    _ => {}
                }
                Ok(())
            });
        }
        call
    }

    /// Whether a console login says it failed: such records carry no `errorCode`.
    pub fn is_failed_login(&self) -> bool {
        let Some(response) = self.response_elements.filter(|value| value.kind == Kind::Object) else {
            return false;
        };
        if !self.event_source.is_some_and(|source| source.raw.starts_with("\"signin.")) {
            return false;
        }
        member(response.raw, "ConsoleLogin").is_some_and(|value| value.raw == "\"Failure\"")
    }

    /// The start of an aggregated event's window.
    pub fn window_start(&self) -> Option<Value<'a>> {
        member(self.other("timeWindow")?.raw, "windowStart")
    }
}

/// The value of a member of a valid JSON object; the last one where the key occurs twice.
pub fn member<'a>(object: &'a str, name: &str) -> Option<Value<'a>> {
    let mut found = None;
    let _ = Cursor::new(object, 0).object::<Fault>(|cursor, key| {
        let value = cursor.value()?;
        if key.raw.get(1..key.raw.len() - 1) == Some(name) {
            found = Some(value);
        }
        Ok(())
    });
    found
}

fn identity<'a>(cursor: &mut Cursor<'a>) -> Result<Identity<'a>, Stop> {
    let mut identity = Identity::default();
    let whole = cursor.value_with::<Stop>(|cursor, key| {
        let slot = match key.raw {
            "\"sessionContext\"" => return session(cursor, &mut identity),
            "\"type\"" => &mut identity.kind,
            "\"principalId\"" => &mut identity.principal_id,
            "\"arn\"" => &mut identity.arn,
            "\"accountId\"" => &mut identity.account_id,
            "\"accessKeyId\"" => &mut identity.access_key_id,
            "\"userName\"" => &mut identity.user_name,
            "\"invokedBy\"" => &mut identity.invoked_by,
            _ => return Ok(cursor.value().map(|_| ())?),
        };
        *slot = Some(cursor.value()?);
        Ok(())
    })?;
    identity.whole = Some(whole);
    Ok(identity)
}

fn session<'a>(cursor: &mut Cursor<'a>, identity: &mut Identity<'a>) -> Result<(), Stop> {
    cursor.value_with::<Stop>(|cursor, key| {
        match key.raw {
            "\"sourceIdentity\"" => identity.source_identity = Some(cursor.value()?),
            "\"attributes\"" => {
                cursor.value_with::<Stop>(|cursor, key| {
                    let value = cursor.value()?;
                    if key.raw == "\"mfaAuthenticated\"" {
                        identity.mfa = Some(value);
                    }
                    Ok(())
                })?;
            }
            "\"sessionIssuer\"" => {
                cursor.value_with::<Stop>(|cursor, key| {
                    let value = cursor.value()?;
                    match key.raw {
                        "\"type\"" => identity.issuer_type = Some(value),
                        "\"arn\"" => identity.issuer_arn = Some(value),
                        "\"userName\"" => identity.issuer_user_name = Some(value),
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            _ => {
                cursor.value()?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// The text of an optional value; `None` when it is absent or null.
pub fn text<'a>(value: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    value?.plain()
}
