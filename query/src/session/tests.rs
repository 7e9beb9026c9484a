//! What a session accepts, refuses and explains, without a lake.

use super::*;
use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use std::path::Path;

fn session() -> Session {
    Session::new(Options::default()).unwrap()
}

async fn value(session: &Session, sql: &str) -> Result<String, QueryError> {
    let batches = session.sql(sql).await?.collect().await.map_err(failure::classify)?;
    Ok(array_value_to_string(batches[0].column(0), 0).unwrap())
}

#[tokio::test]
async fn what_analysts_type_is_understood() {
    let session = session();
    for (sql, expected) in [
        ("select 1", "1"),
        ("select 'a' || 'b'", "ab"),
        ("select '7'::int + 1", "8"),
        ("select 'Abc' ilike 'aB%'", "true"),
        ("select 'abc' ~ '^a.c$'", "true"),
        ("select '{\"a\":{\"b\":\"c\"}}'->'a'->>'b'", "c"),
        ("select json_get_str('{\"a\":\"x\"}', 'a')", "x"),
        ("select interval '1 day' = interval '24 hours'", "false"),
        ("select date '2026-11-22'", "2026-11-22"),
        ("select array_length([1,2,3])", "3"),
        ("select extract(hour from timestamp '2026-11-22 10:00:00')", "10"),
        ("select date_trunc('hour', timestamp '2026-11-22 10:31:00')", "2026-11-22T10:00:00"),
        ("with t as (select 1 as x union all select 2) select count(*) from t", "2"),
        ("select x from (values (3), (1)) as t(x) order by x limit 1", "1"),
        ("select count(*) filter (where x > 1) from (values (3), (1)) as t(x)", "1"),
        ("select distinct on (x) x from (values (3), (3)) as t(x)", "3"),
        ("select x, count(*) over (partition by x) from (values (3)) as t(x)", "3"),
        ("select '{\"a\":\"c\"}'->>'a' = 'c'", "true"),
        ("select * exclude (a) from (select 1 as a, 2 as b)", "2"),
        ("from (values (4)) as t(x) select x", "4"),
        ("select cidr_contains('10.0.0.0/8', '10.1.2.3')", "true"),
    ] {
        match value(&session, sql).await {
            Ok(found) => assert_eq!(found, expected, "{sql}"),
            Err(error) => panic!("{sql}: {error}"),
        }
    }
}

#[tokio::test]
async fn whatever_would_write_is_refused_with_a_reason() {
    let session = session();
    for sql in [
        "create table t as select 1",
        "create view v as select 1",
        "create external table t stored as parquet location 'x'",
        "drop table cloudtrail",
        "insert into cloudtrail values (1)",
        "update cloudtrail set region = 'x'",
        "delete from cloudtrail",
        "truncate table cloudtrail",
        "copy (select 1) to 'x.parquet'",
        "set datafusion.runtime.memory_limit = '100G'",
        "reset datafusion.runtime.memory_limit",
        "explain insert into cloudtrail values (1)",
        "explain analyze create table t as select 1",
        "create function f() returns int return 1",
        "prepare p as select 1",
        "begin",
        "alter table cloudtrail add column x int",
        "select 1; drop table cloudtrail",
    ] {
        let refused = match session.statements(sql) {
            Err(error) => error,
            Ok(mut statements) => match session.plan(statements.remove(0)).await {
                Err(error) => error,
                Ok(_) => panic!("accepted: {sql}"),
            },
        };
        assert!(matches!(refused, QueryError::ReadOnly { .. }), "{sql}: {refused}");
        assert_eq!(refused.exit_code(), crate::exit_code::USAGE);
    }
    for sql in
        ["explain select 1", "explain analyze select 1", "show tables", "values (1)", "select 'drop table x'"]
    {
        if let Err(error) = session.sql(sql).await {
            panic!("{sql}: {error}");
        }
    }
}

#[tokio::test]
async fn a_table_without_a_lake_says_how_to_give_one() {
    let error = session().sql("select * from cloudtrail").await.unwrap_err();
    assert!(matches!(error, QueryError::NoLake), "{error}");
    assert!(error.to_string().contains("--lake"), "{error}");
}

#[tokio::test]
async fn an_unknown_table_is_answered_with_the_nearest_and_all_names() {
    let empty = tempfile::tempdir().unwrap();
    let lake = Lake::resolve(empty.path().to_str(), Path::new("/")).unwrap();
    let session = Session::new(Options { lake, ..Options::default() }).unwrap();
    let error = session.sql("select * from cloud_trail").await.unwrap_err().to_string();
    assert!(error.contains("did you mean cloudtrail?"), "{error}");
    assert!(error.contains("vpc_flow"), "{error}");
    let error = session.sql("select * from logq.lake.nothing").await.unwrap_err().to_string();
    assert!(error.starts_with("no table called nothing;"), "{error}");
}

#[tokio::test]
async fn a_field_of_the_source_is_answered_with_its_column() {
    let empty = tempfile::tempdir().unwrap();
    let lake = Lake::resolve(empty.path().to_str(), Path::new("/")).unwrap();
    let session = Session::new(Options { lake, ..Options::default() }).unwrap();
    for (sql, column) in [
        ("select srcaddr from vpc_flow", "src_ip"),
        ("select dstport from vpc_flow", "dst_port"),
        ("select start from vpc_flow", "event_time"),
        ("select eventName from cloudtrail", "event_name"),
        ("select sourceIPAddress from cloudtrail", "source_ip_address"),
        ("select userIdentity.arn from cloudtrail", "user_identity_arn"),
        ("select requestParameters.bucketName from cloudtrail", "request_parameters"),
        ("select evnt_name from cloudtrail", "did you mean event_name?"),
    ] {
        let error = session.sql(sql).await.unwrap_err();
        assert!(matches!(error, QueryError::UnknownColumn { .. }), "{sql}: {error}");
        assert!(error.to_string().contains(column), "{sql}: {error}");
    }
}

#[tokio::test]
async fn memory_is_bounded_and_a_sort_spills() {
    let options = Options {
        memory_limit_bytes: config::MEMORY_LIMIT_BYTES_MIN,
        threads: NonZeroUsize::new(1),
        ..Options::default()
    };
    let session = Session::new(options).unwrap();
    // 2,000,000 rows of two 8-byte columns and a text: well past 32 MiB.
    let sorted = session
        .sql("select x from (select value as x, repeat('y', 20) || value as t from range(2000000)) order by t desc")
        .await
        .unwrap();
    let rows: usize = sorted.collect().await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 2_000_000);
    let hungry = session
        .sql("select array_length(array_agg(value || repeat('z', 40))) from range(2000000)")
        .await
        .unwrap();
    let error = failure::classify(hungry.collect().await.unwrap_err());
    assert!(matches!(error, QueryError::Resources { .. }), "{error}");
}

#[tokio::test]
async fn tables_of_the_callers_context_are_queried_the_same_way() {
    let context = SessionContext::new();
    let batch = RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from(vec![1, 2])) as _),
        ("ip", Arc::new(StringArray::from(vec!["10.0.0.1", "8.8.8.8"])) as _),
    ])
    .unwrap();
    context.register_batch("t", batch).unwrap();
    let session = Session::for_context(context);
    assert_eq!(value(&session, "select sum(n) from t where is_private(ip)").await.unwrap(), "1");
    assert!(session.has_table("t").await.unwrap());
    assert!(!session.has_table("u").await.unwrap());
}
