//! From a CloudTrail record to a row.

use super::PARSER_VERSION;
use super::parse::{Record, text};
use crate::formats::columns::{Rows, index};
use crate::formats::json::{self, Kind, Value};
use crate::formats::seen::{Seen, Verdict};
use crate::formats::{Context, Object, address, key, time};
use logq_schemas::tables::cloudtrail::TABLE;
use logq_schemas::{Reason, Table};
use memchr::memmem;
use std::borrow::Cow;
use std::fmt::Write;
use twox_hash::{XxHash3_64, XxHash3_128};

const T: &Table = &TABLE;
const ACCOUNT_ID: usize = index(T, "account_id");
const REGION: usize = index(T, "region");
const SRC_IP: usize = index(T, "src_ip");
const ACTOR: usize = index(T, "actor");
const ACTION: usize = index(T, "action");
const OUTCOME: usize = index(T, "outcome");
const EVENT_UID: usize = index(T, "event_uid");
const EVENT_SOURCE: usize = index(T, "event_source");
const EVENT_NAME: usize = index(T, "event_name");
const EVENT_VERSION: usize = index(T, "event_version");
const EVENT_TYPE: usize = index(T, "event_type");
const EVENT_CATEGORY: usize = index(T, "event_category");
const READ_ONLY: usize = index(T, "read_only");
const MANAGEMENT_EVENT: usize = index(T, "management_event");
const ERROR_CODE: usize = index(T, "error_code");
const ERROR_MESSAGE: usize = index(T, "error_message");
const USER_IDENTITY_TYPE: usize = index(T, "user_identity_type");
const USER_IDENTITY_ARN: usize = index(T, "user_identity_arn");
const USER_IDENTITY_ACCOUNT_ID: usize = index(T, "user_identity_account_id");
const PRINCIPAL_ID: usize = index(T, "principal_id");
const USER_NAME: usize = index(T, "user_name");
const ACCESS_KEY_ID: usize = index(T, "access_key_id");
const SESSION_ISSUER_ARN: usize = index(T, "session_issuer_arn");
const SESSION_ISSUER_TYPE: usize = index(T, "session_issuer_type");
const SESSION_SOURCE_IDENTITY: usize = index(T, "session_source_identity");
const INVOKED_BY: usize = index(T, "invoked_by");
const MFA_AUTHENTICATED: usize = index(T, "mfa_authenticated");
const SOURCE_IP_ADDRESS: usize = index(T, "source_ip_address");
const USER_AGENT: usize = index(T, "user_agent");
const REQUEST_ID: usize = index(T, "request_id");
const SHARED_EVENT_ID: usize = index(T, "shared_event_id");
const RECIPIENT_ACCOUNT_ID: usize = index(T, "recipient_account_id");
const VPC_ENDPOINT_ID: usize = index(T, "vpc_endpoint_id");
const VPC_ENDPOINT_ACCOUNT_ID: usize = index(T, "vpc_endpoint_account_id");
const TLS_VERSION: usize = index(T, "tls_version");
const TLS_CIPHER_SUITE: usize = index(T, "tls_cipher_suite");
const API_VERSION: usize = index(T, "api_version");
const SESSION_CREDENTIAL_FROM_CONSOLE: usize = index(T, "session_credential_from_console");
const REQUEST_PARAMETERS: usize = index(T, "request_parameters");
const RESPONSE_ELEMENTS: usize = index(T, "response_elements");
const ADDITIONAL_EVENT_DATA: usize = index(T, "additional_event_data");
const RESOURCES: usize = index(T, "resources");
const USER_IDENTITY: usize = index(T, "user_identity");
const SERVICE_EVENT_DETAILS: usize = index(T, "service_event_details");
const INSIGHT_DETAILS: usize = index(T, "insight_details");
const ADDENDUM: usize = index(T, "addendum");
const UNMAPPED: usize = index(T, "unmapped");

/// The member whose values never reach the lake.
const SECRET: &str = "sessionToken";

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A row with this event time.
    Row(i64),
    /// Already taken in.
    Duplicate,
    /// Cannot be a row.
    Refused(Reason, String),
}

/// Rows of the table `cloudtrail` from one object.
pub struct Columns {
    /// The rows.
    pub rows: Rows,
    path_account: Option<String>,
    secret: memmem::Finder<'static>,
    scratch: String,
}

impl Columns {
    /// For one object.
    pub fn new(object: &Object<'_>, context: &Context<'_>) -> Self {
        Self {
            rows: Rows::new(&TABLE, "cloudtrail", PARSER_VERSION, object, context),
            path_account: key::account(object.location),
            // Without its first letter, which services write in either case.
            secret: memmem::Finder::new("essionToken"),
            scratch: String::new(),
        }
    }

    /// Adds a record, unless it has no usable time or was taken in before.
    pub fn take(&mut self, record: &Record<'_>, seen: &mut Seen) -> Taken {
        let event_time = match event_time(record) {
            Ok(time) => time,
            Err((reason, message)) => return Taken::Refused(reason, message),
        };
        // Identity and content do not depend on how the record was indented.
        let compact = Value { raw: record.raw, kind: Kind::Object, loose: record.loose }.json();
        let id =
            text(record.event_id).or_else(|| text(record.event_id_aggregated)).filter(|id| !id.is_empty());
        let mut uid = match id {
            Some(id) => id,
            None => Cow::Owned(format!("sha:{:032x}", XxHash3_128::oneshot(compact.as_bytes()))),
        };
        match seen.note(uid.as_bytes(), XxHash3_64::oneshot(compact.as_bytes())) {
            Verdict::New => {}
            Verdict::Duplicate => return Taken::Duplicate,
            Verdict::Conflict(content) => {
                let _ = write!(uid.to_mut(), "#{content:016x}");
            }
        }
        self.rows.text(EVENT_UID, &uid);
        self.core(record);
        self.identity(record);
        let secret = self.secret.find(record.raw.as_bytes()).is_some();
        self.documents(record, secret);
        self.rows.end(event_time);
        Taken::Row(event_time)
    }

    fn put(&mut self, column: usize, value: Option<Value<'_>>) {
        if let Some(text) = text(value) {
            self.rows.text(column, &text);
        }
    }

    fn core(&mut self, record: &Record<'_>) {
        let (insight_source, insight_name) = record.insight_call();
        let event_source = record.event_source.or(insight_source);
        let event_name = record.event_name.or(insight_name);
        self.put(EVENT_SOURCE, event_source);
        self.put(EVENT_NAME, event_name);
        self.put(ACTION, event_name);
        self.put(EVENT_VERSION, record.event_version);
        self.put(EVENT_TYPE, record.event_type);
        self.put(EVENT_CATEGORY, record.event_category);
        self.put(ERROR_CODE, record.error_code);
        self.put(ERROR_MESSAGE, record.error_message);
        self.put(REGION, record.aws_region);
        self.put(USER_AGENT, record.user_agent);
        self.put(REQUEST_ID, record.request_id);
        self.put(SHARED_EVENT_ID, record.shared_event_id);
        self.put(RECIPIENT_ACCOUNT_ID, record.recipient_account_id);
        self.put(VPC_ENDPOINT_ID, record.vpc_endpoint_id);
        self.put(VPC_ENDPOINT_ACCOUNT_ID, record.vpc_endpoint_account_id);
        self.put(TLS_VERSION, record.tls_version);
        self.put(TLS_CIPHER_SUITE, record.tls_cipher_suite);
        self.put(API_VERSION, record.api_version);
        for (column, value) in booleans(record) {
            if let Some(value) = value.and_then(|value| value.boolean()) {
                self.rows.bool(column, value);
            }
        }
        if let Some(source) = text(record.source_ip_address) {
            self.rows.text(SOURCE_IP_ADDRESS, &source);
            if let Some(address) = address::canonical(&source) {
                self.rows.text(SRC_IP, &address);
            }
        }
        let has =
            |value: Option<Value<'_>>| value.is_some_and(|value| !value.is_null() && value.raw != "\"\"");
        let failed = has(record.error_code) || has(record.error_message) || record.is_failed_login();
        self.rows.text(OUTCOME, if failed { "failure" } else { "success" });
    }

    fn identity(&mut self, record: &Record<'_>) {
        let identity = &record.identity;
        self.put(USER_IDENTITY_TYPE, identity.kind);
        self.put(USER_IDENTITY_ARN, identity.arn);
        self.put(USER_IDENTITY_ACCOUNT_ID, identity.account_id);
        self.put(PRINCIPAL_ID, identity.principal_id);
        self.put(ACCESS_KEY_ID, identity.access_key_id);
        self.put(SESSION_ISSUER_ARN, identity.issuer_arn);
        self.put(SESSION_ISSUER_TYPE, identity.issuer_type);
        self.put(SESSION_SOURCE_IDENTITY, identity.source_identity);
        self.put(INVOKED_BY, identity.invoked_by);
        if let Some(mfa) = identity.mfa.and_then(|value| value.boolean()) {
            self.rows.bool(MFA_AUTHENTICATED, mfa);
        }
        self.rows.text_if(USER_NAME, first(&[identity.user_name, identity.issuer_user_name]).as_deref());
        let actor = first(&[
            identity.arn,
            identity.issuer_arn,
            identity.invoked_by,
            identity.principal_id,
            identity.user_name,
            identity.account_id,
        ]);
        self.rows.text_if(ACTOR, actor.as_deref());
        let of_principal =
            identity.account_id.filter(|value| value.raw.bytes().any(|byte| byte.is_ascii_digit()));
        let account = first(&[record.recipient_account_id, record.other("accountId"), of_principal]);
        match (account, self.path_account.take()) {
            (Some(account), path) => {
                self.rows.text(ACCOUNT_ID, &account);
                self.path_account = path;
            }
            (None, Some(path)) => {
                self.rows.text(ACCOUNT_ID, &path);
                self.path_account = Some(path);
            }
            (None, None) => {}
        }
    }

    fn documents(&mut self, record: &Record<'_>, secret: bool) {
        for (column, value) in [
            (REQUEST_PARAMETERS, record.request_parameters),
            (RESPONSE_ELEMENTS, record.response_elements),
            (ADDITIONAL_EVENT_DATA, record.additional_event_data),
            (RESOURCES, record.resources),
            (USER_IDENTITY, record.identity.whole),
            (SERVICE_EVENT_DETAILS, record.service_event_details),
            (INSIGHT_DETAILS, record.insight_details),
            (ADDENDUM, record.addendum),
        ] {
            let Some(value) = value.filter(|value| !value.is_null()) else { continue };
            if secret {
                self.scratch.clear();
                json::compact_without(value.raw, SECRET, &mut self.scratch);
                self.rows.text(column, &self.scratch);
            } else {
                self.rows.text(column, &value.json());
            }
        }
        self.unmapped(record, secret);
    }

    fn unmapped(&mut self, record: &Record<'_>, secret: bool) {
        let odd = booleans(record).into_iter().filter_map(|(column, value)| {
            let value = value.filter(|value| !value.is_null() && value.boolean().is_none())?;
            Some((column, value))
        });
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for (key, value) in &record.unmapped {
            member(key.raw, value, secret, &mut out);
        }
        // A spelling of the id that did not become the event_uid.
        if let (Some(_), Some(other)) = (record.event_id, record.event_id_aggregated) {
            member("\"eventId\"", &other, false, &mut out);
        }
        for (column, value) in odd {
            let name = match column {
                READ_ONLY => "\"readOnly\"",
                MANAGEMENT_EVENT => "\"managementEvent\"",
                _ => "\"sessionCredentialFromConsole\"",
            };
            member(name, &value, secret, &mut out);
        }
        if !record.tls_other.is_empty() {
            out.push(if out.is_empty() { '{' } else { ',' });
            out.push_str("\"tlsDetails\":");
            let mut inner = String::new();
            for (key, value) in &record.tls_other {
                member(key.raw, value, secret, &mut inner);
            }
            out.push_str(&inner);
            out.push('}');
        }
        if !out.is_empty() {
            out.push('}');
            self.rows.text(UNMAPPED, &out);
        }
        self.scratch = out;
    }
}

fn member(key: &str, value: &Value<'_>, secret: bool, out: &mut String) {
    out.push(if out.is_empty() { '{' } else { ',' });
    out.push_str(key);
    out.push(':');
    if secret && key.trim_matches('"').eq_ignore_ascii_case(SECRET) {
        out.push_str("null");
    } else if secret {
        json::compact_without(value.raw, SECRET, out);
    } else if value.loose {
        json::compact(value.raw, out);
    } else {
        out.push_str(value.raw);
    }
}

fn booleans<'a>(record: &Record<'a>) -> [(usize, Option<Value<'a>>); 3] {
    [
        (READ_ONLY, record.read_only),
        (MANAGEMENT_EVENT, record.management_event),
        (SESSION_CREDENTIAL_FROM_CONSOLE, record.session_credential_from_console),
    ]
}

/// The first value with text in it.
fn first<'a>(values: &[Option<Value<'a>>]) -> Option<Cow<'a, str>> {
    values.iter().find_map(|value| text(*value).filter(|text| !text.is_empty()))
}

/// `eventTime`, else `@timestamp` (log shippers rename it), else the start of the window of an
/// aggregated event.
fn event_time(record: &Record<'_>) -> Result<i64, (Reason, String)> {
    let candidates = [record.event_time, record.other("@timestamp"), record.window_start()];
    let Some(value) = candidates.into_iter().flatten().find(|value| !value.is_null()) else {
        return Err((Reason::MissingTime, "record has no eventTime".to_owned()));
    };
    let micros = match value.kind {
        Kind::Number => {
            value.raw.split('.').next().and_then(|whole| whole.parse().ok()).map(time::from_epoch)
        }
        _ => value.text().and_then(|text| time::parse(&text)).map(|parsed| parsed.micros),
    };
    match micros {
        Some(micros) if time::in_range(micros) => Ok(micros),
        Some(_) => Err((Reason::BadTime, format!("eventTime {} lies outside 1970 to 2261", clip(value.raw)))),
        None => Err((Reason::BadTime, format!("eventTime {} is not an RFC 3339 time", clip(value.raw)))),
    }
}

fn clip(raw: &str) -> Cow<'_, str> {
    match raw.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", raw.get(..end).unwrap_or(""))),
        None => Cow::Borrowed(raw),
    }
}
