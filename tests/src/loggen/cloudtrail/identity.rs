//! Who calls: identities with the fields CloudTrail gives each kind.

use crate::loggen::estate::{benign_address, office_address};
use crate::loggen::{Estate, Random, stamp};
use sha2::{Digest, Sha256};

/// A caller.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The `userIdentity` object as JSON.
    pub json: String,
    /// sourceIPAddress
    pub address: String,
    /// userAgent
    pub agent: String,
    /// Signed in to the console.
    pub console: bool,
    /// Calls through a VPC endpoint.
    pub endpoint: bool,
    /// Called by an AWS service: no TLS details.
    pub service: bool,
    /// Friendly name for request parameters.
    pub name: String,
}

/// A unique id (`AIDA…`, `AROA…`, `AKIA…`) that always is the same for the same name.
pub fn unique_id(prefix: &str, account: &str, name: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::new().chain_update(prefix).chain_update(account).chain_update(name).finalize();
    let tail = digest.iter().take(16).map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    prefix.chars().chain(tail).collect()
}

/// An IAM user.
pub fn user(account: &str, name: &str, address: String, agent: &str) -> Identity {
    let principal = unique_id("AIDA", account, name);
    let key = unique_id("AKIA", account, name);
    Identity {
        json: format!(
            r#"{{"type":"IAMUser","principalId":"{principal}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"{key}","userName":"{name}"}}"#
        ),
        address,
        agent: agent.to_owned(),
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// An IAM user signed in to the console.
pub fn console_user(account: &str, name: &str, address: String, second: i64, mfa: bool) -> Identity {
    let principal = unique_id("AIDA", account, name);
    let key = unique_id("ASIA", account, name);
    let created = stamp::iso(second - second.rem_euclid(3_600));
    Identity {
        json: format!(
            r#"{{"type":"IAMUser","principalId":"{principal}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"{key}","userName":"{name}","sessionContext":{{"attributes":{{"creationDate":"{created}","mfaAuthenticated":"{mfa}"}}}}}}"#
        ),
        address,
        agent: BROWSER.to_owned(),
        console: true,
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// The root user.
pub fn root(account: &str, address: String, second: i64) -> Identity {
    let key = unique_id("ASIA", account, "root");
    let created = stamp::iso(second - second.rem_euclid(3_600));
    Identity {
        json: format!(
            r#"{{"type":"Root","principalId":"{account}","arn":"arn:aws:iam::{account}:root","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"attributes":{{"creationDate":"{created}","mfaAuthenticated":"false"}}}}}}"#
        ),
        address,
        agent: BROWSER.to_owned(),
        console: true,
        name: "root".to_owned(),
        ..Identity::default()
    }
}

/// The browser console users have.
pub const BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

struct Role<'a> {
    account: &'a str,
    name: &'a str,
    path: &'a str,
    session: &'a str,
    second: i64,
    federation: Option<&'a str>,
    delivery: bool,
    invoked_by: Option<&'a str>,
}

/// The JSON of an assumed role.
fn assumed(role: &Role<'_>) -> String {
    let Role { account, name, path, session, .. } = role;
    let issuer = unique_id("AROA", account, name);
    let key = unique_id("ASIA", account, &format!("{name}/{session}/{}", role.second / 3_600));
    let created = stamp::iso(role.second - role.second.rem_euclid(3_600));
    let federation = match role.federation {
        Some(provider) => {
            format!(
                r#""webIdFederationData":{{"federatedProvider":"arn:aws:iam::{account}:oidc-provider/{provider}","attributes":{{}}}},"#
            )
        }
        None => String::new(),
    };
    let delivery = if role.delivery { r#","ec2RoleDelivery":"2.0""# } else { "" };
    let invoked = role.invoked_by.map(|by| format!(r#","invokedBy":"{by}""#)).unwrap_or_default();
    format!(
        r#"{{"type":"AssumedRole","principalId":"{issuer}:{session}","arn":"arn:aws:sts::{account}:assumed-role/{name}/{session}","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{issuer}","arn":"arn:aws:iam::{account}:role{path}{name}","accountId":"{account}","userName":"{name}"}},{federation}"attributes":{{"creationDate":"{created}","mfaAuthenticated":"false"}}{delivery}}}{invoked}}}"#
    )
}

fn nat_address(estate: &Estate, random: &mut Random, account: usize) -> String {
    // Three elastic addresses per account, always the same ones.
    let digest = Sha256::digest(estate.accounts[account].id.as_bytes());
    format!("18.{}.{}.{}", 184 + digest[0] % 12, digest[1], digest[2 + random.below(3) as usize])
}

/// An EKS node, through its instance profile.
pub fn node(estate: &Estate, random: &mut Random, account: usize, second: i64) -> Identity {
    let id = &estate.accounts[account].id;
    let digest = Sha256::new().chain_update(id).chain_update([random.below(9) as u8]).finalize();
    let instance: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let session = format!("i-0{instance}");
    Identity {
        json: assumed(&Role {
            account: id,
            name: "eks-node-general",
            path: "/",
            session: &session,
            second,
            federation: None,
            delivery: true,
            invoked_by: None,
        }),
        address: nat_address(estate, random, account),
        agent: "aws-sdk-go-v2/1.32.7 os/linux lang/go#1.23.4 md/GOOS#linux md/GOARCH#amd64 api/ec2#1.198.1"
            .to_owned(),
        endpoint: random.chance(0.5),
        name: session,
        ..Identity::default()
    }
}

const OIDC: &str = "oidc.eks.eu-central-1.amazonaws.com/id/8F2C6E1A9B0D4C7E";

const WORKLOADS: [(&str, &str, &str); 7] = [
    (
        "shop-api",
        "botocore-session-1763",
        "Boto3/1.35.71 md/Botocore#1.35.71 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.12.7",
    ),
    (
        "orders",
        "aws-sdk-java-1763",
        "aws-sdk-java/2.29.23 Linux/6.1 OpenJDK_64-Bit_Server_VM/21.0.5 Java/21.0.5 vendor/Amazon.com_Inc.",
    ),
    (
        "payments",
        "aws-sdk-java-1764",
        "aws-sdk-java/2.29.23 Linux/6.1 OpenJDK_64-Bit_Server_VM/21.0.5 Java/21.0.5 vendor/Amazon.com_Inc.",
    ),
    ("external-dns", "1763790000000000000", "external-dns/v0.15.0"),
    (
        "ebs-csi-controller",
        "1763790000000000001",
        "aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23.3 api/ec2#1.197.0",
    ),
    (
        "karpenter",
        "1763790000000000002",
        "aws-sdk-go-v2/1.32.6 os/linux lang/go#1.23.3 app/karpenter.sh-1.1.0",
    ),
    ("log-shipper", "1763790000000000003", "aws-sdk-rust/1.3.5 os/linux lang/rust/1.95.0"),
];

/// A pod with a role of its own (IRSA).
pub fn workload(estate: &Estate, random: &mut Random, account: usize, second: i64) -> Identity {
    let &(name, session, agent) = random.pick(&WORKLOADS);
    Identity {
        json: assumed(&Role {
            account: &estate.accounts[account].id,
            name: &format!("irsa-{name}"),
            path: "/eks/",
            session,
            second,
            federation: Some(OIDC),
            delivery: false,
            invoked_by: None,
        }),
        address: nat_address(estate, random, account),
        agent: agent.to_owned(),
        endpoint: random.chance(0.6),
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// A pod exchanging its service account token for a role.
pub fn web_identity(random: &mut Random) -> Identity {
    let &(name, _, agent) = random.pick(&WORKLOADS);
    Identity {
        json: format!(
            r#"{{"type":"WebIdentityUser","principalId":"arn:aws:iam::oidc-provider/{OIDC}:sts.amazonaws.com:system:serviceaccount:shop:{name}","userName":"system:serviceaccount:shop:{name}","identityProvider":"{OIDC}"}}"#
        ),
        address: format!("18.184.{}.{}", random.below(4), random.between(1, 20)),
        agent: agent.to_owned(),
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// The deployment pipeline, through its OIDC role.
pub fn pipeline(estate: &Estate, random: &mut Random, account: usize, second: i64) -> Identity {
    Identity {
        json: assumed(&Role {
            account: &estate.accounts[account].id,
            name: "deploy-pipeline",
            path: "/",
            session: "GitHubActions",
            second,
            federation: None,
            delivery: false,
            invoked_by: None,
        }),
        // Two runners with fixed addresses.
        address: format!("20.103.77.{}", random.pick(&[18, 19])),
        agent: "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-aws/5.80.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.32.5".to_owned(),
        name: "deploy-pipeline".to_owned(),
        ..Identity::default()
    }
}

/// Somebody of the team, through single sign-on.
pub fn person(estate: &Estate, random: &mut Random, account: usize, second: i64) -> Identity {
    const PEOPLE: [(&str, &str); 6] = [
        ("alice@example.com", "ReadOnlyAccess"),
        ("bob@example.com", "PowerUserAccess"),
        ("carol@example.com", "ReadOnlyAccess"),
        ("dinesh@example.com", "PowerUserAccess"),
        ("erin@example.com", "SecurityAudit"),
        ("farid@example.com", "ReadOnlyAccess"),
    ];
    let &(name, set) = random.pick(&PEOPLE);
    let console = random.chance(0.55);
    Identity {
        json: assumed(&Role {
            account: &estate.accounts[account].id,
            name: &format!("AWSReservedSSO_{set}_{}", estate.sso_suffix),
            path: "/aws-reserved/sso.amazonaws.com/eu-central-1/",
            session: name,
            second,
            federation: None,
            delivery: false,
            invoked_by: None,
        }),
        address: if random.chance(0.7) { office_address(random) } else { benign_address(random) }.to_string(),
        agent: if console {
            BROWSER.to_owned()
        } else {
            "aws-cli/2.22.7 md/awscrt#0.23.4 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.6 md/pyimpl#CPython cfg/retry-mode#standard md/installer#source md/prompt#off md/command#ec2.describe-instances".to_owned()
        },
        console,
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// A program with long-lived keys.
pub fn automation(estate: &Estate, random: &mut Random, account: usize) -> Identity {
    const USERS: [(&str, &str); 3] = [
        ("backup-agent", "[Boto3/1.26.165 Python/3.9.20 Linux/5.10.230 Botocore/1.29.165]"),
        ("metrics-reader", "Boto3/1.35.71 md/Botocore#1.35.71 ua/2.0 os/linux#6.1 lang/python#3.11.10"),
        ("inventory", "aws-cli/1.36.14 md/Botocore#1.35.73 ua/2.0 os/linux#5.15 lang/python#3.9.20"),
    ];
    let &(name, agent) = random.pick(&USERS);
    let address = nat_address(estate, random, account);
    user(&estate.accounts[account].id, name, address, agent)
}

/// An AWS service on its own behalf.
pub fn service(random: &mut Random, source: &str) -> Identity {
    const SERVICES: [&str; 6] = [
        "ec2.amazonaws.com",
        "autoscaling.amazonaws.com",
        "eks.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
        "config.amazonaws.com",
        "cloudtrail.amazonaws.com",
    ];
    let by = if source == "kms.amazonaws.com" { "cloudtrail.amazonaws.com" } else { random.pick(&SERVICES) };
    Identity {
        json: format!(r#"{{"type":"AWSService","invokedBy":"{by}"}}"#),
        address: by.to_owned(),
        agent: by.to_owned(),
        service: true,
        name: by.to_owned(),
        ..Identity::default()
    }
}

/// A service-linked role.
pub fn service_role(estate: &Estate, random: &mut Random, account: usize, second: i64) -> Identity {
    const ROLES: [(&str, &str, &str); 4] = [
        ("AWSServiceRoleForConfig", "configLambdaExecution", "config.amazonaws.com"),
        ("AWSServiceRoleForAutoScaling", "AutoScaling", "autoscaling.amazonaws.com"),
        (
            "AWSServiceRoleForElasticLoadBalancing",
            "ElasticLoadBalancing",
            "elasticloadbalancing.amazonaws.com",
        ),
        ("AWSServiceRoleForAmazonEKS", "aws-eks", "eks.amazonaws.com"),
    ];
    let &(name, session, by) = random.pick(&ROLES);
    Identity {
        json: assumed(&Role {
            account: &estate.accounts[account].id,
            name,
            path: &format!("/aws-service-role/{by}/"),
            session,
            second,
            federation: None,
            delivery: false,
            invoked_by: Some(by),
        }),
        address: by.to_owned(),
        agent: by.to_owned(),
        service: true,
        name: name.to_owned(),
        ..Identity::default()
    }
}

/// Somebody signing in to the console with a second factor.
pub fn sign_in(estate: &Estate, random: &mut Random, account: usize) -> Identity {
    let id = &estate.accounts[account].id;
    let name = *random.pick(&["olivia", "peter"]);
    let principal = unique_id("AIDA", id, name);
    Identity {
        json: format!(
            r#"{{"type":"IAMUser","principalId":"{principal}","accountId":"{id}","arn":"arn:aws:iam::{id}:user/{name}","userName":"{name}"}}"#
        ),
        address: office_address(random).to_string(),
        agent: BROWSER.to_owned(),
        name: name.to_owned(),
        ..Identity::default()
    }
}
