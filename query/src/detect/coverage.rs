//! What of the types of GuardDuty our rules find: the page `docs/coverage.md`.
//!
//! The types are those GuardDuty makes of flow logs and CloudTrail. A type is claimed only with a rule
//! that has a case it finds and one it leaves alone, which the test of the page checks; a rule that
//! asks a threat list finds what is on the list it is given. What is not found says why.

use super::library::Library;

/// How a type is covered.
#[derive(Debug, Clone, Copy)]
enum By {
    /// By any of these rules.
    Rules(&'static [&'static str]),
    /// Not at all, and why.
    Nothing(&'static str),
}

use By::{Nothing, Rules};

const NO_GUARDRAIL: &str = "guardrail verdicts are not in CloudTrail's events but in model invocation logs";
const NO_INVENTORY: &str = "needs the inventory of own addresses and endpoints; a public address is found by `instance-credentials-used-outside`";
const NO_AGENT: &str = "needs runtime agents";

/// Source of the types, and the types.
const TYPES: &[(&str, &[(&str, By)])] = &[
    (
        "EC2 and Lambda, flow logs",
        &[
            ("Backdoor:EC2/C&CActivity.B", Rules(&["flow-c2"])),
            ("Backdoor:EC2/DenialOfService.Dns", Rules(&["flow-dos-dns"])),
            ("Backdoor:EC2/DenialOfService.Tcp", Rules(&["flow-dos-tcp"])),
            ("Backdoor:EC2/DenialOfService.Udp", Rules(&["flow-dos-udp"])),
            ("Backdoor:EC2/DenialOfService.UdpOnTcpPorts", Rules(&["flow-dos-udp-on-tcp-ports"])),
            ("Backdoor:EC2/DenialOfService.UnusualProtocol", Rules(&["flow-dos-unusual-protocol"])),
            ("Backdoor:EC2/Spambot", Rules(&["flow-smtp-burst"])),
            ("Behavior:EC2/NetworkPortUnusual", Rules(&["flow-new-server-port"])),
            (
                "Behavior:EC2/TrafficVolumeUnusual",
                Rules(&["flow-volume-unusual", "flow-large-outbound-transfer"]),
            ),
            ("CryptoCurrency:EC2/BitcoinTool.B", Rules(&["flow-mining-address", "flow-mining-port"])),
            ("DefenseEvasion:EC2/UnusualDNSResolver", Rules(&["flow-new-dns-resolver"])),
            ("DefenseEvasion:EC2/UnusualDoHActivity", Rules(&["flow-new-doh-resolver"])),
            ("DefenseEvasion:EC2/UnusualDoTActivity", Rules(&["flow-new-dot-resolver"])),
            ("Impact:EC2/PortSweep", Rules(&["flow-port-sweep", "flow-icmp-sweep"])),
            ("Impact:EC2/WinRMBruteForce", Rules(&["flow-winrm-brute-force"])),
            ("Recon:EC2/PortProbeEMRUnprotectedPort", Rules(&["flow-port-probe-emr"])),
            ("Recon:EC2/PortProbeUnprotectedPort", Rules(&["flow-port-probe"])),
            ("Recon:EC2/Portscan", Rules(&["flow-port-scan", "flow-slow-scan-internal"])),
            ("Trojan:EC2/BlackholeTraffic", Rules(&["flow-sinkhole"])),
            ("Trojan:EC2/DropPoint", Rules(&["flow-drop-point"])),
            ("UnauthorizedAccess:EC2/MaliciousIPCaller.Custom", Rules(&["flow-threat-list"])),
            ("UnauthorizedAccess:EC2/RDPBruteForce", Rules(&["flow-rdp-brute-force"])),
            (
                "UnauthorizedAccess:EC2/SSHBruteForce",
                Rules(&["flow-ssh-brute-force", "flow-ssh-brute-force-internal"]),
            ),
            ("UnauthorizedAccess:EC2/TorClient", Rules(&["flow-tor-client"])),
            ("UnauthorizedAccess:EC2/TorRelay", Rules(&["flow-tor-relay"])),
            ("Backdoor:Lambda/C&CActivity.B", Rules(&["flow-c2"])),
            ("CryptoCurrency:Lambda/BitcoinTool.B", Rules(&["flow-mining-address", "flow-mining-port"])),
            ("Trojan:Lambda/BlackholeTraffic", Rules(&["flow-sinkhole"])),
            ("Trojan:Lambda/DropPoint", Rules(&["flow-drop-point"])),
            ("UnauthorizedAccess:Lambda/MaliciousIPCaller.Custom", Rules(&["flow-threat-list"])),
            ("UnauthorizedAccess:Lambda/TorClient", Rules(&["flow-tor-client"])),
            ("UnauthorizedAccess:Lambda/TorRelay", Rules(&["flow-tor-relay"])),
        ],
    ),
    (
        "IAM, CloudTrail management events",
        &[
            ("CredentialAccess:IAMUser/AnomalousBehavior", Rules(&["new-credential-access"])),
            ("CredentialAccess:IAMUser/CompromisedCredentials", Rules(&["compromised-key-quarantined"])),
            ("DefenseEvasion:IAMUser/AnomalousBehavior", Rules(&["new-defense-evasion"])),
            ("DefenseEvasion:IAMUser/BedrockLoggingDisabled", Rules(&["bedrock-logging-disabled"])),
            ("Discovery:IAMUser/AnomalousBehavior", Rules(&["new-discovery"])),
            ("Exfiltration:IAMUser/AnomalousBehavior", Rules(&["new-exfiltration"])),
            ("Impact:IAMUser/AnomalousBehavior", Rules(&["new-impact"])),
            ("InitialAccess:IAMUser/AnomalousBehavior", Rules(&["new-initial-access"])),
            ("PenTest:IAMUser/KaliLinux, ParrotLinux, PentooLinux", Rules(&["penetration-test-user-agent"])),
            ("Persistence:IAMUser/AnomalousBehavior", Rules(&["new-persistence"])),
            ("Policy:IAMUser/RootCredentialUsage", Rules(&["root-credentials-used"])),
            ("Policy:IAMUser/ShortTermRootCredentialUsage", Rules(&["root-session-short-term"])),
            ("PrivilegeEscalation:IAMUser/AnomalousBehavior", Rules(&["new-privilege-escalation"])),
            ("Recon:IAMUser/MaliciousIPCaller", Rules(&["caller-listed"])),
            ("Recon:IAMUser/MaliciousIPCaller.Custom", Rules(&["caller-on-own-list"])),
            ("Recon:IAMUser/TorIPCaller", Rules(&["caller-tor"])),
            (
                "Stealth:IAMUser/CloudTrailLoggingDisabled",
                Rules(&["cloudtrail-stopped", "cloudtrail-deleted", "cloudtrail-updated"]),
            ),
            ("Stealth:IAMUser/PasswordPolicyChange", Rules(&["password-policy-weakened"])),
            ("UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B", Rules(&["console-logins-far-apart"])),
            ("UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.InsideAWS", Nothing(NO_INVENTORY)),
            (
                "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
                Rules(&["instance-credentials-used-outside"]),
            ),
            ("UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration.OutsideAWS", Nothing(NO_INVENTORY)),
            ("UnauthorizedAccess:IAMUser/MaliciousIPCaller", Rules(&["caller-listed"])),
            ("UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom", Rules(&["caller-on-own-list"])),
            ("UnauthorizedAccess:IAMUser/TorIPCaller", Rules(&["caller-tor"])),
        ],
    ),
    (
        "S3, CloudTrail management events and data events",
        &[
            ("Policy:S3/AccountBlockPublicAccessDisabled", Rules(&["s3-public-access-block-removed"])),
            ("Policy:S3/BucketBlockPublicAccessDisabled", Rules(&["s3-public-access-block-removed"])),
            ("Policy:S3/BucketAnonymousAccessGranted", Rules(&["s3-bucket-policy-opened", "s3-public-acl"])),
            ("Policy:S3/BucketPublicAccessGranted", Rules(&["s3-bucket-policy-opened", "s3-public-acl"])),
            ("Stealth:S3/ServerAccessLoggingDisabled", Rules(&["s3-access-logging-disabled"])),
            ("Discovery:S3/AnomalousBehavior", Rules(&["new-s3-read"])),
            ("Exfiltration:S3/AnomalousBehavior", Rules(&["new-s3-read"])),
            ("Impact:S3/AnomalousBehavior.Delete", Rules(&["new-s3-write", "s3-mass-deletion"])),
            ("Impact:S3/AnomalousBehavior.Permission", Rules(&["new-s3-write"])),
            ("Impact:S3/AnomalousBehavior.Write", Rules(&["new-s3-write"])),
            ("Discovery, Exfiltration, Impact:S3/MaliciousIPCaller", Rules(&["caller-listed"])),
            ("Discovery, UnauthorizedAccess:S3/MaliciousIPCaller.Custom", Rules(&["caller-on-own-list"])),
            ("Discovery, UnauthorizedAccess:S3/TorIPCaller", Rules(&["caller-tor"])),
            ("PenTest:S3/KaliLinux, ParrotLinux, PentooLinux", Rules(&["penetration-test-user-agent"])),
        ],
    ),
    (
        "AI protection",
        &[
            ("Impact:IAMUser/AnomalousModelInvocation", Rules(&["new-model-invocation"])),
            ("Impact:IAMUser/CostHarvesting", Nothing("token counts are in model invocation logs")),
            ("Impact:IAMUser/PromptInjection.Direct", Nothing(NO_GUARDRAIL)),
        ],
    ),
    (
        "Attack sequences",
        &[
            (
                "AttackSequence:IAM/CompromisedCredentials",
                Rules(&["attack-sequence-account", "attack-sequence-blind-then-act"]),
            ),
            ("AttackSequence:S3/CompromisedData", Rules(&["attack-sequence-blind-then-act"])),
            (
                "AttackSequence:EC2/CompromisedInstanceGroup",
                Nothing("no rule joins findings of flows with those of instances yet"),
            ),
            ("AttackSequence:EKS/CompromisedCluster", Nothing("no rule joins audit events with flows yet")),
            ("AttackSequence:ECS/CompromisedCluster", Nothing(NO_AGENT)),
        ],
    ),
    (
        "Custom detection rules, CloudTrail management events",
        &[
            ("EC2PasswordDataRetrieved", Rules(&["ec2-password-data-mass"])),
            ("RDSMasterPasswordReset", Rules(&["rds-master-password-changed"])),
            ("EC2TerminationProtectionEnabled", Rules(&["termination-protection-enabled"])),
            ("VPCFlowLogsDeleted", Rules(&["flow-logs-deleted"])),
            ("OrganizationLeaveAttempt", Rules(&["organization-left"])),
            ("OrganizationPolicyDisabled", Rules(&["organization-policy-removed"])),
            ("RDSIAMAuthDisabled", Rules(&["rds-iam-authentication-disabled"])),
            ("DNSQueryLogsDeleted", Rules(&["dns-query-logs-deleted"])),
            ("S3CustomerProvidedKeysEnabled", Rules(&["s3-customer-key-encryption"])),
            ("SageMakerLifecycleConfigModified", Rules(&["sagemaker-lifecycle-config"])),
            ("AMIExternalAccess", Rules(&["ami-shared"])),
            ("EBSSnapshotExternalAccess", Rules(&["ebs-snapshot-shared"])),
            ("RDSSnapshotPubliclyShared", Rules(&["rds-snapshot-shared"])),
            ("S3BucketPolicyExternalAccess", Rules(&["s3-bucket-policy-opened"])),
            ("S3LifecycleRapidExpiration", Rules(&["s3-lifecycle-rapid-expiration"])),
            (
                "SESAccountSendingEnabled, SESProductionAccessEnabled, SESDomainIdentityVerified",
                Rules(&["ses-prepared-for-sending"]),
            ),
            ("ConsoleLoginWithoutMFA", Rules(&["console-login-without-mfa"])),
            ("RDSPubliclyAccessible", Rules(&["rds-made-public"])),
            ("EC2InstanceSSHKeyPushed", Rules(&["ec2-instance-connect"])),
            ("EC2UserDataModified", Rules(&["ec2-user-data-modified"])),
            ("EC2SecurityGroupPublicSSH", Rules(&["security-group-open-to-world"])),
            ("IAMAccessKeyCreated", Rules(&["access-key-created", "access-key-created-for-other"])),
            ("IAMRoleTrustPolicyModified", Rules(&["role-trust-policy-changed"])),
            ("IAMUserLoginProfileCreated", Rules(&["login-profile-created"])),
            ("IAMUserLoginProfileUpdated", Rules(&["login-profile-updated"])),
            (
                "LambdaFunctionPublicAccess, LambdaFunctionUrlPublicAccess",
                Rules(&["lambda-opened-to-public"]),
            ),
            ("RolesAnywhereTrustAnchorCreated", Rules(&["rolesanywhere-trust-anchor"])),
            ("AdminPolicyAttachedToRole, AdminPolicyAttachedToUser", Rules(&["admin-policy-attached"])),
            ("BedrockServiceCredentialCreated", Rules(&["service-credential-created"])),
            (
                "SESFullAccessPolicyAttachedToRole, SESFullAccessPolicyAttachedToUser",
                Rules(&["ses-full-access-attached"]),
            ),
        ],
    ),
];

/// Every rule the page names.
pub fn rules() -> impl Iterator<Item = &'static str> {
    TYPES
        .iter()
        .flat_map(|(_, types)| types.iter())
        .filter_map(|(_, by)| match by {
            Rules(rules) => Some(rules.iter().copied()),
            Nothing(_) => None,
        })
        .flatten()
}

/// `docs/coverage.md`.
pub fn page(library: &Library) -> String {
    let mut page = String::from(
        "# Coverage\n\n<!-- Generated from query/src/detect/coverage.rs by `./dev docs`; do not edit. -->\n\n\
         The types GuardDuty makes of flow logs and CloudTrail, and the rules that find the same. Each rule has cases\n\
         beside it in `query/detections`, some that it must find and some that it must leave alone; `logq detect --check`\n\
         runs them. Flow rules work for IPv4 and IPv6. Rules marked `needs` ask a threat list and find what is on it.\nWhich rule answers to which type was decided by reading; no finding was compared with GuardDuty's own.\n",
    );
    for (title, types) in TYPES {
        page.push_str(&format!("\n## {title}\n\n| type | rules |\n|---|---|\n"));
        for (name, by) in *types {
            let by = match by {
                Rules(rules) => rules.iter().map(|rule| cell(library, rule)).collect::<Vec<_>>().join(", "),
                Nothing(reason) => format!("not found: {reason}"),
            };
            page.push_str(&format!("| {name} | {by} |\n"));
        }
    }
    page
}

fn cell(library: &Library, rule: &str) -> String {
    let needs = library.sql.iter().find(|found| found.meta.id == rule).map(|found| found.needs.join(" "));
    match needs.filter(|needs| !needs.is_empty()) {
        Some(needs) => format!("`{rule}` (needs `{needs}`)"),
        None => format!("`{rule}`"),
    }
}
