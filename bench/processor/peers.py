"""The same conversion asked of DuckDB and ClickHouse (chdb): every column of our table that is taken from the
record, zstd Parquet sorted by time. The columns come from one list, so that neither engine does less."""

import sys

# column of the table -> path in the record; kinds: t text, b boolean, j JSON kept as text
CLOUDTRAIL = [
    ("event_source", "eventSource", "t"),
    ("event_name", "eventName", "t"),
    ("event_version", "eventVersion", "t"),
    ("event_type", "eventType", "t"),
    ("event_category", "eventCategory", "t"),
    ("read_only", "readOnly", "b"),
    ("management_event", "managementEvent", "b"),
    ("error_code", "errorCode", "t"),
    ("error_message", "errorMessage", "t"),
    ("user_identity_type", "userIdentity.type", "t"),
    ("user_identity_arn", "userIdentity.arn", "t"),
    ("user_identity_account_id", "userIdentity.accountId", "t"),
    ("principal_id", "userIdentity.principalId", "t"),
    ("user_name", "userIdentity.userName", "t"),
    ("access_key_id", "userIdentity.accessKeyId", "t"),
    ("session_issuer_arn", "userIdentity.sessionContext.sessionIssuer.arn", "t"),
    ("session_issuer_type", "userIdentity.sessionContext.sessionIssuer.type", "t"),
    ("invoked_by", "userIdentity.invokedBy", "t"),
    ("mfa_authenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated", "t"),
    ("source_ip_address", "sourceIPAddress", "t"),
    ("user_agent", "userAgent", "t"),
    ("request_id", "requestID", "t"),
    ("shared_event_id", "sharedEventID", "t"),
    ("recipient_account_id", "recipientAccountId", "t"),
    ("vpc_endpoint_id", "vpcEndpointId", "t"),
    ("tls_version", "tlsDetails.tlsVersion", "t"),
    ("tls_cipher_suite", "tlsDetails.cipherSuite", "t"),
    ("api_version", "apiVersion", "t"),
    ("event_uid", "eventID", "t"),
    ("region", "awsRegion", "t"),
    ("request_parameters", "requestParameters", "j"),
    ("response_elements", "responseElements", "j"),
    ("additional_event_data", "additionalEventData", "j"),
    ("resources", "resources", "j"),
    ("user_identity", "userIdentity", "j"),
    ("service_event_details", "serviceEventDetails", "j"),
]


def duckdb_cloudtrail(files, out):
    top = {}
    for _, path, kind in CLOUDTRAIL:
        name = path.split(".")[0]
        top[name] = "JSON" if "." in path or kind == "j" else {"t": "VARCHAR", "b": "BOOLEAN"}[kind]
    top["eventTime"] = "VARCHAR"
    struct = ", ".join(f'"{name}" {kind}' for name, kind in top.items())
    columns = ["r.\"eventTime\"::timestamp as event_time"]
    for column, path, kind in CLOUDTRAIL:
        head, _, rest = path.partition(".")
        columns.append(f"r.\"{head}\"->>'$.{rest}' as {column}" if rest else f'r."{head}" as {column}')
    return (
        f"copy (select {', '.join(columns)} from (select unnest(\"Records\") as r from read_json('{files}', "
        f"maximum_object_size=67108864, columns={{'Records': 'STRUCT({struct})[]'}})) order by event_time) "
        f"to '{out}' (format parquet, compression zstd)"
    )


def clickhouse_cloudtrail(files, out):
    columns = ["parseDateTime64BestEffort(JSONExtractString(r, 'eventTime'), 6) as event_time"]
    for column, path, kind in CLOUDTRAIL:
        keys = ", ".join(f"'{part}'" for part in path.split("."))
        call = {"t": "JSONExtract(r, {}, 'Nullable(String)')", "b": "JSONExtract(r, {}, 'Nullable(Bool)')"}.get(
            kind, "nullIf(JSONExtractRaw(r, {}), '')"
        )
        columns.append(f"{call.format(keys)} as {column}")
    return (
        f"select {', '.join(columns)} from (select arrayJoin(JSONExtractArrayRaw(line, 'Records')) as r "
        f"from file('{files}', 'LineAsString')) order by event_time into outfile '{out}' truncate format Parquet "
        "settings output_format_parquet_compression_method='zstd', max_threads=2"
    )


FLOW_NUMBERS = {
    "version", "srcport", "dstport", "protocol", "packets", "bytes", "tcp-flags", "traffic-path", "start", "end",
}


def duckdb_flow(files, out, header):
    types = ", ".join(f"'{name}': '{'BIGINT' if name in FLOW_NUMBERS else 'VARCHAR'}'" for name in header)
    rest = ", ".join(f'"{name}"' for name in header if name not in ("start", "end"))
    return (
        f"copy (select to_timestamp(start) as event_time, to_timestamp(\"end\") as end_time, {rest} from read_csv('{files}', "
        f"delim=' ', header=true, nullstr='-', columns={{{types}}}) where \"log-status\" <> 'NODATA' order by event_time) "
        f"to '{out}' (format parquet, compression zstd)"
    )


def clickhouse_flow(files, out, header):
    kinds = ", ".join(
        f"`{name}` {'Nullable(Int64)' if name in FLOW_NUMBERS else 'Nullable(String)'}" for name in header
    )
    rest = ", ".join(f"`{name}`" for name in header if name not in ("start", "end"))
    return (
        f"select toDateTime64(start, 6) as event_time, toDateTime64(end, 6) as end_time, {rest} from file('{files}', "
        f"'CustomSeparatedWithNames', '{kinds}') where `log-status` <> 'NODATA' order by event_time into outfile '{out}' truncate "
        "format Parquet settings output_format_parquet_compression_method='zstd', format_custom_field_delimiter=' ', "
        "format_custom_escaping_rule='CSV', format_csv_null_representation='-', max_threads=2"
    )


def main():
    engine, statement = sys.argv[1], sys.stdin.read()
    if engine == "duckdb":
        import duckdb

        connection = duckdb.connect()
        connection.execute("set threads=2")
        print(connection.execute(statement).fetchall())
    else:
        import chdb

        print(chdb.query(statement, "CSV"))


if __name__ == "__main__":
    main()
