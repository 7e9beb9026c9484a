//! The S3 client for what an object store has no words for: lifecycle rules, storage classes, restores,
//! listings by level.
//!
//! It uses the AWS default credential chain and the same variables as the store of the lake.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;

/// A client for the Region and endpoint of the environment. Where an endpoint is given, the bucket
/// stands in the path: names below an emulator's or a gateway's host seldom resolve.
pub async fn open() -> Client {
    let sdk = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
    let named = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"];
    let elsewhere = named.iter().any(|name| std::env::var_os(name).is_some());
    Client::from_conf(Builder::from(&sdk).force_path_style(elsewhere).build())
}
