//! The collector gets its AWS credentials the ways a pod gets them: IAM roles for service accounts,
//! EKS Pod Identity, a role in another account. Tokens rotate and credentials expire meanwhile.

use logq_tests::doubles::Server;
use logq_tests::doubles::faults::Faults;
use logq_tests::doubles::s3::{S3Server, Store};
use logq_tests::doubles::sts::{CONTAINER_PATH, Demands, Sts};
use logq_tests::harness::{Daemon, Program, Programs, wait_for};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

const ROLE: &str = "arn:aws:iam::444455556666:role/logq-landing-writer";

struct Scene {
    dir: tempfile::TempDir,
    programs: Programs,
    store: Store,
    sts: Arc<Sts>,
    written: u64,
    servers: [Server; 2],
}

impl Scene {
    fn new(auth: &str) -> Self {
        let (store, s3) = S3Server::start(Arc::new(Faults::none())).unwrap();
        let demands = Demands { role: ROLE, external_id: "prod-7f3a", session_name: "node-1" };
        let (sts, tokens) = Sts::start(demands).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            r#"
data_dir = "{dir}/data"
cluster = "test"
node = "n1"
admin.address = ""
batch.timeout_secs = "50ms"
segment.max_age = "200ms"
[sources.app]
type = "file"
include = ["{dir}/app.log"]
[sinks.bucket]
type = "aws_s3"
inputs = ["app"]
bucket = "landing"
region = "us-east-1"
endpoint = "{s3}"
request = {{ timeout = "5s", backoff = {{ initial = "20ms", max = "200ms" }} }}
{auth}
"#,
            dir = dir.path().display(),
            s3 = s3.endpoint(),
        );
        std::fs::write(dir.path().join("c.toml"), text).unwrap();
        let programs = Programs::locate_these(&[Program::Collector]).unwrap();
        Self { dir, programs, store, sts, written: 0, servers: [s3, tokens] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The token the kubelet projects into the pod, replaced as the kubelet does: by a rename.
    fn project(&self, token: &str) {
        std::fs::write(self.path("token.new"), token).unwrap();
        std::fs::rename(self.path("token.new"), self.path("token")).unwrap();
    }

    fn start(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = self.programs.command(Program::Collector);
        command.arg("run").arg("--config").arg(self.path("c.toml"));
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        // Nothing but what the test gives: no file of the machine, no instance metadata.
        command.env("HOME", self.dir.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied());
        Daemon::spawn("logq-collector", command, &self.path("collector.log")).unwrap()
    }

    fn write(&mut self) {
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(self.path("app.log")).unwrap();
        writeln!(file, "line {}", self.written).unwrap();
        self.written += 1;
    }

    fn arrived(&self) -> u64 {
        let mut records = Vec::new();
        for ((_, key), stored) in self.store.objects() {
            logq_tests::harness::landed::object(&stored.bytes, &mut records)
                .unwrap_or_else(|error| panic!("{key}: {error:#}"));
        }
        records.len() as u64
    }

    fn until_arrived(&self, collector: &Daemon) {
        wait_for("the line to arrive", PATIENCE, || self.arrived() == self.written)
            .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    }
}

/// Credentials are renewed with the token as it is then, and a token that is no longer good costs
/// nothing once it is replaced.
fn renewed(scene: &mut Scene, collector: &mut Daemon, what: &str) {
    scene.write();
    scene.until_arrived(collector);
    // The token rotates: from now on the old one is refused.
    scene.sts.accept("second");
    scene.project("second");
    let issued = scene.sts.issued(what);
    wait_for("credentials to be renewed", PATIENCE, || {
        scene.write();
        scene.sts.issued(what) > issued
    })
    .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    // And once more, late: nothing arrives until the file is replaced, then everything.
    scene.sts.accept("third");
    let refused = scene.sts.refused();
    wait_for("the old token to be refused", PATIENCE, || {
        scene.write();
        scene.sts.refused() > refused
    })
    .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    scene.project("third");
    scene.until_arrived(collector);
    assert!(collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
}

#[test]
fn roles_for_service_accounts_are_assumed_and_renewed() {
    let mut scene = Scene::new("");
    scene.sts.accept("first");
    scene.project("first");
    let token = scene.path("token").display().to_string();
    let mut collector = scene.start(&[
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ENDPOINT_URL_STS", &scene.servers[1].endpoint()),
        ("AWS_REGION", "us-east-1"),
    ]);
    renewed(&mut scene, &mut collector, "AssumeRoleWithWebIdentity");
}

#[test]
fn pod_identity_is_used_and_renewed() {
    let mut scene = Scene::new("");
    scene.sts.accept("first");
    scene.project("first");
    let token = scene.path("token").display().to_string();
    let url = format!("{}{CONTAINER_PATH}", scene.servers[1].endpoint());
    let mut collector = scene.start(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        ("AWS_REGION", "us-east-1"),
    ]);
    renewed(&mut scene, &mut collector, "container");
}

#[test]
fn a_role_of_another_account_is_assumed() {
    let auth = format!(
        "auth = {{ assume_role = \"{ROLE}\", external_id = \"prod-7f3a\", session_name = \"node-1\" }}"
    );
    let mut scene = Scene::new(&auth);
    let mut collector = scene.start(&[
        ("AWS_ACCESS_KEY_ID", "AKIAORIGINALCALLER"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL_STS", &scene.servers[1].endpoint()),
        ("AWS_REGION", "us-east-1"),
    ]);
    scene.write();
    scene.until_arrived(&collector);
    let issued = scene.sts.issued("AssumeRole");
    assert!(issued >= 1);
    wait_for("the role to be assumed again before it expires", PATIENCE, || {
        scene.write();
        scene.sts.issued("AssumeRole") > issued
    })
    .unwrap_or_else(|error| panic!("{error}: {}", collector.last_words()));
    scene.until_arrived(&collector);
    assert_eq!(scene.sts.refused(), 0);
    assert!(collector.stop(PATIENCE).unwrap().is_some_and(|status| status.success()));
}
