//! The registry's own HTTP interface, as far as it tells what is already there.

use std::time::Duration;

use serde_json::Value;

use crate::host::{HttpAsk, here};

/// Manifests as engines push them.
const MANIFESTS: &str =
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json";
const LIMIT: Duration = Duration::from_secs(10);

/// What a registry answered: status, digest header and body.
struct Answer {
    status: u16,
    digest: Option<String>,
    body: Value,
}

/// What identifies an image in a registry: the digests of its manifest and of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// What engines show after `@` in a repository digest.
    pub(super) manifest: String,
    /// What most engines use as the image's id.
    pub(super) config: String,
}

/// Whether a registry answers at `address`.
pub(super) async fn answers(address: &str) -> bool {
    get(address, "/v2/").await.is_some_and(|answer| answer.status == 200)
}

/// The image under a tag; `None` when there is none, or the registry does not speak plain HTTP.
pub(super) async fn identity(address: &str, repository: &str, tag: &str) -> Option<Identity> {
    let answer = get(address, &format!("/v2/{repository}/manifests/{tag}")).await?;
    let config = answer.body["config"]["digest"].as_str()?.to_owned();
    Some(Identity { manifest: answer.digest?, config })
}

/// `REPOSITORY:TAG` of all images; `None` where the registry does not tell.
pub(super) async fn images(address: &str) -> Option<Vec<String>> {
    let names = |answer: &Answer, key: &str| -> Vec<String> {
        let names = answer.body[key].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    let catalog = get(address, "/v2/_catalog?n=1000").await?;
    for repository in names(&catalog, "repositories") {
        let tags = get(address, &format!("/v2/{repository}/tags/list")).await?;
        found.extend(names(&tags, "tags").into_iter().map(|tag| format!("{repository}:{tag}")));
    }
    found.sort();
    Some(found)
}

async fn get(address: &str, path: &str) -> Option<Answer> {
    let (address, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    let ask = HttpAsk {
        address: address.trim_matches(['[', ']']).to_owned(),
        port: port.parse().ok()?,
        path: path.to_owned(),
        headers: vec![("accept".into(), MANIFESTS.into())],
        ..HttpAsk::default()
    };
    let mut answer = here::http(&ask, LIMIT).await.ok()?;
    let digest = answer.headers.remove("docker-content-digest");
    Some(Answer { status: answer.status, digest, body: serde_json::from_slice(&answer.body).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_image_is_identified_by_header_and_manifest() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /v2/kolla/base/manifests/1 "));
            let body = r#"{"config": {"digest": "sha256:c"}}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:m\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
            // The other end closes first, or its last read could fail.
            let _ = stream.read(&mut request).await;
        });
        let found = identity(&address, "kolla/base", "1").await.unwrap();
        assert_eq!(found, Identity { manifest: "sha256:m".into(), config: "sha256:c".into() });
        assert!(!answers("127.0.0.1:1").await);
    }

    /// As Python's and Go's servers do at the end of an answer, and proxies when they are busy.
    #[tokio::test]
    async fn an_answer_counts_also_when_the_server_closes_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let count = stream.read(&mut request).await.unwrap();
                let body: &[u8] = if request[..count].starts_with(b"GET /v2/_catalog") {
                    br#"{"repositories": ["kolla/base"]}"#
                } else {
                    br#"{"tags": ["1"]}"#
                };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            }
        });
        for _ in 0..50 {
            assert_eq!(images(&address).await, Some(vec!["kolla/base:1".to_owned()]));
        }
        assert_eq!(images("127.0.0.1:1").await, None);
    }
}
