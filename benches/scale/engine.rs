//! As much of a container engine's API as a deployment asks for, before a host in memory.

use std::collections::BTreeMap;

use kolla::error::{Error, HostCause};
use kolla::host::fake::Fake;
use kolla::host::{ContainerSpec, Machine};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::answer::Host;
use crate::site::REGISTRY;

/// Answers requests until the other side closes.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &Host) {
    let mut bytes = Vec::new();
    loop {
        let Some(request) = Request::read(&mut stream, &mut bytes).await else { return };
        let (status, body) = if request.method == "GET" && request.path == "containers/json" {
            let list = host.answer("containers", async { Some(said(&request, &host.fake).await.1) }).await;
            (200, list.unwrap_or_default())
        } else {
            let said = said(&request, &host.fake).await;
            if request.method != "GET" {
                host.changed();
            }
            said
        };
        // The registry tells it in a header.
        let digest = if request.path.starts_with("v2/") && status == 200 {
            format!("Docker-Content-Digest: {}\r\n", String::from_utf8_lossy(&body).trim_matches('"'))
        } else {
            String::new()
        };
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!(
            "HTTP/1.1 {status} .\r\nServer: Docker/26.1.5 (linux)\r\nContent-Type: application/json\r\n{digest}{length}\r\n"
        );
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn said(request: &Request, fake: &Fake) -> (u16, Vec<u8>) {
    let (status, body) = match answer(request, fake).await {
        Ok(answer) => answer,
        Err(Error::Host(error)) => match error.cause {
            HostCause::Engine { status, message } => (status, json!({ "message": message })),
            other => (500, json!({ "message": other.to_string() })),
        },
        Err(other) => (500, json!({ "message": other.to_string() })),
    };
    fake.forget_calls();
    (status, if body.is_null() { Vec::new() } else { body.to_string().into_bytes() })
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    /// The next one; `bytes` is what has come so far. Bodies have a length: `kolla` sends no others.
    async fn read(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Option<Self> {
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
                });
                let whole = end + 4 + length.unwrap_or(0);
                if bytes.len() >= whole {
                    let body = bytes[end + 4..whole].to_vec();
                    bytes.drain(..whole);
                    return Self::of(&head, body);
                }
            }
            if stream.read_buf(bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    fn of(head: &str, body: Vec<u8>) -> Option<Self> {
        let mut words = head.lines().next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // `/v1.47/containers/json`
        let path = path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')).map_or(path, |(_, rest)| rest);
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            method,
            path: decoded(path.trim_start_matches('/')),
            query: query.map(|(name, value)| (name.to_owned(), decoded(value))).collect(),
            body,
        })
    }

    fn asked(&self, name: &str) -> String {
        self.query.get(name).cloned().unwrap_or_default()
    }
}

async fn answer(request: &Request, fake: &Fake) -> Result<(u16, Value), Error> {
    let (kind, rest) = request.path.split_once('/').unwrap_or((&request.path, ""));
    let (name, act) = rest.rsplit_once('/').unwrap_or((rest, ""));
    Ok(match (request.method.as_str(), kind, name, act) {
        ("GET", "containers", "json", _) => (200, containers(fake).await?),
        ("GET", "distribution", name, "json") => {
            // Every image is in the registry.
            fake.world().publish(name, name);
            let digest = fake.registry_digest(name, None).await?;
            let descriptor = json!({ "mediaType": "x", "digest": digest, "size": 1 });
            (200, json!({ "Descriptor": descriptor, "Platforms": [] }))
        }
        // `v2/NAME/manifests/TAG`
        ("GET", "v2", name, tag) => {
            let reference = format!("{REGISTRY}/{}:{tag}", name.trim_end_matches("/manifests"));
            fake.world().publish(&reference, &reference);
            (200, json!(fake.registry_digest(&reference, None).await?))
        }
        ("GET", "images", name, "json") => match fake.image(name).await? {
            Some(image) => (200, json!({ "Id": image.id })),
            None => (404, json!({ "message": format!("No such image: {name}") })),
        },
        ("POST", "images", "create", _) => {
            let (image, tag) = (request.asked("fromImage"), request.asked("tag"));
            let reference = if tag.is_empty() { image } else { format!("{image}:{tag}") };
            fake.world().publish(&reference, &reference);
            fake.pull(&reference, None, &|_, _| {}).await?;
            (200, json!({ "status": "done" }))
        }
        ("POST", "containers", "create", _) => {
            let id = fake.create(&spec(&request.asked("name"), &request.body)).await?;
            (201, json!({ "Id": id, "Warnings": [] }))
        }
        ("POST", "containers", name, "start") => (204, fake.start(name).await.map(|()| Value::Null)?),
        ("POST", "containers", name, "stop") => (204, fake.stop(name, 0).await.map(|()| Value::Null)?),
        ("POST", "containers", name, "rename") => {
            (204, fake.rename(name, &request.asked("name")).await.map(|()| Value::Null)?)
        }
        ("DELETE", "containers", name, _) if fake.containers().await?.contains_key(name) => {
            (204, fake.remove(name).await.map(|()| Value::Null)?)
        }
        ("POST", "volumes", "create", _) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let name = body["Name"].as_str().unwrap_or_default();
            fake.volume_create(name, &texts(&body["Labels"])).await?;
            let volume = json!({
                "Name": name, "Driver": "local", "Mountpoint": "/x", "Labels": {}, "Scope": "local", "Options": {},
            });
            (201, volume)
        }
        _ => (404, json!({ "message": format!("no such thing: {} {}", request.method, request.path) })),
    })
}

/// With what the real list has besides what is read of it, so that it is as long.
async fn containers(fake: &Fake) -> Result<Value, Error> {
    let list = fake.containers().await?.into_values().map(|state| {
        json!({
            "Id": state.id, "Names": [format!("/{}", state.name)], "Image": state.image_id, "ImageID": state.image_id,
            "Command": "dumb-init --single-child -- kolla_start", "Created": state.created, "Ports": [],
            "Labels": state.labels, "State": state.state, "Status": state.status,
            "HostConfig": { "NetworkMode": "host" },
            "NetworkSettings": { "Networks": { "host": {
                "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "DriverOpts": null,
                "NetworkID": state.id, "EndpointID": state.id, "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
                "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
            } } },
            "Mounts": [{
                "Type": "bind", "Source": "/etc/localtime", "Destination": "/etc/localtime", "Mode": "ro", "RW": false,
                "Propagation": "rprivate",
            }],
        })
    });
    Ok(list.collect())
}

/// The parts of a container that a host in memory goes by.
fn spec(name: &str, body: &[u8]) -> ContainerSpec {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mounts = body["HostConfig"]["Binds"].as_array().into_iter().flatten();
    ContainerSpec {
        name: name.to_owned(),
        image: body["Image"].as_str().unwrap_or_default().to_owned(),
        mounts: mounts.filter_map(|mount| mount.as_str().map(str::to_owned)).collect(),
        labels: texts(&body["Labels"]),
        restart: true,
        ..ContainerSpec::default()
    }
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// `%2F` and the like as what they stand for.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
