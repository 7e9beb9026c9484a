//! Attacks that show in CloudTrail.

use super::{Label, moment, scaled, span};
use crate::loggen::cloudtrail::event::{Event, quoted};
use crate::loggen::cloudtrail::identity::{BROWSER, Identity, console_user, root, unique_id, user};
use crate::loggen::estate::planted_address;
use crate::loggen::{Estate, Plan, Random};

const IAM: &str = "iam.amazonaws.com";
const TRAIL: &str = "cloudtrail.amazonaws.com";
const S3: &str = "s3.amazonaws.com";
const EC2: &str = "ec2.amazonaws.com";

struct Stage<'a> {
    plan: &'a Plan,
    estate: &'a Estate,
    random: Random,
    events: Vec<Event>,
    labels: Vec<Label>,
    account: usize,
}

/// All account attacks of `plan`, events sorted by time.
pub fn plant(plan: &Plan, estate: &Estate) -> (Vec<Event>, Vec<Label>) {
    if plan.attacks <= 0.0 || plan.cloudtrail == 0 {
        return (Vec::new(), Vec::new());
    }
    let production = estate.accounts.len() - 1;
    let random = Random::new(plan.seed, "account attacks");
    let mut stage =
        Stage { plan, estate, random, events: Vec::new(), labels: Vec::new(), account: production };
    stage.root_usage();
    stage.trail_stopped();
    stage.login_without_mfa();
    stage.login_failures();
    stage.key_for_other_user();
    stage.bucket_opened();
    stage.secrets_read();
    stage.ssh_opened();
    stage.snapshot_shared();
    let Stage { mut events, mut labels, .. } = stage;
    // A plan with fewer events than attacks keeps the earliest ones and their labels say so.
    events.sort_by_key(|event| event.second);
    let kept = events.len().min(plan.cloudtrail as usize);
    if kept < events.len() {
        let last = events[kept.saturating_sub(1)].second;
        events.truncate(kept);
        labels.retain(|label| label.last < last);
    }
    (events, labels)
}

impl Stage<'_> {
    fn id(&self) -> String {
        self.estate.accounts[self.account].id.clone()
    }

    fn address(&mut self) -> String {
        planted_address(&mut self.random).to_string()
    }

    fn user(&mut self, name: &str) -> Identity {
        let address = self.address();
        user(&self.id(), name, address, "aws-cli/2.15.30 Python/3.11.8 Linux/6.6.15 exe/x86_64 prompt/off")
    }

    fn call(
        &mut self,
        identity: &Identity,
        second: i64,
        source: &str,
        name: &str,
        request: &str,
    ) -> &mut Event {
        let mut event = Event::call(&mut self.random, identity.clone(), self.account, second, source, name);
        event.request = request.to_owned();
        self.events.push(event);
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn label(&mut self, kind: &str, entity: &str, target: &str, techniques: &[&str], first_event: usize) {
        let events = &self.events[first_event..];
        self.labels.push(Label {
            kind: kind.to_owned(),
            table: "cloudtrail".to_owned(),
            entity: entity.to_owned(),
            target: target.to_owned(),
            techniques: techniques.iter().map(|&t| t.to_owned()).collect(),
            first: events.iter().map(|event| event.second).min().unwrap_or_default(),
            last: events.iter().map(|event| event.second).max().unwrap_or_default(),
            count: events.len() as u64,
        });
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:user/{name}", self.id())
    }

    /// The root user signs in, looks around and makes itself a key.
    fn root_usage(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.22);
        let address = self.address();
        let id = self.id();
        let identity = root(&id, address.clone(), at);
        let login = Identity {
            json: format!(
                r#"{{"type":"Root","principalId":"{id}","arn":"arn:aws:iam::{id}:root","accountId":"{id}","accessKeyId":""}}"#
            ),
            ..identity.clone()
        };
        self.console_login(login, at, true, "Yes");
        self.call(&identity, at + 40, IAM, "GetAccountSummary", "null").read_only = true;
        let key = unique_id("AKIA", &id, "root key");
        self.call(&identity, at + 65, IAM, "CreateAccessKey", "null").response = format!(
            r#"{{"accessKey":{{"accessKeyId":"{key}","status":"Active","createDate":"Nov 22, 2026, 9:46:15 AM"}}}}"#
        );
        self.label("root_usage", &format!("arn:aws:iam::{id}:root"), &address, &["T1078"], from);
    }

    /// Somebody switches the audit trail off, then removes it.
    fn trail_stopped(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.58);
        let name = Estate::planted_users()[0];
        let identity = self.user(name);
        let trail = format!("arn:aws:cloudtrail:eu-central-1:{}:trail/audit", self.id());
        let request = format!(r#"{{"name":"{trail}"}}"#);
        self.call(&identity, at, TRAIL, "StopLogging", &request);
        self.call(&identity, at + 95, TRAIL, "DeleteTrail", &request);
        self.label("cloudtrail_stopped", &self.arn(name), &trail, &["T1562", "T1685"], from);
    }

    fn console_login(&mut self, identity: Identity, second: i64, success: bool, mfa: &str) {
        let event = self.call(&identity, second, "signin.amazonaws.com", "ConsoleLogin", "null");
        event.kind = "AwsConsoleSignIn";
        event.additional = Some(format!(
            r#"{{"LoginTo":"https://console.aws.amazon.com/console/home?hashArgs=%23&isauthcode=true","MobileVersion":"No","MFAUsed":"{mfa}"}}"#
        ));
        let outcome = if success { "Success" } else { "Failure" };
        event.response = format!(r#"{{"ConsoleLogin":"{outcome}"}}"#);
        if !success {
            event.error = Some((String::new(), "Failed authentication".to_owned()));
        }
    }

    fn sign_in_identity(&mut self, name: &str, address: String, known: bool) -> Identity {
        let id = self.id();
        let json = if known {
            let principal = unique_id("AIDA", &id, name);
            format!(
                r#"{{"type":"IAMUser","principalId":"{principal}","arn":"arn:aws:iam::{id}:user/{name}","accountId":"{id}","userName":"{name}"}}"#
            )
        } else {
            format!(
                r#"{{"type":"IAMUser","accountId":"{id}","accessKeyId":"","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}}"#
            )
        };
        Identity { json, address, agent: BROWSER.to_owned(), name: name.to_owned(), ..Identity::default() }
    }

    fn login_without_mfa(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.50);
        let name = Estate::planted_users()[1];
        let address = self.address();
        let identity = self.sign_in_identity(name, address.clone(), true);
        self.console_login(identity, at, true, "No");
        self.label("console_login_without_mfa", &self.arn(name), &address, &["T1078"], from);
    }

    /// A guessed password list against one user, and names that do not exist.
    fn login_failures(&mut self) {
        let from = self.events.len();
        let (start, length) = (moment(self.plan, 0.44), span(self.plan, 600));
        let name = Estate::planted_users()[2];
        let address = self.address();
        let attempts = scaled(self.plan, 40);
        for number in 0..attempts {
            let at = start + number as i64 * length / attempts as i64;
            let identity = self.sign_in_identity(name, address.clone(), number % 8 != 7);
            self.console_login(identity, at, false, "No");
            if number % 8 == 7
                && let Some(event) = self.events.last_mut()
            {
                event.error = Some((String::new(), "No username found in supplied account".to_owned()));
            }
        }
        self.label("console_login_failures", &self.arn(name), &address, &["T1110"], from);
    }

    fn key_for_other_user(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.62);
        let (name, victim) = (Estate::planted_users()[3], "billing-admin");
        let identity = self.user(name);
        let key = unique_id("AKIA", &self.id(), "second key");
        self.call(&identity, at, IAM, "ListUsers", "null").read_only = true;
        self.call(&identity, at + 20, IAM, "CreateAccessKey", &format!(r#"{{"userName":"{victim}"}}"#))
            .response = format!(
            r#"{{"accessKey":{{"userName":"{victim}","accessKeyId":"{key}","status":"Active","createDate":"Nov 22, 2026, 9:46:15 AM"}}}}"#
        );
        let policy =
            r#"{"userName":"billing-admin","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#;
        self.call(&identity, at + 45, IAM, "AttachUserPolicy", policy);
        self.label("access_key_for_other_user", &self.arn(name), victim, &["T1098", "T1136"], from);
    }

    /// The public access block goes, then a policy lets everybody read.
    fn bucket_opened(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.70);
        let name = Estate::planted_users()[4];
        let identity = self.user(name);
        let bucket = "example-prod-customer-export";
        let host = format!(r#""bucketName":"{bucket}","Host":"{bucket}.s3.eu-central-1.amazonaws.com""#);
        let resources = Some(format!(
            r#"[{{"accountId":"{}","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::{bucket}"}}]"#,
            self.id()
        ));
        let block = format!(
            r#"{{"publicAccessBlock":"",{host},"PublicAccessBlockConfiguration":{{"xmlns":"http://s3.amazonaws.com/doc/2006-03-01/","RestrictPublicBuckets":false,"BlockPublicPolicy":false,"BlockPublicAcls":false,"IgnorePublicAcls":false}}}}"#
        );
        self.call(&identity, at, S3, "PutBucketPublicAccessBlock", &block).resources = resources.clone();
        let policy = format!(
            r#"{{"bucketPolicy":{{"Version":"2012-10-17","Statement":[{{"Sid":"AllowAll","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}]}},{host},"policy":""}}"#
        );
        self.call(&identity, at + 30, S3, "PutBucketPolicy", &policy).resources = resources;
        self.label(
            "bucket_made_public",
            &self.arn(name),
            bucket,
            &["T1537", "T1530", "T1567", "T1562", "T1685"],
            from,
        );
    }

    fn secrets_read(&mut self) {
        let from = self.events.len();
        let (start, length) = (moment(self.plan, 0.74), span(self.plan, 300));
        let identity = console_user_at(self, Estate::planted_users()[3], start);
        let secrets = scaled(self.plan, 60);
        for number in 0..secrets {
            let at = start + number as i64 * length / secrets as i64;
            let request =
                format!(r#"{{"secretId":{}}}"#, quoted(&format!("prod/service-{number}/credentials")));
            self.call(&identity, at, "secretsmanager.amazonaws.com", "GetSecretValue", &request).read_only =
                true;
        }
        self.label("secrets_read_in_bulk", &self.arn(Estate::planted_users()[3]), "prod/*", &["T1555"], from);
    }

    fn ssh_opened(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.40);
        let name = Estate::planted_users()[0];
        let identity = self.user(name);
        let request = r#"{"groupId":"sg-0f3a91c27d5be8640","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"groups":{},"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]},"ipv6Ranges":{},"prefixListIds":{}}]}}"#;
        let response = r#"{"requestId":"6f3c2a31-0c3b-4f4e-9a5f-5a0e6f3f7a10","_return":true,"securityGroupRuleSet":{"items":[{"groupId":"sg-0f3a91c27d5be8640","securityGroupRuleId":"sgr-0b8a6d1e5c2f97340","isEgress":false,"ipProtocol":"tcp","fromPort":22,"toPort":22,"cidrIpv4":"0.0.0.0/0"}]}}"#;
        self.call(&identity, at, EC2, "AuthorizeSecurityGroupIngress", request).response =
            response.to_owned();
        self.label(
            "ssh_opened_to_the_world",
            &self.arn(name),
            "sg-0f3a91c27d5be8640",
            &["T1562", "T1686", "T1048", "T1133", "T1021"],
            from,
        );
    }

    fn snapshot_shared(&mut self) {
        let from = self.events.len();
        let at = moment(self.plan, 0.78);
        let name = Estate::planted_users()[4];
        let identity = self.user(name);
        let request = r#"{"snapshotId":"snap-0d4e8b2f6a1c93570","createVolumePermission":{"add":{"items":[{"userId":"999988887777"}]}},"attributeType":"CREATE_VOLUME_PERMISSION"}"#;
        self.call(&identity, at, EC2, "ModifySnapshotAttribute", request).response =
            r#"{"requestId":"0f6b1a0e-3f55-4c9a-8a3c-0b7b5d0c9f11","_return":true}"#.to_owned();
        self.label("snapshot_shared", &self.arn(name), "999988887777", &["T1537"], from);
    }
}

fn console_user_at(stage: &mut Stage<'_>, name: &str, second: i64) -> Identity {
    let address = stage.address();
    let id = stage.id();
    let mut identity = console_user(&id, name, address, second, false);
    identity.agent = "Boto3/1.26.90 Python/3.10.6 Linux/5.15 Botocore/1.29.90".to_owned();
    identity.console = false;
    identity
}
