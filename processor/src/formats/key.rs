//! What the key of an object says about its records, where a record does not say it itself: account
//! and Region, in either style of keys (`AWSLogs/<account>/…` and `AWSLogs/aws-account-id=<account>/…`).

/// The account in an object's key: the folder of twelve digits after `AWSLogs/`.
pub fn account(location: &str) -> Option<String> {
    let (_, below) = location.split_once("AWSLogs/")?;
    below
        .split('/')
        .take(3)
        .map(|part| part.strip_prefix("aws-account-id=").unwrap_or(part))
        .find(|part| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit()))
        .map(str::to_owned)
}

/// The Region in the key of a flow log: `…/vpcflowlogs/<region>/…`, in either key style.
pub fn flow_region(location: &str) -> Option<String> {
    let (_, below) = location.split_once("vpcflowlogs/")?;
    let part = below.split('/').next()?;
    let region = part.strip_prefix("aws-region=").unwrap_or(part);
    let plausible = region.contains('-')
        && region.len() <= 32
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plausible.then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_key_styles_name_account_and_region() {
        for key in [
            "s3://b/AWSLogs/098765432109/vpcflowlogs/eu-west-1/2026/11/22/x.log.gz",
            "s3://b/p/AWSLogs/098765432109/vpcflowlogs/eu-west-1/2026/11/22/09/x.log.parquet",
            "s3://b/AWSLogs/aws-account-id=098765432109/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/day=22/x.log.gz",
            "s3://b/AWSLogs/aws-account-id=098765432109/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/month=11/day=22/hour=09/x.log.parquet",
        ] {
            assert_eq!(account(key).as_deref(), Some("098765432109"), "{key}");
            assert_eq!(flow_region(key).as_deref(), Some("eu-west-1"), "{key}");
        }
        let organization = "s3://b/AWSLogs/o-abcd/098765432109/CloudTrail/us-east-1/x.json.gz";
        assert_eq!(account(organization).as_deref(), Some("098765432109"));
        assert_eq!((account("s3://b/x/098765432109/y"), flow_region("s3://b/flow/x")), (None, None));
    }
}
