//! AWS CloudTrail: management, data, network-activity and Insight events.

use super::{CORE, optional};
use crate::table::{Column, Kind, Table};

/// One row per CloudTrail event. `event_uid` is the eventID.
pub const TABLE: Table = Table {
    name: "cloudtrail",
    version: 1,
    doc: "One CloudTrail event. `event_uid` is the eventID; where a record has none, it is derived from the record's bytes.",
    specification: "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html",
    core: CORE,
    own: OWN,
    sort_by: &["event_time"],
    blooms: &["event_uid", "src_ip", "access_key_id", "actor", "request_id"],
};

const OWN: &[Column] = &[
    optional("event_source", Kind::Text, "eventSource", "Service that was called, e.g. `iam.amazonaws.com`."),
    optional(
        "event_name",
        Kind::Text,
        "eventName",
        "API operation; for Insight events the one the insight is about.",
    ),
    optional(
        "event_version",
        Kind::Text,
        "eventVersion",
        "Record format; compare as two integers (1.10 > 1.9).",
    ),
    optional(
        "event_type",
        Kind::Text,
        "eventType",
        "AwsApiCall, AwsServiceEvent, AwsConsoleSignIn, AwsVpceEvent, AwsCloudTrailInsight, …",
    ),
    optional(
        "event_category",
        Kind::Text,
        "eventCategory",
        "Management, Data, NetworkActivity, Insight; null before record version 1.07.",
    ),
    optional("read_only", Kind::Bool, "readOnly", "Whether the operation only reads."),
    optional("management_event", Kind::Bool, "managementEvent", "Whether it is a management event."),
    optional(
        "error_code",
        Kind::Text,
        "errorCode",
        "Service error; null on success. A failed console login has only `error_message`.",
    ),
    optional("error_message", Kind::Text, "errorMessage", "Description of the error."),
    optional(
        "user_identity_type",
        Kind::Text,
        "userIdentity.type",
        "Root, IAMUser, AssumedRole, AWSService, AWSAccount, …",
    ),
    optional("user_identity_arn", Kind::Text, "userIdentity.arn", "ARN of the principal."),
    optional(
        "user_identity_account_id",
        Kind::Text,
        "userIdentity.accountId",
        "Account the principal belongs to.",
    ),
    optional(
        "principal_id",
        Kind::Text,
        "userIdentity.principalId",
        "Unique id of the principal, e.g. `AROA…:session`.",
    ),
    optional(
        "user_name",
        Kind::Text,
        "userIdentity.userName",
        "Friendly name; for assumed roles the issuing role's name.",
    ),
    optional("access_key_id", Kind::Text, "userIdentity.accessKeyId", "Access key that signed the request."),
    optional(
        "session_issuer_arn",
        Kind::Text,
        "userIdentity.sessionContext.sessionIssuer.arn",
        "ARN of the role or user that issued the session.",
    ),
    optional(
        "session_issuer_type",
        Kind::Text,
        "userIdentity.sessionContext.sessionIssuer.type",
        "Type of the session issuer.",
    ),
    optional(
        "session_source_identity",
        Kind::Text,
        "userIdentity.sessionContext.sourceIdentity",
        "Source identity set when the role was assumed.",
    ),
    optional(
        "invoked_by",
        Kind::Text,
        "userIdentity.invokedBy",
        "AWS service that called on the principal's behalf.",
    ),
    optional(
        "mfa_authenticated",
        Kind::Bool,
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        "Whether the session was authenticated with MFA.",
    ),
    optional(
        "source_ip_address",
        Kind::Text,
        "sourceIPAddress",
        "As written: an address, a service name or `AWS Internal`. `src_ip` holds it when it is an address.",
    ),
    optional("user_agent", Kind::Text, "userAgent", "User agent of the caller."),
    optional("request_id", Kind::Text, "requestID", "Request id given by the service."),
    optional(
        "shared_event_id",
        Kind::Text,
        "sharedEventID",
        "Joins the events of one action in several accounts.",
    ),
    optional("recipient_account_id", Kind::Text, "recipientAccountId", "Account that received the event."),
    optional("vpc_endpoint_id", Kind::Text, "vpcEndpointId", "VPC endpoint the request came through."),
    optional(
        "vpc_endpoint_account_id",
        Kind::Text,
        "vpcEndpointAccountId",
        "Account that owns the VPC endpoint.",
    ),
    optional("tls_version", Kind::Text, "tlsDetails.tlsVersion", "TLS version of the request."),
    optional("tls_cipher_suite", Kind::Text, "tlsDetails.cipherSuite", "Cipher suite of the request."),
    optional("api_version", Kind::Text, "apiVersion", "API version of the operation."),
    optional(
        "session_credential_from_console",
        Kind::Bool,
        "sessionCredentialFromConsole",
        "Whether the call came from a console session.",
    ),
    optional("request_parameters", Kind::Json, "requestParameters", "Parameters of the call."),
    optional(
        "response_elements",
        Kind::Json,
        "responseElements",
        "Answer to the call; `sessionToken` values are dropped.",
    ),
    optional(
        "additional_event_data",
        Kind::Json,
        "additionalEventData",
        "Further data, e.g. `MFAUsed` of a console login.",
    ),
    optional("resources", Kind::Json, "resources", "Resources the event touched."),
    optional("user_identity", Kind::Json, "userIdentity", "The whole identity."),
    optional("service_event_details", Kind::Json, "serviceEventDetails", "Details of a service event."),
    optional("insight_details", Kind::Json, "insightDetails", "Details of an Insight event."),
    optional("addendum", Kind::Json, "addendum", "Why a late or corrected event was delivered."),
    optional("unmapped", Kind::Json, "", "Every other top-level field of the record, as one JSON object."),
];
