//! A registry in plain HTTP, asked for the digest of an image without an engine between.
//!
//! An engine asks several things, each over a connection of its own, before it tells a digest. With 30 images that was most of
//! the time of a run that changes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::host::{HttpAsk, Observer, registry, repository};

/// One that answers at all does so at once; a question to another port that does not answer may be before this one for half a
/// second (`Session::open_tcp`). The engine's own patience comes after it, and where only the engine has a way to the registry,
/// by a proxy, each run waits for so long.
const WITHIN: Duration = Duration::from_secs(2);
/// What a manifest may be. A registry tells the digest of what it finds among these, as an engine asks for it.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A registry that engines are told to ask in plain HTTP, and that asks nobody for a login.
#[derive(Debug)]
pub struct PlainRegistry {
    address: String,
    /// It has answered in another way: the rest is for the engine.
    other: AtomicBool,
}

impl PlainRegistry {
    /// By its address, as image references begin with it.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), other: AtomicBool::new(false) }
    }

    /// The digest of an image, asked from a host; none where the engine has to say why.
    pub async fn digest(&self, reference: &str, host: &Observer) -> Option<String> {
        if registry(reference) != self.address || self.other.load(Ordering::Relaxed) {
            return None;
        }
        let repository = repository(reference);
        let name = repository.strip_prefix(&self.address)?.strip_prefix('/')?;
        let tag = reference[repository.len()..].rsplit('@').next()?.trim_start_matches(':');
        let tag = if tag.is_empty() { "latest" } else { tag };
        let (address, port) = self.address.rsplit_once(':').unwrap_or((&self.address, "80"));
        let ask = HttpAsk {
            address: address.trim_matches(['[', ']']).to_owned(),
            port: port.parse().ok()?,
            path: format!("/v2/{name}/manifests/{tag}"),
            headers: vec![("accept".into(), MANIFESTS.join(", "))],
            ..HttpAsk::default()
        };
        let answer = host.get(&ask, WITHIN).await.unwrap_or_default();
        let digest = answer.headers.get("docker-content-digest").filter(|_| answer.status == 200);
        if digest.is_none() && answer.status != 404 {
            self.other.store(true, Ordering::Relaxed);
        }
        digest.cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::host::HttpAnswer;
    use crate::host::fake::Fake;

    #[tokio::test]
    async fn a_digest_is_asked_for_by_name_and_tag_and_all_else_is_left_to_the_engine() {
        let fake = Fake::new("a");
        let host = Observer::new(fake.machine());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let paths = asked.clone();
        fake.on_http(move |_, ask| {
            paths.lock().unwrap().push(format!("{}:{}{}", ask.address, ask.port, ask.path));
            let status = if ask.path.contains("gone") {
                404
            } else if ask.path.contains("login") {
                401
            } else {
                200
            };
            let headers = [("docker-content-digest".to_owned(), "sha256:1".to_owned())].into();
            Some(HttpAnswer { status, headers, body: Vec::new() })
        });
        let registry = PlainRegistry::new("10.0.0.1:4000");
        let mut digests = Vec::new();
        for image in ["kolla/web:1", "kolla/web", "kolla/gone:1", "kolla/web:2", "kolla/login:1", "kolla/web:3"] {
            digests.push(registry.digest(&format!("10.0.0.1:4000/{image}"), &host).await);
        }
        digests.push(PlainRegistry::new("10.0.0.1:4000").digest("quay.io/kolla/web:1", &host).await);
        let some = Some("sha256:1".to_owned());
        assert_eq!(digests, [some.clone(), some.clone(), None, some, None, None, None]);
        let paths =
            ["web/manifests/1", "web/manifests/latest", "gone/manifests/1", "web/manifests/2", "login/manifests/1"];
        assert_eq!(*asked.lock().unwrap(), paths.map(|path| format!("10.0.0.1:4000/v2/kolla/{path}")));
    }
}
