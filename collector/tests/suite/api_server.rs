//! A small Kubernetes API server for tests: list with pages, watch with bookmarks, 410, tokens, TLS.
//!
//! It answers as the API's documentation says, serves only the pods of the node a field selector
//! names, counts requests, and can be told to refuse, to be away, to stop in the middle of an
//! answer, to break off, or to forget its history.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

/// What the server is like at the moment.
#[derive(Default)]
struct World {
    /// Newest last; the version is the place plus one.
    events: Vec<(&'static str, Value)>,
    pods: Vec<Value>,
    namespaces: Vec<Value>,
    token: String,
    /// Every request is answered with this status.
    refuse: Option<u16>,
    /// Watches from before this version get 410.
    forgotten: usize,
    /// Grows to break off all watches.
    broken: u64,
    /// Connections are closed as they come.
    away: bool,
    /// Lists stop half-way.
    held: bool,
    /// Most items of a list.
    page: usize,
    requests: Vec<String>,
}

#[derive(Clone)]
pub struct ApiServer {
    world: Arc<Mutex<World>>,
    news: Arc<Notify>,
    dir: PathBuf,
    _runtime: Arc<tokio::runtime::Runtime>,
}

impl ApiServer {
    /// Listens on 127.0.0.1; kubeconfig, CA and token are below `dir`.
    pub fn start(dir: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let chain = vec![key.cert.der().clone()];
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        std::fs::write(dir.join("ca.crt"), key.cert.pem()).unwrap();
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster":
                {"server": format!("https://{address}"), "certificate-authority": dir.join("ca.crt")}}],
            "users": [{"name": "u", "user": {"tokenFile": dir.join("token")}}]});
        std::fs::write(dir.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let server = Self {
            world: Arc::default(),
            news: Arc::default(),
            dir: dir.to_owned(),
            _runtime: Arc::new(runtime),
        };
        server.rotate("first");
        server.change(|world| {
            // No server's first version is 0: asked for, that means any.
            world.events.push(("BOOKMARK", json!({})));
            // A server that pages ever so small.
            world.page = 2;
        });
        let (world, news) = (server.world.clone(), server.news.clone());
        server._runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                if world.lock().unwrap().away {
                    continue;
                }
                let (acceptor, world, news) = (acceptor.clone(), world.clone(), news.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        // A client that hangs up is none of our business.
                        drop(serve(stream, &world, &news).await);
                    }
                });
            }
        });
        server
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Only this token is good from now on; it is in the file.
    pub fn rotate(&self, token: &str) {
        std::fs::write(self.dir.join("token"), token).unwrap();
        self.expect(token);
    }

    /// Only this token is good from now on, whatever is in the file.
    pub fn expect(&self, token: &str) {
        token.clone_into(&mut self.world.lock().unwrap().token);
    }

    /// Closes every connection, those that are open and those that come.
    pub fn away(&self, away: bool) {
        self.change(|world| {
            world.away = away;
            world.broken += u64::from(away);
        });
    }

    /// Stops in the middle of every list.
    pub fn hold(&self, held: bool) {
        self.change(|world| world.held = held);
    }

    /// Most items of a list; a watch cache answers with all at once.
    pub fn page(&self, items: usize) {
        self.change(|world| world.page = items);
    }

    /// Creates or replaces a pod.
    pub fn put(&self, pod: Value) {
        self.change(|world| {
            let uid = pod["metadata"]["uid"].clone();
            let before = world.pods.len();
            world.pods.retain(|known| known["metadata"]["uid"] != uid);
            let kind = if world.pods.len() == before { "ADDED" } else { "MODIFIED" };
            world.pods.push(pod.clone());
            world.events.push((kind, pod));
        });
    }

    pub fn delete(&self, uid: &str) {
        self.change(|world| {
            let at = world.pods.iter().position(|pod| pod["metadata"]["uid"] == uid).unwrap();
            let pod = world.pods.remove(at);
            world.events.push(("DELETED", pod));
        });
    }

    pub fn namespace(&self, name: &str, labels: Value) {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        self.change(|world| world.namespaces.push(namespace));
    }

    /// Answers everything with a status, and breaks off what is open.
    pub fn refuse(&self, status: Option<u16>) {
        self.change(|world| {
            world.refuse = status;
            world.broken += u64::from(status.is_some());
        });
    }

    /// Breaks off all watches and forgets the history: the next watch gets 410.
    pub fn compact(&self) {
        self.change(|world| {
            world.events.push(("BOOKMARK", json!({})));
            world.forgotten = world.events.len();
            world.broken += 1;
        });
    }

    pub fn break_off(&self) {
        self.change(|world| world.broken += 1);
    }

    /// Requests so far that contain the text.
    pub fn requests(&self, text: &str) -> usize {
        self.world.lock().unwrap().requests.iter().filter(|request| request.contains(text)).count()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
        self.news.notify_waiters();
    }
}

type Tls = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

async fn serve(mut stream: Tls, world: &Mutex<World>, news: &Notify) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let url = url::Url::parse(&format!("http://x{target}")).unwrap();
        let query = |name: &str| {
            url.query_pairs()
                .find(|(key, _)| key == name)
                .map_or_else(String::new, |(_, value)| value.into_owned())
        };
        let status = {
            let mut world = world.lock().unwrap();
            world.requests.push(target.clone());
            let token = format!("Bearer {}\r\n", world.token);
            let known = head.contains(&token);
            world.refuse.or((!known).then_some(401))
        };
        if let Some(status) = status {
            answer(&mut stream, status, &json!({"kind": "Status", "code": status})).await?;
            continue;
        }
        if query("watch") == "1" {
            return watch(&mut stream, world, news, &url, query("resourceVersion")).await;
        }
        let list = {
            let world = world.lock().unwrap();
            let all = if url.path().ends_with("/pods") { &world.pods } else { &world.namespaces };
            let all: Vec<Value> = all.iter().filter(|item| selected(&url, item)).cloned().collect();
            let start: usize = query("continue").parse().unwrap_or(0);
            let end = all.len().min(start + world.page);
            let next = if end < all.len() { end.to_string() } else { String::new() };
            json!({"kind": "List", "items": all[start..end],
                "metadata": {"resourceVersion": world.events.len().to_string(), "continue": next}})
        };
        let text = text(200, &list);
        let (half, rest) = text.split_at(text.len() / 2);
        stream.write_all(half.as_bytes()).await?;
        stream.flush().await?;
        released(world, news).await;
        stream.write_all(rest.as_bytes()).await?;
        stream.flush().await?;
    }
}

/// Returns when answers may go on.
async fn released(world: &Mutex<World>, news: &Notify) {
    loop {
        let changed = news.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !world.lock().unwrap().held {
            return;
        }
        changed.await;
    }
}

/// A field selector names the node whose pods are wanted.
fn selected(url: &url::Url, item: &Value) -> bool {
    let selector =
        url.query_pairs().find(|(key, _)| key == "fieldSelector").map(|(_, value)| value.into_owned());
    selector.is_none_or(|selector| {
        selector.strip_prefix("spec.nodeName=").unwrap() == item["spec"]["nodeName"].as_str().unwrap()
    })
}

async fn answer(stream: &mut Tls, status: u16, body: &Value) -> std::io::Result<()> {
    stream.write_all(text(status, body).as_bytes()).await?;
    stream.flush().await
}

fn text(status: u16, body: &Value) -> String {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    head + &body
}

async fn watch(
    stream: &mut Tls,
    world: &Mutex<World>,
    news: &Notify,
    url: &url::Url,
    version: String,
) -> std::io::Result<()> {
    let mut at: usize = version.parse().unwrap();
    let broken = world.lock().unwrap().broken;
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    loop {
        let changed = news.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let mut text = String::new();
        {
            let world = world.lock().unwrap();
            if world.broken != broken {
                // In the middle of an event, without a word.
                return Ok(());
            }
            if at < world.forgotten {
                text = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).to_string() + "\n";
                at = usize::MAX;
            } else {
                for (kind, object) in &world.events[at..] {
                    at += 1;
                    let mut object = object.clone();
                    if *kind != "BOOKMARK" && !(url.path().ends_with("/pods") && selected(url, &object)) {
                        continue;
                    }
                    object["metadata"]["resourceVersion"] = at.to_string().into();
                    text += &(json!({"type": kind, "object": object}).to_string() + "\n");
                }
                let bookmark =
                    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": at.to_string()}}});
                text += &(bookmark.to_string() + "\n");
            }
        }
        stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
        stream.flush().await?;
        if at == usize::MAX {
            stream.write_all(b"0\r\n\r\n").await?;
            return stream.flush().await;
        }
        changed.await;
    }
}
