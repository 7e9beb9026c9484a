"""Makes resources in the emulator (moto) as the AWS provider makes them in an account.

One function for each type; it gets the planned attributes and returns what the service filled in. Types the emulator
does not know, or gets wrong, are in KEPT with the reason: they are in Terraform's state alone.
"""

import json
import os

import boto3

KEPT = {
    "aws_s3_bucket_policy": "the emulator ignores conditions: `deny without TLS` would deny every put (see simulate.py)",
    "aws_s3_bucket_object_lock_configuration": "the emulator fails on the metadata of objects with a default retention",
    "aws_sqs_queue_redrive_allow_policy": "the emulator has no such attribute",
    "aws_cloudwatch_log_subscription_filter": "the emulator refuses destinations of other accounts",
    "aws_eks_pod_identity_association": "the emulator has no Pod Identity",
    "aws_athena_workgroup": "no query engine behind it",
    "aws_organizations_policy_attachment": "the emulator evaluates no service control policies (see simulate.py)",
    "aws_budgets_budget": "the emulator has no costs",
    "aws_glue_catalog_table": "checked against the schemas by terraform test",
    "aws_vpc_endpoint": "there is no network behind it",
    "aws_s3_bucket_logging": "the emulator writes no access logs",
}


class Emulator:
    """Clients of one account and Region."""

    def __init__(self, endpoint, region, role_arn):
        self.endpoint, self.region = endpoint, region
        self.keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        self.account = "123456789012"
        if role_arn:
            self.account = role_arn.split(":")[4]
            session = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="terraform")["Credentials"]
            self.keys = {
                "aws_access_key_id": session["AccessKeyId"],
                "aws_secret_access_key": session["SecretAccessKey"],
                "aws_session_token": session["SessionToken"],
            }

    def client(self, service):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **self.keys)

    def apply(self, kind, new, old):
        function = getattr(self, kind.removeprefix("aws_"), None)
        if function is None:
            if kind not in KEPT:
                raise NotImplementedError(f"{kind} is neither made in the emulator nor listed in KEPT")
            return {"id": self.invented(kind, new), "arn": self.arn(kind, new)}
        return function(new, old)

    def invented(self, kind, new):
        name = next((new[k] for k in ("name", "bucket", "database_name", "id") if isinstance(new.get(k), str)), kind)
        return f"{name}" if kind.startswith("aws_s3") else f"{kind}-{name}"

    def arn(self, kind, new):
        return f"arn:aws:{kind.split('_')[1]}:{self.region}:{self.account}:{self.invented(kind, new)}"

    # S3

    def s3_bucket(self, new, old):
        if not old:
            self.client("s3").create_bucket(
                Bucket=new["bucket"], CreateBucketConfiguration={"LocationConstraint": self.region}
            )
        return {"id": new["bucket"], "arn": f"arn:aws:s3:::{new['bucket']}", "bucket_region": self.region}

    def s3_bucket_public_access_block(self, new, old):
        names = {
            "BlockPublicAcls": "block_public_acls",
            "IgnorePublicAcls": "ignore_public_acls",
            "BlockPublicPolicy": "block_public_policy",
            "RestrictPublicBuckets": "restrict_public_buckets",
        }
        self.client("s3").put_public_access_block(
            Bucket=new["bucket"], PublicAccessBlockConfiguration={k: bool(new[v]) for k, v in names.items()}
        )
        return {"id": new["bucket"]}

    def s3_bucket_ownership_controls(self, new, old):
        rules = [{"ObjectOwnership": rule["object_ownership"]} for rule in new["rule"]]
        self.client("s3").put_bucket_ownership_controls(Bucket=new["bucket"], OwnershipControls={"Rules": rules})
        return {"id": new["bucket"]}

    def s3_bucket_versioning(self, new, old):
        status = new["versioning_configuration"][0]["status"]
        self.client("s3").put_bucket_versioning(Bucket=new["bucket"], VersioningConfiguration={"Status": status})
        return {"id": new["bucket"]}

    def s3_bucket_server_side_encryption_configuration(self, new, old):
        rules = []
        for rule in new["rule"]:
            default = rule["apply_server_side_encryption_by_default"][0]
            apply = {"SSEAlgorithm": default["sse_algorithm"]}
            if default.get("kms_master_key_id"):
                apply["KMSMasterKeyID"] = default["kms_master_key_id"]
            rules.append({"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": bool(rule["bucket_key_enabled"])})
        self.client("s3").put_bucket_encryption(Bucket=new["bucket"], ServerSideEncryptionConfiguration={"Rules": rules})
        return {"id": new["bucket"]}

    def s3_bucket_lifecycle_configuration(self, new, old):
        rules = []
        for rule in new["rule"]:
            prefix = (rule["filter"] or [{}])[0].get("prefix") or ""
            out = {"ID": rule["id"], "Status": rule["status"], "Filter": {"Prefix": prefix}}
            for entry in rule.get("expiration") or []:
                out["Expiration"] = {"Days": int(entry["days"])}
            for entry in rule.get("noncurrent_version_expiration") or []:
                out["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(entry["noncurrent_days"])}
            for entry in rule.get("abort_incomplete_multipart_upload") or []:
                out["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(entry["days_after_initiation"])}
            rules.append(out)
        self.client("s3").put_bucket_lifecycle_configuration(
            Bucket=new["bucket"], LifecycleConfiguration={"Rules": rules}
        )
        return {"id": new["bucket"]}

    def s3_bucket_notification(self, new, old):
        queues = []
        for queue in new["queue"]:
            rules = [{"Name": "suffix", "Value": queue["filter_suffix"]}] if queue.get("filter_suffix") else []
            entry = {"Id": queue["id"], "QueueArn": queue["queue_arn"], "Events": queue["events"]}
            queues.append({**entry, "Filter": {"Key": {"FilterRules": rules}}} if rules else entry)
        self.client("s3").put_bucket_notification_configuration(
            Bucket=new["bucket"], NotificationConfiguration={"QueueConfigurations": queues}
        )
        return {"id": new["bucket"]}

    # keys, queues, topics

    def kms_key(self, new, old):
        if old:
            self.client("kms").put_key_policy(KeyId=old["key_id"], PolicyName="default", Policy=new["policy"])
            return {}
        made = self.client("kms").create_key(Description=new["description"], Policy=new["policy"])["KeyMetadata"]
        if new.get("enable_key_rotation"):
            self.client("kms").enable_key_rotation(KeyId=made["KeyId"])
        return {"id": made["KeyId"], "key_id": made["KeyId"], "arn": made["Arn"]}

    def kms_alias(self, new, old):
        if not old:
            self.client("kms").create_alias(AliasName=new["name"], TargetKeyId=new["target_key_id"])
        return {"id": new["name"], "arn": f"arn:aws:kms:{self.region}:{self.account}:{new['name']}"}

    def sqs_queue(self, new, old):
        names = {
            "VisibilityTimeout": "visibility_timeout_seconds",
            "MessageRetentionPeriod": "message_retention_seconds",
            "ReceiveMessageWaitTimeSeconds": "receive_wait_time_seconds",
            "KmsMasterKeyId": "kms_master_key_id",
            "RedrivePolicy": "redrive_policy",
        }
        wanted = {k: new[v] for k, v in names.items() if new.get(v) is not None}
        attributes = {k: v if isinstance(v, str) else str(int(v)) for k, v in wanted.items()}
        url = self.client("sqs").create_queue(QueueName=new["name"], Attributes=attributes)["QueueUrl"]
        return {"id": url, "url": url, "arn": f"arn:aws:sqs:{self.region}:{self.account}:{new['name']}"}

    def sqs_queue_policy(self, new, old):
        self.client("sqs").set_queue_attributes(QueueUrl=new["queue_url"], Attributes={"Policy": new["policy"]})
        return {"id": new["queue_url"]}

    def sns_topic(self, new, old):
        arn = self.client("sns").create_topic(Name=new["name"])["TopicArn"]
        return {"id": arn, "arn": arn, "owner": self.account}

    def sns_topic_policy(self, new, old):
        self.client("sns").set_topic_attributes(
            TopicArn=new["arn"], AttributeName="Policy", AttributeValue=new["policy"]
        )
        return {"id": new["arn"], "owner": self.account}

    def sns_topic_subscription(self, new, old):
        made = self.client("sns").subscribe(
            TopicArn=new["topic_arn"], Protocol=new["protocol"], Endpoint=new["endpoint"], ReturnSubscriptionArn=True
        )
        return {"id": made["SubscriptionArn"], "arn": made["SubscriptionArn"], "owner_id": self.account}

    # roles

    def iam_role(self, new, old):
        iam = self.client("iam")
        if old:
            iam.update_assume_role_policy(RoleName=new["name"], PolicyDocument=new["assume_role_policy"])
            return {}
        made = iam.create_role(RoleName=new["name"], AssumeRolePolicyDocument=new["assume_role_policy"])["Role"]
        return {"id": made["RoleName"], "arn": made["Arn"], "unique_id": made["RoleId"]}

    def iam_role_policy(self, new, old):
        self.client("iam").put_role_policy(
            RoleName=new["role"], PolicyName=new["name"], PolicyDocument=new["policy"]
        )
        return {"id": f"{new['role']}:{new['name']}"}

    def iam_openid_connect_provider(self, new, old):
        made = self.client("iam").create_open_id_connect_provider(
            Url=new["url"], ClientIDList=new["client_id_list"], ThumbprintList=["0" * 40]
        )
        return {"id": made["OpenIDConnectProviderArn"], "arn": made["OpenIDConnectProviderArn"]}

    # logs

    def cloudwatch_log_group(self, new, old):
        if not old:
            self.client("logs").create_log_group(logGroupName=new["name"])
        self.client("logs").put_retention_policy(
            logGroupName=new["name"], retentionInDays=int(new["retention_in_days"])
        )
        return {"id": new["name"], "arn": f"arn:aws:logs:{self.region}:{self.account}:log-group:{new['name']}"}

    def cloudwatch_log_stream(self, new, old):
        if not old:
            self.client("logs").create_log_stream(logGroupName=new["log_group_name"], logStreamName=new["name"])
        return {"id": new["name"]}

    def cloudwatch_log_destination(self, new, old):
        made = self.client("logs").put_destination(
            destinationName=new["name"], targetArn=new["target_arn"], roleArn=new["role_arn"]
        )["destination"]
        return {"id": new["name"], "arn": made["arn"]}

    def cloudwatch_log_destination_policy(self, new, old):
        self.client("logs").put_destination_policy(
            destinationName=new["destination_name"], accessPolicy=new["access_policy"]
        )
        return {"id": new["destination_name"]}

    def kinesis_firehose_delivery_stream(self, new, old):
        to = new["extended_s3_configuration"][0]
        if not old:
            self.client("firehose").create_delivery_stream(
                DeliveryStreamName=new["name"],
                ExtendedS3DestinationConfiguration={
                    "RoleARN": to["role_arn"], "BucketARN": to["bucket_arn"], "Prefix": to["prefix"],
                },
            )
        arn = f"arn:aws:firehose:{self.region}:{self.account}:deliverystream/{new['name']}"
        return {"id": arn, "arn": arn, "destination_id": "1", "version_id": "1"}

    def cloudtrail(self, new, old):
        trail = self.client("cloudtrail")
        if not old:
            made = trail.create_trail(
                Name=new["name"], S3BucketName=new["s3_bucket_name"], IsMultiRegionTrail=bool(new["is_multi_region_trail"]),
                EnableLogFileValidation=bool(new["enable_log_file_validation"]),
                IsOrganizationTrail=bool(new["is_organization_trail"]),
            )
            trail.start_logging(Name=new["name"])
            return {"id": made["TrailARN"], "arn": made["TrailARN"], "home_region": self.region}
        return {}

    def flow_log(self, new, old):
        if old:
            return {}
        made = self.client("ec2").create_flow_logs(
            ResourceIds=[new["vpc_id"]], ResourceType="VPC", TrafficType=new["traffic_type"], LogDestinationType="s3",
            # The emulator takes the bucket's ARN only, without the folder.
            LogDestination=":".join(new["log_destination"].split("/")[:1]), LogFormat=new["log_format"],
            MaxAggregationInterval=int(new["max_aggregation_interval"]),
        )
        if made.get("Unsuccessful"):
            raise ValueError(json.dumps(made["Unsuccessful"]))
        made = made["FlowLogIds"][0]
        return {"id": made, "arn": f"arn:aws:ec2:{self.region}:{self.account}:vpc-flow-log/{made}"}

    # the rest

    def security_group(self, new, old):
        if old:
            return {}
        made = self.client("ec2").create_security_group(
            GroupName=new["name"], Description=new["description"], VpcId=new["vpc_id"]
        )["GroupId"]
        return {"id": made, "arn": f"arn:aws:ec2:{self.region}:{self.account}:security-group/{made}"}

    def vpc_security_group_ingress_rule(self, new, old):
        if old:
            return {}
        permission = {
            "IpProtocol": new["ip_protocol"], "FromPort": int(new["from_port"]), "ToPort": int(new["to_port"]),
            "IpRanges": [{"CidrIp": new["cidr_ipv4"], "Description": new["description"]}],
        }
        made = self.client("ec2").authorize_security_group_ingress(
            GroupId=new["security_group_id"], IpPermissions=[permission]
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        arn = f"arn:aws:ec2:{self.region}:{self.account}:security-group-rule/{made}"
        return {"id": made, "arn": arn, "security_group_rule_id": made}

    def glue_catalog_database(self, new, old):
        if not old:
            self.client("glue").create_database(DatabaseInput={"Name": new["name"], "LocationUri": new["location_uri"]})
        return {"id": f"{self.account}:{new['name']}", "catalog_id": self.account, "arn": self.arn("aws_glue_", new)}

    def cloudwatch_metric_alarm(self, new, old):
        self.client("cloudwatch").put_metric_alarm(
            AlarmName=new["alarm_name"], Namespace=new["namespace"], MetricName=new["metric_name"],
            Dimensions=[{"Name": k, "Value": v} for k, v in new["dimensions"].items()], Statistic=new["statistic"],
            ComparisonOperator=new["comparison_operator"], Threshold=float(new["threshold"]), Period=int(new["period"]),
            EvaluationPeriods=int(new["evaluation_periods"]), AlarmActions=new["alarm_actions"],
        )
        arn = f"arn:aws:cloudwatch:{self.region}:{self.account}:alarm:{new['alarm_name']}"
        return {"id": new["alarm_name"], "arn": arn}

    def cloudwatch_event_rule(self, new, old):
        made = self.client("events").put_rule(Name=new["name"], EventPattern=new["event_pattern"])
        return {"id": new["name"], "arn": made["RuleArn"]}

    def cloudwatch_event_target(self, new, old):
        self.client("events").put_targets(Rule=new["rule"], Targets=[{"Id": new["target_id"], "Arn": new["arn"]}])
        return {"id": f"{new['rule']}-{new['target_id']}"}

    def organizations_policy(self, new, old):
        if old:
            return {}
        made = self.client("organizations").create_policy(
            Content=new["content"], Description=new["description"], Name=new["name"], Type=new["type"]
        )["Policy"]["PolicySummary"]
        return {"id": made["Id"], "arn": made["Arn"]}


def emulator(region, role_arn):
    endpoint = os.environ.get("MOTO_ENDPOINT")
    return Emulator(endpoint, region, role_arn) if endpoint else None
