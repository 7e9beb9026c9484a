//! What benign callers do: operations with their parameters, answers, usual errors and weights.
//!
//! The mix follows recorded accounts: EC2 and S3 lead, then Systems Manager, IAM, KMS, Secrets
//! Manager, STS; nine calls in ten only read, one in six fails, and many of the failures are the
//! normal “not configured” answers of S3. Operations that an attack detection must look at (stop a
//! trail, create a key for somebody else, open a bucket, …) are left to the planted attacks.

/// Which kind of caller an operation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// EKS node.
    Node,
    /// Pod with a role of its own.
    Workload,
    /// Pod before it has the role.
    WebIdentity,
    /// Deployment pipeline.
    Pipeline,
    /// A person through single sign-on.
    Person,
    /// A program with long-lived keys.
    Automation,
    /// AWS service on its own behalf.
    Service,
    /// Service-linked role.
    ServiceRole,
    /// A person at the sign-in page.
    SignIn,
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// eventSource
    pub source: &'static str,
    /// eventName
    pub name: &'static str,
    /// Who calls it.
    pub who: Who,
    /// Relative frequency.
    pub weight: u32,
    /// readOnly
    pub read_only: bool,
    /// Data event instead of management event.
    pub data: bool,
    /// requestParameters template.
    pub request: &'static str,
    /// responseElements template.
    pub response: &'static str,
    /// additionalEventData template; empty for none.
    pub additional: &'static str,
    /// resources template; empty for none.
    pub resources: &'static str,
    /// Usual errors: code, message, how many in a thousand.
    pub errors: &'static [(&'static str, &'static str, u16)],
}

const NULL: &str = "null";
const THROTTLED: (&str, &str, u16) = ("ThrottlingException", "Rate exceeded", 18);
const EC2: &str = "ec2.amazonaws.com";
const S3: &str = "s3.amazonaws.com";
const IAM: &str = "iam.amazonaws.com";
const STS: &str = "sts.amazonaws.com";
const KMS: &str = "kms.amazonaws.com";
const SSM: &str = "ssm.amazonaws.com";
const S3_EXTRA: &str = r#"{"SignatureVersion":"SigV4","CipherSuite":"TLS_AES_128_GCM_SHA256","bytesTransferredIn":0,"AuthenticationMethod":"AuthHeader","x-amz-id-2":"$token","bytesTransferredOut":$number}"#;
const BUCKET: &str = r#"[{"accountId":"$account","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$bucket"}]"#;
const OBJECT: &str = r#"[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::$bucket/$key"},{"accountId":"$account","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::$bucket"}]"#;
const KMS_KEY: &str =
    r#"[{"accountId":"$account","type":"AWS::KMS::Key","ARN":"arn:aws:kms:$region:$account:key/$kms"}]"#;

/// A reading management call.
const fn read(
    source: &'static str,
    name: &'static str,
    who: Who,
    weight: u32,
    request: &'static str,
) -> Operation {
    Operation {
        source,
        name,
        who,
        weight,
        read_only: true,
        data: false,
        request,
        response: NULL,
        additional: "",
        resources: "",
        errors: &[THROTTLED],
    }
}

/// A changing management call.
const fn write(
    source: &'static str,
    name: &'static str,
    who: Who,
    weight: u32,
    request: &'static str,
    response: &'static str,
) -> Operation {
    Operation {
        source,
        name,
        who,
        weight,
        read_only: false,
        data: false,
        request,
        response,
        additional: "",
        resources: "",
        errors: &[],
    }
}

/// A reading call on a bucket's configuration, usually answered with “there is none”.
const fn bucket(
    name: &'static str,
    weight: u32,
    request: &'static str,
    errors: &'static [(&'static str, &'static str, u16)],
) -> Operation {
    Operation {
        additional: S3_EXTRA,
        resources: BUCKET,
        errors,
        ..read(S3, name, Who::Pipeline, weight, request)
    }
}

/// All benign operations.
pub const OPERATIONS: &[Operation] = &[
    // EC2
    read(
        EC2,
        "DescribeInstances",
        Who::ServiceRole,
        70,
        r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]},"filterSet":{}}"#,
    ),
    read(
        EC2,
        "DescribeInstances",
        Who::Person,
        22,
        r#"{"maxResults":1000,"instancesSet":{},"filterSet":{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"}]}}]}}"#,
    ),
    read(
        EC2,
        "DescribeInstanceStatus",
        Who::ServiceRole,
        25,
        r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]},"filterSet":{},"includeAllInstances":true}"#,
    ),
    read(
        EC2,
        "DescribeNetworkInterfaces",
        Who::Node,
        60,
        r#"{"networkInterfaceIdSet":{"items":[{"networkInterfaceId":"$eni"}]},"filterSet":{}}"#,
    ),
    read(
        EC2,
        "DescribeSubnets",
        Who::Workload,
        18,
        r#"{"subnetSet":{"items":[{"subnetId":"$subnet"}]},"filterSet":{}}"#,
    ),
    read(
        EC2,
        "DescribeSecurityGroups",
        Who::Pipeline,
        20,
        r#"{"securityGroupSet":{},"securityGroupIdSet":{"items":[{"groupId":"$group"}]},"filterSet":{}}"#,
    ),
    read(
        EC2,
        "DescribeVolumes",
        Who::Workload,
        20,
        r#"{"volumeSet":{"items":[{"volumeId":"$volume"}]},"filterSet":{}}"#,
    ),
    Operation {
        errors: &[("Client.UnauthorizedOperation", "You are not authorized to perform this operation.", 120)],
        ..read(
            EC2,
            "DescribeRouteTables",
            Who::Person,
            5,
            r#"{"routeTableIdSet":{},"filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"$vpc"}]}}]}}"#,
        )
    },
    read(
        EC2,
        "DescribeLaunchTemplateVersions",
        Who::Workload,
        8,
        r#"{"DescribeLaunchTemplateVersionsRequest":{"LaunchTemplateId":"$template","LaunchTemplateVersion":{"tag":1,"content":"7"}}}"#,
    ),
    write(
        EC2,
        "AssignPrivateIpAddresses",
        Who::Node,
        12,
        r#"{"networkInterfaceId":"$eni","privateIpAddressesSet":{},"secondaryPrivateIpAddressCount":1}"#,
        r#"{"requestId":"$uuid","_return":true,"networkInterfaceId":"$eni","assignedPrivateIpAddressesSet":{"assignedPrivateIpAddressSetType":[{"privateIpAddress":"$ip"}]}}"#,
    ),
    write(
        EC2,
        "CreateSnapshot",
        Who::Automation,
        6,
        r#"{"volumeId":"$volume","description":"nightly backup","tagSpecificationSet":{"items":[{"resourceType":"snapshot","tags":[{"key":"retention","value":"35d"}]}]}}"#,
        r#"{"requestId":"$uuid","snapshotId":"$snapshot","volumeId":"$volume","status":"pending","ownerId":"$account","volumeSize":"100","encrypted":true}"#,
    ),
    write(
        EC2,
        "DeleteSnapshot",
        Who::Automation,
        4,
        r#"{"snapshotId":"$snapshot","force":false}"#,
        r#"{"requestId":"$uuid","_return":true}"#,
    ),
    write(
        EC2,
        "RunInstances",
        Who::ServiceRole,
        3,
        r#"{"instancesSet":{"items":[{"imageId":"$image","minCount":1,"maxCount":1}]},"instanceType":"m7g.large","blockDeviceMapping":{},"monitoring":{"enabled":false},"subnetId":"$subnet","launchTemplate":{"launchTemplateId":"$template","version":"7"}}"#,
        r#"{"requestId":"$uuid","reservationId":"r-0$hex","ownerId":"$account","groupSet":{},"instancesSet":{"items":[{"instanceId":"$instance","imageId":"$image","currentState":{},"instanceState":{"code":0,"name":"pending"},"privateDnsName":"","amiLaunchIndex":0,"instanceType":"m7g.large","launchTime":1763790000000,"placement":{"availabilityZone":"eu-central-1b","tenancy":"default"},"subnetId":"$subnet","vpcId":"$vpc","privateIpAddress":"$ip","architecture":"arm64","rootDeviceType":"ebs","metadataOptions":{"state":"pending","httpTokens":"required","httpPutResponseHopLimit":2,"httpEndpoint":"enabled"}}]}}"#,
    ),
    write(
        EC2,
        "TerminateInstances",
        Who::ServiceRole,
        3,
        r#"{"instancesSet":{"items":[{"instanceId":"$instance"}]}}"#,
        r#"{"requestId":"$uuid","instancesSet":{"items":[{"instanceId":"$instance","currentState":{"code":32,"name":"shutting-down"},"previousState":{"code":16,"name":"running"}}]}}"#,
    ),
    write(
        EC2,
        "CreateTags",
        Who::Workload,
        8,
        r#"{"resourcesSet":{"items":[{"resourceId":"$volume"}]},"tagSet":{"items":[{"key":"kubernetes.io/created-for/pvc/name","value":"data-$service-0"}]}}"#,
        r#"{"requestId":"$uuid","_return":true}"#,
    ),
    // S3
    Operation {
        data: true,
        additional: S3_EXTRA,
        resources: OBJECT,
        errors: &[
            ("NoSuchKey", "The specified key does not exist.", 30),
            ("AccessDenied", "Access Denied", 4),
        ],
        ..read(
            S3,
            "GetObject",
            Who::Workload,
            110,
            r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","key":"$key"}"#,
        )
    },
    Operation {
        data: true,
        additional: S3_EXTRA,
        resources: OBJECT,
        ..write(
            S3,
            "PutObject",
            Who::Workload,
            70,
            r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","x-amz-server-side-encryption":"aws:kms","key":"$key"}"#,
            r#"{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:$region:$account:key/$kms"}"#,
        )
    },
    Operation {
        additional: S3_EXTRA,
        resources: BUCKET,
        ..read(S3, "ListBuckets", Who::Person, 6, r#"{"Host":"s3.$region.amazonaws.com"}"#)
    },
    Operation {
        additional: S3_EXTRA,
        resources: BUCKET,
        ..read(
            S3,
            "GetBucketAcl",
            Who::Service,
            55,
            r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","acl":""}"#,
        )
    },
    bucket(
        "GetBucketWebsite",
        10,
        r#"{"bucketName":"$bucket","website":"","Host":"$bucket.s3.$region.amazonaws.com"}"#,
        &[("NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration", 970)],
    ),
    bucket(
        "GetBucketCors",
        10,
        r#"{"bucketName":"$bucket","cors":"","Host":"$bucket.s3.$region.amazonaws.com"}"#,
        &[("NoSuchCORSConfiguration", "The CORS configuration does not exist", 940)],
    ),
    bucket(
        "GetBucketReplication",
        10,
        r#"{"replication":"","bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com"}"#,
        &[("ReplicationConfigurationNotFoundError", "The replication configuration was not found", 960)],
    ),
    bucket(
        "GetBucketTagging",
        9,
        r#"{"bucketName":"$bucket","tagging":"","Host":"$bucket.s3.$region.amazonaws.com"}"#,
        &[("NoSuchTagSet", "The TagSet does not exist", 600)],
    ),
    bucket(
        "GetBucketPolicy",
        9,
        r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","policy":""}"#,
        &[("NoSuchBucketPolicy", "The bucket policy does not exist", 450)],
    ),
    bucket(
        "GetBucketVersioning",
        9,
        r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","versioning":""}"#,
        &[],
    ),
    bucket(
        "GetBucketEncryption",
        8,
        r#"{"bucketName":"$bucket","Host":"$bucket.s3.$region.amazonaws.com","encryption":""}"#,
        &[],
    ),
    // STS
    Operation {
        resources: r#"[{"accountId":"$account","type":"AWS::IAM::Role","ARN":"arn:aws:iam::$account:role/$role"}]"#,
        ..read(
            STS,
            "AssumeRole",
            Who::Service,
            60,
            r#"{"roleArn":"arn:aws:iam::$account:role/$role","roleSessionName":"$instance"}"#,
        )
    },
    Operation {
        resources: r#"[{"accountId":"$account","type":"AWS::IAM::Role","ARN":"arn:aws:iam::$account:role/eks/irsa-$caller"}]"#,
        ..write(
            STS,
            "AssumeRoleWithWebIdentity",
            Who::WebIdentity,
            45,
            r#"{"roleArn":"arn:aws:iam::$account:role/eks/irsa-$caller","roleSessionName":"botocore-session-$number","durationSeconds":3600}"#,
            r#"{"credentials":{"accessKeyId":"ASIA$keytail","sessionToken":"IQoJb3JpZ2luX2VjEHoaDGV1LWNlbnRyYWwtMSJGMEQCIA==","expiration":"$time"},"subjectFromWebIdentityToken":"system:serviceaccount:shop:$caller","assumedRoleUser":{"assumedRoleId":"AROA$keytail:botocore","arn":"arn:aws:sts::assumed-role/irsa-$caller/botocore"},"audience":"sts.amazonaws.com"}"#,
        )
    },
    read(STS, "GetCallerIdentity", Who::Pipeline, 14, NULL),
    read(STS, "GetCallerIdentity", Who::Person, 5, NULL),
    // KMS, secrets, parameters
    Operation {
        resources: KMS_KEY,
        ..read(
            KMS,
            "Decrypt",
            Who::Workload,
            52,
            r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::$bucket/$key"}}"#,
        )
    },
    Operation {
        resources: KMS_KEY,
        ..read(
            KMS,
            "GenerateDataKey",
            Who::Service,
            38,
            r#"{"keySpec":"AES_256","encryptionContext":{"aws:cloudtrail:arn":"arn:aws:cloudtrail:$region:$account:trail/organization","aws:s3:arn":"arn:aws:s3:::$bucket/AWSLogs"},"keyId":"arn:aws:kms:$region:$account:key/$kms"}"#,
        )
    },
    read("secretsmanager.amazonaws.com", "DescribeSecret", Who::Pipeline, 9, r#"{"secretId":"$secret"}"#),
    read("secretsmanager.amazonaws.com", "ListSecrets", Who::Person, 2, r#"{"maxResults":100}"#),
    Operation {
        errors: &[("ThrottlingException", "Rate exceeded", 90)],
        ..write(
            SSM,
            "UpdateInstanceInformation",
            Who::Node,
            95,
            r#"{"instanceId":"$instance","agentVersion":"3.3.1345.0","agentStatus":"Active","platformType":"Linux","platformName":"Bottlerocket","platformVersion":"1.28.0","iPAddress":"$ip","computerName":"ip-10-0-16-7.eu-central-1.compute.internal","agentName":"amazon-ssm-agent"}"#,
            NULL,
        )
    },
    read(SSM, "ListInstanceAssociations", Who::Node, 26, r#"{"instanceId":"$instance","maxResults":20}"#),
    read(
        SSM,
        "GetParametersByPath",
        Who::Workload,
        6,
        r#"{"path":"$parameter","recursive":true,"withDecryption":false}"#,
    ),
    // IAM
    Operation {
        errors: &[("NoSuchEntityException", "The role cannot be found.", 12)],
        ..read(IAM, "GetRole", Who::Pipeline, 26, r#"{"roleName":"$role"}"#)
    },
    read(IAM, "ListAttachedRolePolicies", Who::Pipeline, 20, r#"{"roleName":"$role"}"#),
    read(IAM, "ListRolePolicies", Who::Pipeline, 16, r#"{"roleName":"$role"}"#),
    read(
        IAM,
        "GetPolicyVersion",
        Who::Pipeline,
        10,
        r#"{"policyArn":"arn:aws:iam::$account:policy/$service-data","versionId":"v3"}"#,
    ),
    Operation {
        errors: &[(
            "AccessDenied",
            "User: arn:aws:sts::assumed-role/AWSReservedSSO_ReadOnlyAccess is not authorized to perform: iam:GenerateServiceLastAccessedDetails",
            160,
        )],
        ..read(IAM, "ListUsers", Who::Person, 3, r#"{"maxItems":100}"#)
    },
    read(IAM, "GetAccountSummary", Who::Person, 2, NULL),
    write(
        IAM,
        "TagRole",
        Who::Pipeline,
        2,
        r#"{"roleName":"$role","tags":[{"key":"revision","value":"$number"}]}"#,
        NULL,
    ),
    // Everything else
    read("eks.amazonaws.com", "DescribeCluster", Who::Pipeline, 14, r#"{"name":"prod"}"#),
    read(
        "ecr.amazonaws.com",
        "BatchGetImage",
        Who::Node,
        12,
        r#"{"registryId":"$account","repositoryName":"$service","imageIds":[{"imageTag":"1.$number"}],"acceptedMediaTypes":["application/vnd.docker.distribution.manifest.v2+json","application/vnd.oci.image.manifest.v1+json"]}"#,
    ),
    read("ecr.amazonaws.com", "GetAuthorizationToken", Who::Node, 10, NULL),
    Operation {
        errors: &[("ThrottlingException", "Rate exceeded", 40)],
        ..read(
            "logs.amazonaws.com",
            "DescribeLogStreams",
            Who::Automation,
            9,
            r#"{"logGroupName":"$loggroup","descending":false}"#,
        )
    },
    write(
        "logs.amazonaws.com",
        "CreateLogStream",
        Who::Service,
        8,
        r#"{"logStreamName":"$stream","logGroupName":"$loggroup"}"#,
        NULL,
    ),
    read(
        "rds.amazonaws.com",
        "DescribeDBInstances",
        Who::Automation,
        18,
        r#"{"dBInstanceIdentifier":"orders"}"#,
    ),
    read(
        "elasticloadbalancing.amazonaws.com",
        "DescribeTargetHealth",
        Who::ServiceRole,
        16,
        r#"{"targetGroupArn":"arn:aws:elasticloadbalancing:$region:$account:targetgroup/$service/6d0ecf831eec9f09"}"#,
    ),
    read(
        "autoscaling.amazonaws.com",
        "DescribeAutoScalingGroups",
        Who::Workload,
        10,
        r#"{"autoScalingGroupNames":["$asg"]}"#,
    ),
    read("monitoring.amazonaws.com", "DescribeAlarms", Who::Person, 6, r#"{"maxRecords":100}"#),
    read(
        "cloudtrail.amazonaws.com",
        "DescribeTrails",
        Who::Person,
        3,
        r#"{"includeShadowTrails":true,"trailNameList":[]}"#,
    ),
    read(
        "cloudtrail.amazonaws.com",
        "GetTrailStatus",
        Who::Person,
        2,
        r#"{"name":"arn:aws:cloudtrail:$region:$account:trail/organization"}"#,
    ),
    read("config.amazonaws.com", "DescribeConfigurationRecorders", Who::Pipeline, 3, NULL),
    read("organizations.amazonaws.com", "ListAccounts", Who::Person, 2, NULL),
    read(
        "health.amazonaws.com",
        "DescribeEventAggregates",
        Who::Person,
        6,
        r#"{"aggregateField":"eventTypeCategory","filter":{"eventStatusCodes":["open","upcoming"]}}"#,
    ),
    read(
        "route53.amazonaws.com",
        "ListResourceRecordSets",
        Who::Workload,
        9,
        r#"{"hostedZoneId":"Z0123456789ABCDEFGHIJ","maxItems":"300"}"#,
    ),
    Operation {
        additional: r#"{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true&state=hashArgsFromTB_eu-central-1_$hex","MobileVersion":"No","MFAIdentifier":"arn:aws:iam::$account:mfa/$caller","MFAUsed":"Yes"}"#,
        ..write("signin.amazonaws.com", "ConsoleLogin", Who::SignIn, 1, NULL, r#"{"ConsoleLogin":"Success"}"#)
    },
];
