"""What each role can do and can't, decided by the evaluator from the policies that Terraform applied.

Every line of the two lists is a call; the forbidden ones are what docs/security.md promises.
"""

import json
import os
import sys
from pathlib import Path

from evaluator import Principal, Request, decide

REGION = "eu-west-1"
FULL_ACCESS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ADMIN = [FULL_ACCESS]


class World:
    """The policies of one composition and who is who."""

    def __init__(self, name, data):
        self.name = name
        self.policies = data["policies"]
        self.variables = data["variables"]
        self.accounts = data["variables"]["accounts"]
        self.home = self.accounts.get("logging", self.accounts["management"])
        self.prefix = data["variables"]["prefix"]
        self.organization = data["variables"]["organization_id"]
        self.buckets = data["outputs"]["buckets"]
        self.queue = f"arn:aws:sqs:{REGION}:{self.home}:{self.prefix}-inputs"
        self.keys = {
            purpose: self.one("aws_kms_key", f"module.storage.module.{purpose}_key.")["arn"] for purpose in ("inputs", "lake")
        }
        self.trail = f"arn:aws:cloudtrail:{REGION}:{self.accounts['management']}:trail/{self.prefix}-organization"

    def one(self, kind, within):
        found = [p for p in self.policies if p["type"] == kind and within in p["address"]]
        if len(found) != 1:
            raise SystemExit(f"simulate: {self.name}: {len(found)} policies of {kind} in {within}")
        return found[0]

    def resource_policy(self, arn):
        if arn.startswith("arn:aws:s3:::"):
            bucket = arn.split(":::")[1].split("/")[0]
            found = [p for p in self.policies if p["type"] == "aws_s3_bucket_policy" and p["name"] == bucket]
            return found[0]["document"] if found else None
        for purpose, key in self.keys.items():
            if arn == key:
                return self.one("aws_kms_key", f"module.storage.module.{purpose}_key.")["document"]
        if arn == self.queue:
            return self.one("aws_sqs_queue_policy", "module.queue.")["document"]
        if ":destination:" in arn:
            return self.one("aws_cloudwatch_log_destination_policy", "")["document"]
        return None

    def who(self, name):
        """Principal, its documents and the service control policies over it."""
        guardrails = self.one("aws_organizations_policy", "")["document"]
        kind, _, detail = name.partition(" ")
        if kind == "service":
            return Principal(service=detail), [], []
        if kind == "outsider":
            return Principal(arn="arn:aws:iam::999999999999:role/admin", organization="o-outsider"), ADMIN, []
        if kind == "collector":
            account, within = self.accounts[detail], f"module.{detail}.module.collector_role"
            role = f"{self.prefix}-collector"
        elif kind in ("admin", "terraform", "break-glass"):
            account, within, role = self.accounts.get(detail, self.home), None, kind
        else:
            account, role = self.home, f"{self.prefix}-{kind}" + (f"-{detail}" if detail else "")
            within = f"module.lake_roles.module.{kind}" + (f'["{detail}"]' if detail else "") + "."
        documents = ADMIN if within is None else [self.one("aws_iam_role_policy", within)["document"]]
        control = [] if account == self.accounts["management"] else [[FULL_ACCESS, guardrails]]
        principal = Principal(arn=f"arn:aws:iam::{account}:role/{role}", organization=self.organization)
        return principal, documents, control

    def ask(self, who, action, resource, context):
        principal, documents, control = self.who(who)
        resource = self.fill(resource)
        account = self.home
        parts = resource.split(":")
        if len(parts) > 4 and parts[4]:
            account = parts[4]
        request = Request(principal, action, resource, account, {k: self.fill(v) for k, v in context.items()})
        decision = decide(request, documents, self.resource_policy(resource), control)
        return decision

    def fill(self, text):
        """`{landing}` is a bucket's ARN, `{prod}` an account, `{lake_key}` a key."""
        values = {purpose: f"arn:aws:s3:::{bucket}" for purpose, bucket in self.buckets.items()}
        values.update({f"{k}_key": v for k, v in self.keys.items()}, queue=self.queue, trail=self.trail, home=self.home)
        values.update(self.accounts, organization=self.organization, region=REGION, prefix=self.prefix)
        return text.format(**values) if isinstance(text, str) else text


VIA_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
LANDS = {**VIA_S3, "kms:EncryptionContext:aws:s3:arn": "{landing}"}
SSE = {"s3:x-amz-server-side-encryption": "aws:kms"}
SSE_KEY = {**SSE, "s3:x-amz-server-side-encryption-aws-kms-key-id": "{inputs_key}"}
DESTINATION = "arn:aws:logs:{region}:{home}:destination:{prefix}-cloudwatch"
PLAIN = {"aws:SecureTransport": "false"}
OLD_TLS = {"s3:TlsVersion": "1.1"}
TRAIL = {"aws:SourceArn": "{trail}", "s3:x-amz-acl": "bucket-owner-full-control"}
FLOW = {"aws:SourceAccount": "{prod}", "s3:x-amz-acl": "bucket-owner-full-control"}
OBJECT = "part-0.parquet"

ALLOWED = [
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", SSE_KEY),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("collector dev", "s3:AbortMultipartUpload", "{landing}/{dev}/landing/app/dev/2026-11-22/node/0.jsonl.zst", {}),
    ("collector prod", "kms:GenerateDataKey", "{inputs_key}", LANDS),
    ("collector prod", "kms:Decrypt", "{inputs_key}", LANDS),
    ("collector prod", "logs:PutLogEvents", "arn:aws:logs:{region}:{prod}:log-group:/k8s/shop:log-stream:shop/api", {}),
    ("collector prod", "logs:CreateLogGroup", "arn:aws:logs:{region}:{prod}:log-group:/k8s/shop", {}),
    ("processor", "sqs:ReceiveMessage", "{queue}", {}),
    ("processor", "sqs:DeleteMessage", "{queue}", {}),
    ("processor", "sqs:ChangeMessageVisibility", "{queue}", {}),
    ("processor", "s3:GetObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("processor", "s3:GetObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/eu-west-1/2026/11/22/x.json.gz", {}),
    ("processor", "s3:PutObject", "{lake}/lake/cloudtrail/_delta_log/00000000000000000001.json", {}),
    ("processor", "s3:PutObject", "{lake}/lake/state/claims/000000000001.json", {}),
    ("processor", "s3:DeleteObject", "{lake}/lake/state/claims/000000000001.json", {}),
    ("processor", "s3:ListBucket", "{lake}", {"s3:prefix": "lake/cloudtrail/_delta_log/"}),
    ("processor", "kms:Decrypt", "{inputs_key}", VIA_S3),
    ("processor", "kms:Decrypt", "{inputs_key}", {"kms:ViaService": f"sqs.{REGION}.amazonaws.com"}),
    ("processor", "kms:GenerateDataKey", "{lake_key}", VIA_S3),
    ("maintenance", "s3:DeleteObject", "{lake}/lake/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:PutObject", "{archive}/archive/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:PutObjectRetention", "{archive}/archive/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:GetObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail-Digest/x.json.gz", {}),
    ("maintenance", "s3:GetLifecycleConfiguration", "{archive}", {}),
    ("operator", "cloudtrail:ListPublicKeys", "*", {}),
    ("analyst detect", "s3:GetObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("analyst detect", "s3:ListBucket", "{lake}", {"s3:prefix": "lake/app_log/_delta_log/"}),
    ("analyst network", "s3:GetObject", "{lake}/lake/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("analyst network", "s3:GetObject", "{lake}/lake/vpc_flow/_delta_log/_last_checkpoint", {}),
    ("analyst network", "kms:Decrypt", "{lake_key}", VIA_S3),
    ("operator", "s3:PutLifecycleConfiguration", "{archive}", {}),
    ("operator", "s3:RestoreObject", "{archive}/archive/vpc_flow/event_date=2020-01-01/" + OBJECT, {}),
    ("break-glass", "kms:DisableKey", "{lake_key}", {}),
    ("terraform", "s3:PutBucketPolicy", "{archive}", {}),
    ("terraform", "s3:PutEncryptionConfiguration", "{landing}", {}),
    ("service cloudtrail.amazonaws.com", "s3:PutObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz", TRAIL),
    ("service cloudtrail.amazonaws.com", "s3:GetBucketAcl", "{trails}", TRAIL),
    ("service cloudtrail.amazonaws.com", "kms:GenerateDataKey", "{inputs_key}", TRAIL),
    ("service delivery.logs.amazonaws.com", "s3:PutObject", "{landing}/flow/AWSLogs/{prod}/vpcflowlogs/x.log.gz", FLOW),
    ("service s3.amazonaws.com", "sqs:SendMessage", "{queue}", {"aws:SourceAccount": "{home}", "aws:SourceArn": "{landing}"}),
    ("service s3.amazonaws.com", "kms:GenerateDataKey", "{inputs_key}", {"aws:SourceAccount": "{home}"}),
    ("service logging.s3.amazonaws.com", "s3:PutObject", "{access}/lake/x", {"aws:SourceAccount": "{home}", "aws:SourceArn": "{lake}"}),
    ("admin prod", "logs:PutSubscriptionFilter", DESTINATION, {}),
]

FORBIDDEN = [
    # a node or a workload account that was taken over
    ("collector prod", "s3:GetObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("collector prod", "s3:DeleteObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("collector prod", "s3:ListBucket", "{landing}", {}),
    ("collector prod", "s3:PutObject", "{landing}/{dev}/landing/app/dev/2026-11-22/node/0.jsonl.zst", {}),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/other/2026-11-22/node/0.jsonl.zst", {}),
    ("collector prod", "s3:PutObject", "{landing}/flow/AWSLogs/{prod}/vpcflowlogs/forged.log.gz", {}),
    ("collector prod", "s3:PutObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/forged.json.gz", {}),
    ("collector prod", "s3:PutObject", "{lake}/lake/cloudtrail/_delta_log/00000000000000000001.json", {}),
    ("collector prod", "kms:Decrypt", "{inputs_key}", {}),
    ("collector prod", "kms:GenerateDataKey", "{lake_key}", VIA_S3),
    ("collector prod", "sqs:SendMessage", "{queue}", {}),
    ("collector prod", "sts:AssumeRole", "arn:aws:iam::{home}:role/{prefix}-processor", {}),
    ("collector prod", "logs:PutLogEvents", "arn:aws:logs:{region}:{prod}:log-group:/aws/eks/prod/cluster:log-stream:x", {}),
    ("collector prod", "logs:DeleteLogGroup", "arn:aws:logs:{region}:{prod}:log-group:/k8s/shop", {}),
    ("admin prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("admin prod", "s3:PutObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("admin prod", "s3:GetObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("admin prod", "s3:DeleteObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz", {}),
    ("admin prod", "kms:Decrypt", "{lake_key}", VIA_S3),
    ("admin prod", "cloudtrail:StopLogging", "{trail}", {}),
    ("admin prod", "ec2:DeleteFlowLogs", "arn:aws:ec2:{region}:{prod}:vpc-flow-log/fl-1", {}),
    ("admin prod", "kms:ScheduleKeyDeletion", "arn:aws:kms:{region}:{prod}:key/any", {}),
    # how a request comes
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", PLAIN),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", OLD_TLS),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", SSE),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {"s3:x-amz-server-side-encryption": "AES256"}),
    ("collector prod", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst",
     {**SSE, "s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu-west-1:999999999999:key/own"}),
    ("outsider", "s3:PutObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("outsider", "s3:GetObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("outsider", "kms:Decrypt", "{lake_key}", VIA_S3),
    ("outsider", "logs:PutSubscriptionFilter", DESTINATION, {}),
    # the processor, which reads hostile bytes
    ("processor", "s3:DeleteObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("processor", "s3:PutObject", "{archive}/archive/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("processor", "s3:GetObject", "{archive}/archive/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("processor", "s3:PutObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz", {}),
    ("processor", "s3:PutLifecycleConfiguration", "{lake}", {}),
    ("processor", "kms:Decrypt", "{lake_key}", {}),
    ("processor", "sqs:PurgeQueue", "{queue}", {}),
    ("processor", "sqs:SendMessage", "{queue}", {}),
    # maintenance
    ("maintenance", "s3:DeleteObject", "{archive}/archive/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:DeleteObjectVersion", "{archive}/archive/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:BypassGovernanceRetention", "{archive}/archive/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    ("maintenance", "s3:PutBucketObjectLockConfiguration", "{archive}", {}),
    ("maintenance", "s3:PutLifecycleConfiguration", "{archive}", {}),
    ("maintenance", "s3:DeleteObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz", {}),
    ("maintenance", "s3:DeleteObjectVersion", "{lake}/lake/vpc_flow/event_date=2026-11-22/" + OBJECT, {}),
    # analysts
    ("analyst network", "s3:GetObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("analyst network", "s3:GetObject", "{lake}/lake/vpc_flow/event_date=2026-10-22/" + OBJECT, {}),
    ("analyst network", "s3:ListBucket", "{lake}", {"s3:prefix": "lake/cloudtrail/_delta_log/"}),
    ("analyst network", "s3:ListBucket", "{lake}", {}),
    ("analyst detect", "s3:PutObject", "{lake}/lake/cloudtrail/_delta_log/00000000000000000009.json", {}),
    ("analyst detect", "s3:DeleteObject", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("analyst detect", "s3:GetObject", "{landing}/{prod}/landing/app/prod/2026-11-22/node/0.jsonl.zst", {}),
    ("analyst detect", "s3:GetObject", "{archive}/archive/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("analyst detect", "kms:GenerateDataKey", "{lake_key}", VIA_S3),
    # operators and administrators of the account that holds the evidence
    ("operator", "s3:DeleteObject", "{archive}/archive/vpc_flow/event_date=2020-01-01/" + OBJECT, {}),
    ("operator", "s3:PutObject", "{archive}/archive/vpc_flow/event_date=2020-01-01/" + OBJECT, {}),
    ("operator", "s3:PutBucketPolicy", "{archive}", {}),
    ("admin", "s3:DeleteObject", "{archive}/archive/vpc_flow/event_date=2020-01-01/" + OBJECT, {}),
    ("admin", "s3:DeleteObjectVersion", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz", {}),
    ("admin", "s3:PutBucketObjectLockConfiguration", "{archive}", {}),
    ("admin", "kms:ScheduleKeyDeletion", "{lake_key}", {}),
    ("admin", "kms:DisableKey", "{inputs_key}", {}),
    # services that act for somebody else
    ("service cloudtrail.amazonaws.com", "s3:PutObject", "{trails}/AWSLogs/{organization}/{prod}/CloudTrail/x.json.gz",
     {**TRAIL, "aws:SourceArn": "arn:aws:cloudtrail:eu-west-1:999999999999:trail/own"}),
    ("service delivery.logs.amazonaws.com", "s3:PutObject", "{landing}/flow/AWSLogs/999999999999/vpcflowlogs/x.log.gz",
     {**FLOW, "aws:SourceAccount": "999999999999"}),
    ("service s3.amazonaws.com", "sqs:SendMessage", "{queue}", {"aws:SourceAccount": "999999999999", "aws:SourceArn": "arn:aws:s3:::own"}),
]

# Only where service control policies have an effect: not in the management account, which holds the data in architecture B.
FORBIDDEN_BY_CONTROL = [
    ("admin", "s3:PutBucketPolicy", "{archive}", {}),
    ("admin", "s3:PutBucketVersioning", "{lake}", {}),
    ("admin", "s3:DeleteObjectVersion", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("terraform", "s3:DeleteObjectVersion", "{lake}/lake/cloudtrail/event_date=2026-11-22/" + OBJECT, {}),
    ("terraform", "s3:DeleteBucket", "{lake}", {}),
]


def check_trust(world, problems):
    """Only the named service account takes a role; another one, or another cluster, does not."""
    count = 0
    for policy in world.policies:
        if policy["attribute"] != "assume_role_policy" or "firehose" in policy["address"] or "logs" in policy["address"]:
            continue
        irsa = [s for s in policy["document"]["Statement"] if s.get("Sid") == "Irsa"]
        for statement in irsa:
            provider = statement["Principal"]["Federated"]
            issuer = provider.split("oidc-provider/")[1]
            subject = statement["Condition"]["StringEquals"][f"{issuer}:sub"]
            right = {f"{issuer}:sub": subject, f"{issuer}:aud": "sts.amazonaws.com"}
            trials = [
                (True, provider, right),
                (False, provider, {**right, f"{issuer}:sub": subject + "-other"}),
                (False, provider, {**right, f"{issuer}:sub": "system:serviceaccount:default:" + subject.split(":")[-1]}),
                (False, provider, {f"{issuer}:sub": subject}),
                (False, provider + "X", right),
            ]
            for expected, federated, context in trials:
                request = Request(
                    Principal(federated=federated), "sts:AssumeRoleWithWebIdentity", policy["arn"], policy["arn"].split(":")[4], context
                )
                decision = decide(request, resource=policy["document"])
                count += 1
                if decision.allowed != expected:
                    problems.append(f"{world.name}: trust of {policy['name']}: {context}: {decision.reason}")
        for statement in (s for s in policy["document"]["Statement"] if s.get("Sid") == "PodIdentity"):
            wanted = statement["Condition"]["StringEquals"]
            right = {**wanted, "aws:SourceArn": statement["Condition"]["ArnEquals"]["aws:SourceArn"]}
            trials = [(True, right)] + [(False, {**right, key: right[key] + "x"}) for key in right]
            for expected, context in trials:
                request = Request(
                    Principal(service="pods.eks.amazonaws.com"), "sts:AssumeRole", policy["arn"], policy["arn"].split(":")[4], context
                )
                count += 1
                if decide(request, resource=policy["document"]).allowed != expected:
                    problems.append(f"{world.name}: Pod Identity trust of {policy['name']}: {context}")
    if count < 20:
        problems.append(f"{world.name}: only {count} trials of trust policies: the search is broken")
    return count


def main():
    folder, problems, counts = Path(os.environ["DEPLOY_CACHE"]) / "applied", [], [0, 0, 0]
    files = sorted(folder.glob("*.json"))
    if not files:
        print("simulate: SKIPPED: nothing was applied: see the step infrastructure", file=sys.stderr)
        return 0
    for file in files:
        world = World(file.stem, json.loads(file.read_text()))
        guarded = FORBIDDEN_BY_CONTROL if world.home != world.accounts["management"] else []
        for expected, calls in ((True, ALLOWED), (False, FORBIDDEN), (False, guarded)):
            for who, action, resource, context in calls:
                decision = world.ask(who, action, resource, context)
                counts[0 if expected else 1] += 1
                if decision.allowed != expected:
                    verb = "may not" if expected else "may"
                    problems.append(f"{world.name}: {who} {verb} {action} on {world.fill(resource)} {context}: {decision.reason}")
        counts[2] += check_trust(world, problems)
    for problem in problems:
        print(f"simulate: {problem}", file=sys.stderr)
    print(
        f"simulate: {len(files)} compositions: {counts[0]} allowed calls succeed, {counts[1]} forbidden calls fail, "
        f"{counts[2]} trials of trust: {len(problems)} problems"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
