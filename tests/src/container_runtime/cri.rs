//! The part of the Container Runtime Interface that a kubelet needs for logs: messages with the
//! field numbers of `runtime.v1` (kubernetes/cri-api, `pkg/apis/runtime/v1/api.proto`). Fields that
//! are not used are left out; protobuf ignores them.

use super::image;
use prost::Message;
use std::path::Path;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// `ContainerState.CONTAINER_EXITED`.
pub const EXITED: i32 = 2;
/// `NamespaceMode`: own namespace of the container, and the node's.
const CONTAINER: i32 = 1;
const NODE: i32 = 2;

/// An answer nothing of which matters.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Empty {}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    uid: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

/// `NamespaceOption`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct NamespaceOption {
    #[prost(int32, tag = "1")]
    network: i32,
    #[prost(int32, tag = "2")]
    pid: i32,
}

/// `LinuxSandboxSecurityContext`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LinuxSandboxSecurityContext {
    #[prost(message, optional, tag = "1")]
    namespace_options: Option<NamespaceOption>,
}

/// `LinuxPodSandboxConfig`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LinuxPodSandboxConfig {
    #[prost(string, tag = "1")]
    cgroup_parent: String,
    #[prost(message, optional, tag = "2")]
    security_context: Option<LinuxSandboxSecurityContext>,
}

/// `PodSandboxConfig`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(string, tag = "3")]
    log_directory: String,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxPodSandboxConfig>,
}

/// `RunPodSandboxRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RunPodSandboxRequest {
    /// The pod.
    #[prost(message, optional, tag = "1")]
    pub config: Option<PodSandboxConfig>,
}

/// `RunPodSandboxResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct RunPodSandboxResponse {
    /// Its id.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

/// `StopPodSandboxRequest` and `RemovePodSandboxRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SandboxId {
    /// Which.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    attempt: u32,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

/// `LinuxContainerSecurityContext`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LinuxContainerSecurityContext {
    #[prost(message, optional, tag = "3")]
    namespace_options: Option<NamespaceOption>,
}

/// `LinuxContainerConfig`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LinuxContainerConfig {
    #[prost(message, optional, tag = "2")]
    security_context: Option<LinuxContainerSecurityContext>,
}

/// `ContainerConfig`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
    #[prost(string, repeated, tag = "3")]
    command: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    args: Vec<String>,
    #[prost(string, tag = "11")]
    log_path: String,
    #[prost(bool, tag = "14")]
    tty: bool,
    #[prost(message, optional, tag = "15")]
    linux: Option<LinuxContainerConfig>,
}

/// `CreateContainerRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CreateContainerRequest {
    /// In which pod.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
    /// The container.
    #[prost(message, optional, tag = "2")]
    pub config: Option<ContainerConfig>,
    /// The pod again.
    #[prost(message, optional, tag = "3")]
    pub sandbox_config: Option<PodSandboxConfig>,
}

/// `CreateContainerResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CreateContainerResponse {
    /// Its id.
    #[prost(string, tag = "1")]
    pub container_id: String,
}

/// `StartContainerRequest`, `ContainerStatusRequest` and `ReopenContainerLogRequest`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ContainerId {
    /// Which.
    #[prost(string, tag = "1")]
    pub container_id: String,
}

/// `ContainerStatus`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ContainerStatus {
    /// `ContainerState`.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// Once it has ended.
    #[prost(int32, tag = "7")]
    pub exit_code: i32,
}

/// `ContainerStatusResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ContainerStatusResponse {
    /// The status.
    #[prost(message, optional, tag = "1")]
    pub status: Option<ContainerStatus>,
}

fn namespaces() -> Option<NamespaceOption> {
    Some(NamespaceOption { network: NODE, pid: CONTAINER })
}

/// A pod in the node's network, so that no network plugin is needed.
pub fn sandbox(namespace: &str, name: &str, uid: &str, logs: &Path) -> PodSandboxConfig {
    let metadata = PodSandboxMetadata { name: name.into(), uid: uid.into(), namespace: namespace.into() };
    let security = LinuxSandboxSecurityContext { namespace_options: namespaces() };
    PodSandboxConfig {
        metadata: Some(metadata),
        log_directory: logs.display().to_string(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: "/logq-tests".to_owned(),
            security_context: Some(security),
        }),
    }
}

/// A container of that pod that runs `lines`.
pub fn container(name: &str, restart: u32, words: &[&str], tty: bool) -> ContainerConfig {
    let security = LinuxContainerSecurityContext { namespace_options: namespaces() };
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: restart }),
        image: Some(ImageSpec { image: image::NAME.to_owned() }),
        command: vec!["/lines".to_owned()],
        args: words.iter().map(|word| (*word).to_owned()).collect(),
        log_path: format!("{name}/{restart}.log"),
        tty,
        linux: Some(LinuxContainerConfig { security_context: Some(security) }),
    }
}

/// Calls a method of `runtime.v1.RuntimeService`.
pub async fn call<Q, A>(channel: Channel, method: &str, request: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))
        .map_err(|error| Status::internal(error.to_string()))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let answer = client.unary(Request::new(request), path, ProstCodec::default()).await?;
    Ok(answer.into_inner())
}
