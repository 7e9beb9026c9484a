//! `logq-processor`: input objects in, Delta tables out, every record once.
//!
//! The path of an object: it is *discovered* (a directory, a prefix, a watched folder, an SQS
//! notification), *claimed* together with others as a numbered batch, *parsed* by the format its
//! bytes show, *written* as sorted Parquet files, *prepared* (the list of these files is settled), and
//! *committed* to each table under the batch's number. A batch that was interrupted is finished from
//! what was prepared, or done again from its claim; a table that already holds the batch's number is
//! left alone. See [`claims`] and [`prepared`] for why that makes each record appear once.
//!
//! What cannot be parsed goes to the table `rejected`, what was read to the table `ingest`.

pub mod admin;
pub mod backfill;
pub mod backoff;
pub mod causes;
pub mod claims;
pub mod cli;
pub mod clock;
pub mod config;
pub mod discover;
pub mod exit_code;
pub mod formats;
pub mod integrity;
pub mod lake;
pub mod ledger;
pub mod lifecycle;
pub mod metrics;
pub mod pipeline;
pub mod prepared;
pub mod replay;
pub mod restore;
pub mod s3_client;
pub mod storage;
pub mod stored;
