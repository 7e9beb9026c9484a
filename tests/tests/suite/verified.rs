//! `verify cloudtrail` on a bucket: digests made and signed by Python, their signatures in the metadata of
//! the objects, as CloudTrail leaves them.

use crate::aws::Cloud;
use crate::stage::Stage;
use logq_tests::harness::Program;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;

/// Fills the bucket with a chain of three digests over real-looking log files, signed with a fresh key, and
/// prints what `list-public-keys` would. An independent reading of the format.
const CHAIN: &str = r#"
import base64, boto3, gzip, hashlib, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
endpoint = sys.argv[1]
s3 = boto3.client("s3", endpoint_url=endpoint)
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
print_ = hashlib.md5(der).hexdigest()
account, region, trail, bucket = "111122223333", "eu-west-1", "org_trail", "landing"
previous = (None, None, None)
for hour in (8, 9, 10):
    files = []
    for minute in (5, 25):
        event = {"eventVersion": "1.08", "eventID": f"{hour}-{minute}", "eventTime": f"2026-11-22T{hour:02}:00:00Z",
            "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": region,
            "recipientAccountId": account, "userIdentity": {"type": "Root"}}
        body = json.dumps({"Records": [event]}).encode()
        name = f"p/AWSLogs/{account}/CloudTrail/{region}/2026/11/22/{account}_CloudTrail_{region}_20261122T{hour:02}{minute:02}Z_AbCdEfGh0123456{minute % 10}.json.gz"
        s3.put_object(Bucket=bucket, Key=name, Body=gzip.compress(body))
        files.append({"s3Bucket": bucket, "s3Object": name, "hashValue": hashlib.sha256(body).hexdigest(),
            "hashAlgorithm": "SHA-256", "newestEventTime": None, "oldestEventTime": None})
    end = f"2026-11-22T{hour + 1:02}:00:00Z"
    name = f"p/AWSLogs/{account}/CloudTrail-Digest/{region}/2026/11/22/{account}_CloudTrail-Digest_{region}_{trail}_{region}_20261122T{hour + 1:02}0000Z.json.gz"
    before, hash_, signature = previous
    digest = {"awsAccountId": account, "digestStartTime": f"2026-11-22T{hour:02}:00:00Z", "digestEndTime": end,
        "digestS3Bucket": bucket, "digestS3Object": name, "digestPublicKeyFingerprint": print_,
        "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": None, "oldestEventTime": None,
        "previousDigestS3Bucket": before and bucket, "previousDigestS3Object": before,
        "previousDigestHashValue": hash_, "previousDigestHashAlgorithm": before and "SHA-256",
        "previousDigestSignature": signature, "logFiles": files}
    content = json.dumps(digest).encode()
    hash_ = hashlib.sha256(content).hexdigest()
    signed = f"{end}\n{bucket}/{name}\n{hash_}\n{signature or 'null'}".encode()
    signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256()).hex()
    s3.put_object(Bucket=bucket, Key=name, Body=gzip.compress(content),
        Metadata={"signature": signature, "signature-algorithm": "SHA256withRSA"})
    previous = (name, hash_, signature)
print(json.dumps({"PublicKeyList": [{"Fingerprint": print_, "Value": base64.b64encode(der).decode()}]}))
"#;

/// One file changed, one digest and one other file gone.
const TAMPER: &str = r#"
import boto3, gzip, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
keys = [one["Key"] for one in s3.list_objects_v2(Bucket="landing")["Contents"]]
log = lambda time: next(key for key in keys if f"_CloudTrail_eu-west-1_20261122T{time}Z" in key)
s3.put_object(Bucket="landing", Key=log("1005"), Body=gzip.compress(b'{"Records":[]}'))
s3.delete_object(Bucket="landing", Key=log("1025"))
s3.delete_object(Bucket="landing", Key=next(key for key in keys if "_20261122T100000Z" in key))
"#;

struct Scene {
    stage: Stage,
    cloud: Cloud,
}

impl Scene {
    fn new() -> Option<Scene> {
        let stage = Stage::new();
        let cloud = Cloud::start(&stage)?;
        std::fs::write(stage.path("keys.json"), cloud.script(CHAIN, &[])).unwrap();
        Some(Scene { stage, cloud })
    }

    fn processor(&self, arguments: &[&str]) -> Output {
        let mut command = self.stage.programs.command(Program::Processor);
        command.args(arguments).envs(self.cloud.environment.iter().cloned());
        command.output().unwrap()
    }

    fn verify(&self) -> (Option<i32>, Value) {
        let keys = self.stage.path("keys.json");
        let output = self.processor(&[
            "verify",
            "cloudtrail",
            "--format",
            "json",
            "--lake",
            "s3://lake/lake",
            "--public-keys",
            keys.to_str().unwrap(),
            "s3://landing/p/",
        ]);
        let found = serde_json::from_slice(&output.stdout);
        let found = found.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), found)
    }
}

#[test]
fn g7_a_bucket_is_verified_and_tampering_is_named_and_queryable() {
    let Some(scene) = Scene::new() else { return };
    let config = scene.stage.path("processor.toml");
    std::fs::write(
        &config,
        format!("cloudtrail_public_keys = '{}'\n", scene.stage.path("keys.json").display()),
    )
    .unwrap();
    let taken = scene.processor(&[
        "once",
        "--lake",
        "s3://lake/lake",
        "--config",
        config.to_str().unwrap(),
        "s3://landing/p/",
    ]);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    // On ingest already: six log files and three digests, each verified.
    let lake = scene.cloud.lake(&scene.stage);
    let verified = "select count(*) as n from cloudtrail_digest where verdict = 'verified'";
    assert_eq!(lake.number(verified).unwrap(), 9);

    let (code, found) = scene.verify();
    assert_eq!((code, &found["verdicts"]["log"]["verified"]), (Some(0), &Value::from(6)), "{found}");
    scene.cloud.script(TAMPER, &[]);
    let (code, found) = scene.verify();
    assert_eq!(code, Some(3));
    let mut findings: BTreeMap<(String, String), u64> = BTreeMap::new();
    for one in found["findings"].as_array().unwrap() {
        let part = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        *findings.entry((part("kind"), part("verdict"))).or_default() += 1;
        assert!(one["reason"].is_string() && part("location").starts_with("s3://landing/p/"), "{one}");
    }
    let expected = [
        (("digest", "missing"), 1),
        (("log", "invalid"), 1),
        (("log", "missing"), 1),
        (("log", "unverified"), 2),
    ];
    let expected = expected.map(|((kind, verdict), count)| ((kind.to_owned(), verdict.to_owned()), count));
    assert_eq!(findings, BTreeMap::from(expected), "{found}");
    // Which rows came from an object that is not what was delivered, by the newest verdict.
    let rows = lake.rows(
        "select c.event_uid from cloudtrail c join ingest i on i.object_id = c.object_id join (
            select location, verdict, row_number() over (partition by location order by verified_at desc) as age
            from cloudtrail_digest
         ) d on d.location = i.location where d.age = 1 and d.verdict in ('invalid', 'missing') order by 1",
    );
    let rows = rows.unwrap_or_else(|error| panic!("{error}"));
    let uids: Vec<&str> = rows.iter().filter_map(|row| row["event_uid"].as_str()).collect();
    assert_eq!(uids, ["10-25", "10-5"]);
}
