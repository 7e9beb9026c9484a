//! `user_agent(text)`: the program behind a user agent, without its version and platform.

use super::{map_text, only};
use arrow::array::StringViewArray;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// Words that name the program wherever they stand, the more telling ones first: a Terraform run
/// also says which SDK it uses, and every browser says Mozilla.
/// What the words mean: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
/// and the user agents in recorded logs.
const MARKS: &[(&str, &str)] = &[
    ("terraform", "Terraform"),
    ("pulumi", "Pulumi"),
    ("opentofu", "OpenTofu"),
    ("ansible", "Ansible"),
    ("crossplane", "Crossplane"),
    ("pacu", "Pacu"),
    ("cloudfox", "CloudFox"),
    ("scoutsuite", "ScoutSuite"),
    ("scout suite", "ScoutSuite"),
    ("prowler", "Prowler"),
    ("stratus-red-team", "Stratus Red Team"),
    ("trufflehog", "TruffleHog"),
    ("s3browser", "S3 Browser"),
    ("s3 browser", "S3 Browser"),
    ("cyberduck", "Cyberduck"),
    ("rclone", "rclone"),
    ("winscp", "WinSCP"),
    ("steampipe", "Steampipe"),
    ("cloudcustodian", "Cloud Custodian"),
    ("kali", "Kali Linux"),
    ("parrot", "Parrot Linux"),
    ("pentoo", "Pentoo Linux"),
    ("nuclei", "Nuclei"),
    ("sqlmap", "sqlmap"),
    ("nikto", "Nikto"),
    ("masscan", "masscan"),
    ("zgrab", "zgrab"),
    ("kube-probe", "kube-probe"),
    ("elb-healthchecker", "ELB health check"),
    ("amazon cloudfront", "CloudFront"),
    ("console.amazonaws.com", "AWS console"),
    ("signin.amazonaws.com", "AWS console"),
    ("aws-internal", "AWS"),
    ("aws internal", "AWS"),
    ("aws-cli", "aws-cli"),
    ("eksctl", "eksctl"),
    ("kubectl", "kubectl"),
    ("boto3", "Boto3"),
    ("botocore", "Boto3"),
    ("aws-sdk-go", "aws-sdk-go"),
    ("aws-sdk-java", "aws-sdk-java"),
    ("aws-sdk-js", "aws-sdk-js"),
    ("aws-sdk-nodejs", "aws-sdk-js"),
    ("aws-sdk-rust", "aws-sdk-rust"),
    ("aws-sdk-dotnet", "aws-sdk-dotnet"),
    ("aws-sdk-ruby", "aws-sdk-ruby"),
    ("aws-sdk-php", "aws-sdk-php"),
    ("aws-sdk-cpp", "aws-sdk-cpp"),
    ("aws-sdk-kotlin", "aws-sdk-kotlin"),
    ("aws-sdk-swift", "aws-sdk-swift"),
    ("awspowershell", "AWS Tools for PowerShell"),
    ("aws-toolkit", "AWS Toolkit"),
    ("googlebot", "Googlebot"),
    ("bingbot", "Bingbot"),
    ("edg/", "Edge"),
    ("opr/", "Opera"),
    ("firefox/", "Firefox"),
    ("chrome/", "Chrome"),
    ("safari/", "Safari"),
];

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct UserAgent {
    signature: Signature,
}

impl Default for UserAgent {
    fn default() -> Self {
        UserAgent { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UserAgent {
    fn name(&self) -> &str {
        "user_agent"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = only(&arguments.args, self.name())?;
        map_text::<StringViewArray>(&argument, |text| program(text?))
    }
}

/// The program a user agent names; the service for calls AWS makes itself (`autoscaling.amazonaws.com`);
/// the first product for what is not known; nothing for an empty text.
pub fn program(text: &str) -> Option<String> {
    // CloudTrail writes the user agents of some callers in brackets.
    let text = text.trim().trim_start_matches('[').trim_end_matches(']').trim();
    if text.is_empty() || text == "-" {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    if let Some((_, name)) = MARKS.iter().find(|(mark, _)| lower.contains(mark)) {
        return Some((*name).to_owned());
    }
    if lower.ends_with(".amazonaws.com") && !lower.contains(char::is_whitespace) {
        return Some(lower);
    }
    let product = text.split(['/', ' ', ';', '(', ',']).find(|word| !word.is_empty()).unwrap_or(text);
    Some(product.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::column;

    #[test]
    fn the_program_is_told_from_its_libraries_and_platform() {
        for (text, expected) in [
            (
                "aws-cli/2.15.30 Python/3.11.8 Linux/6.1 exe/x86_64.amzn.2 prompt/off command/sts.get-caller-identity",
                Some("aws-cli"),
            ),
            ("[aws-cli/1.16.309 Python/3.6.0 Windows/10 botocore/1.13.45]", Some("aws-cli")),
            ("Boto3/1.34.69 md/Botocore#1.34.69 ua/2.0 os/linux#6.8 lang/python#3.12", Some("Boto3")),
            (
                "APN/1.0 HashiCorp/1.0 Terraform/1.7.5 (+https://www.terraform.io) aws-sdk-go-v2/1.26.0 os/linux",
                Some("Terraform"),
            ),
            ("[S3Console/0.4, aws-internal/3 aws-sdk-java/1.11.1030 Linux/5.4]", Some("AWS")),
            ("console.amazonaws.com", Some("AWS console")),
            ("autoscaling.amazonaws.com", Some("autoscaling.amazonaws.com")),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0 Safari/537.36 Edg/122.0",
                Some("Edge"),
            ),
            (
                "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
                Some("Safari"),
            ),
            ("aws-cli/2.1.0 Python/3.9 Linux/5.10.0-kali3-amd64", Some("Kali Linux")),
            ("curl/8.5.0", Some("curl")),
            ("Mozilla/5.0", Some("Mozilla")),
            ("/weird", Some("weird")),
            ("-", None),
            ("  ", None),
            ("[]", None),
        ] {
            assert_eq!(program(text).as_deref(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn null_stays_null() {
        let rows = "(values ('curl/8'), (null), ('')) as t(ua)";
        assert_eq!(
            column(&format!("select user_agent(ua) from {rows}")).await.unwrap(),
            ["curl", "NULL", "NULL"]
        );
    }
}
