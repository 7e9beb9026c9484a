"""The real programs against what Terraform made: a line of a container becomes a row, and a CloudTrail object that is put into the
trail bucket arrives by its notification. Each program has the credentials of its role, as a pod would.
"""

import datetime
import gzip
import json
import os
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-west-1"
LINE = "GET /cart 200 from the end to end test"
TIMEOUT = 300


def credentials(emulator, role):
    """Environment of a pod whose service account has the role."""
    keys = emulator.client("sts", role.split(":")[4]).assume_role(RoleArn=role, RoleSessionName="pod")["Credentials"]
    return {
        "PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"], "AWS_REGION": REGION, "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ALLOW_HTTP": "true", "AWS_S3_FORCE_PATH_STYLE": "true", "AWS_EC2_METADATA_DISABLED": "true",
    }


def command(emulator, arguments, environment, what):
    """Runs a program while the emulator refuses what the role's own policy does not allow."""
    enforce(emulator, True)
    try:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    finally:
        enforce(emulator, False)
    if done.returncode != 0:
        raise SystemExit(f"end to end: {what} failed ({done.returncode}):\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def enforce(emulator, on):
    """Signatures and identity policies; the emulator has no conditions, key policies or policies of other accounts."""
    request = urllib.request.Request(
        f"{emulator.url}/moto-api/reset-auth", data=b"0" if on else b"inf", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request, timeout=30).read()


def refused(emulator, applied):
    """That it is enforced at all: the analyst can't read another bucket, nor write."""
    role = applied["outputs"]["role_arns"]["analyst-detect"]
    keys = credentials(emulator, role)
    s3 = boto3.client(
        "s3", endpoint_url=emulator.url, region_name=REGION, aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"], aws_session_token=keys["AWS_SESSION_TOKEN"],
    )
    buckets = applied["outputs"]["buckets"]
    enforce(emulator, True)
    try:
        for call in (
            lambda: s3.put_object(Bucket=buckets["lake"], Key="lake/cloudtrail/_delta_log/9.json", Body=b"x"),
            lambda: s3.list_objects_v2(Bucket=buckets["landing"]),
        ):
            try:
                call()
            except ClientError as error:
                if error.response["Error"]["Code"] in ("AccessDenied", "403"):
                    continue
                raise
            raise SystemExit("end to end: the emulator let a forbidden call pass")
    finally:
        enforce(emulator, False)


def stamp():
    return datetime.datetime.now(datetime.timezone.utc)


def collect(programs, work, name, applied, emulator):
    """The shipped configuration, with folders of the test in place of the node's."""
    account = applied["variables"]["accounts"]["prod"]
    on_nodes = name.startswith("a")
    file = "collector/collector.toml" if on_nodes else "overlays/fargate/sidecar.toml"
    text = (ROOT / "deploy/kubernetes" / file).read_text()
    logs = work / "logs"
    replaced = {
        'data_dir = "/var/lib/logq-collector"': f'data_dir = "{work / "data"}"\nadmin.address = "127.0.0.1:0"',
        'api_server = "auto"': f'api_server = "none"\npods_dir = "{logs}"',
    } if on_nodes else {
        'data_dir = "/var/lib/logq-collector"': f'data_dir = "{work / "data"}"\nadmin.address = "127.0.0.1:0"',
        '"/var/log/app/*.log*"': f'"{logs}/*.log*"',
    }
    for old, new in replaced.items():
        if old not in text:
            raise SystemExit(f"end to end: {file} no longer holds {old}")
        text = text.replace(old, new)
    config = work / "collector.toml"
    config.write_text(text)
    if on_nodes:
        folder = logs / "shop_api-0_0b1c2d3e-4f50-4162-8374-95a6b7c8d9e0/api"
        folder.mkdir(parents=True)
        (folder / "0.log").write_text(f"{stamp().strftime('%Y-%m-%dT%H:%M:%S.%f000Z')} stdout F {LINE}\n")
    else:
        logs.mkdir()
        (logs / "app.log").write_text(f"{LINE}\n")
    environment = credentials(emulator, applied["outputs"]["collector_role_arns"]["prod"])
    environment.update(
        CLUSTER_NAME="prod", NODE_NAME="node-1", POD_NAME="api-0", POD_NAMESPACE="shop", POD_UID="0b1c2d3e",
        LANDING_BUCKET=applied["outputs"]["buckets"]["landing"], LANDING_PREFIX=f"{account}/",
    )
    command(emulator, [programs / "logq-collector", "run", "--config", config, "--until-idle", "2s"], environment, "the collector")


def notify(applied, emulator):
    """The emulator notifies in the account of who puts, AWS in the bucket's: its owner writes what has landed again, unchanged."""
    accounts = applied["variables"]["accounts"]
    s3 = emulator.client("s3", accounts.get("logging", accounts["management"]))
    bucket = applied["outputs"]["buckets"]["landing"]
    landed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{accounts['prod']}/landing/app/prod/").get("Contents", [])
    if not landed:
        raise SystemExit("end to end: the collector put nothing below its account and cluster")
    for entry in landed:
        body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        s3.put_object(Bucket=bucket, Key=entry["Key"], Body=body)


def trail_object(applied, emulator):
    accounts = applied["variables"]["accounts"]
    home = accounts.get("logging", accounts["management"])
    event = {
        "eventVersion": "1.11", "eventTime": stamp().strftime("%Y-%m-%dT%H:%M:%SZ"), "eventSource": "iam.amazonaws.com",
        "eventName": "CreateAccessKey", "awsRegion": "us-east-1", "sourceIPAddress": "192.0.2.10", "userAgent": "test",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{accounts['prod']}:user/eve", "accountId": accounts["prod"]},
        "eventID": "6f1d0a52-9c1e-4a7b-8d53-0e2b4c6a8f10", "eventType": "AwsApiCall", "recipientAccountId": accounts["prod"],
        "eventCategory": "Management", "managementEvent": True, "readOnly": False, "requestID": "r-1",
    }
    key = f"AWSLogs/{applied['variables']['organization_id']}/{accounts['prod']}/CloudTrail/{REGION}/2026/11/22/x.json.gz"
    emulator.client("s3", home).put_object(
        Bucket=applied["outputs"]["buckets"]["trails"], Key=key, Body=gzip.compress(json.dumps({"Records": [event]}).encode())
    )


def query(emulator, programs, lake, environment, sql):
    return command(emulator, [programs / "logq", "--lake", lake, "--format", "csv", "--quiet", sql], environment, "logq").splitlines()[1:]


def one(programs, name, applied, emulator):
    lake = f"s3://{applied['outputs']['buckets']['lake']}/lake"
    roles = applied["outputs"]["role_arns"]
    with tempfile.TemporaryDirectory(prefix="logq-e2e-") as folder:
        collect(programs, Path(folder), name, applied, emulator)
        notify(applied, emulator)
        trail_object(applied, emulator)
        command(
            emulator, [programs / "logq-processor", "run", "--lake", lake, "--sqs-queue-url", applied["outputs"]["queue_url"],
             "--sqs-endpoint", emulator.url, "--shard", "logq-processor-0", "--commit-interval", "1s", "--until-idle", "5s",
             "--config", ROOT / "deploy/kubernetes/processor/processor.toml"],
            {**credentials(emulator, roles["processor"]), "AWS_CHECKSUM_ALGORITHM": "sha256"}, "the processor",
        )
    analyst = credentials(emulator, roles["analyst-detect"])
    refused(emulator, applied)
    account = applied["variables"]["accounts"]["prod"]
    lines = query(emulator, programs, lake, analyst, f"select count(*) from app_log where body = '{LINE}'")
    events = query(emulator, programs, lake, analyst, f"select actor from cloudtrail where account_id = '{account}' and event_name = 'CreateAccessKey'")
    if lines != ["1"] or events != [f"arn:aws:iam::{account}:user/eve"]:
        raise SystemExit(f"end to end: {name}: rows of the line: {lines}, of the event: {events}")
    print(f"end to end: {name}: the line and the event are rows, read with the analyst's role")


def run(emulator, out, names):
    folder = os.environ.get("LOGQ_BIN_DIR")
    if not folder:
        print("end to end: SKIPPED: LOGQ_BIN_DIR does not say where the programs are")
        return
    for name in names:
        one(Path(folder), name, json.loads((out / f"{name}.json").read_text()), emulator)
