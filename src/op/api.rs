//! The APIs of OpenStack as a host reaches them: a token of Keystone, and requests in JSON with it.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::retry::{http_not_yet, until_it_serves};
use crate::error::{Error, Result};
use crate::host::{HttpAnswer, HttpAsk, Observer, OnProgress, Remote};
use crate::shell::Secret;
use crate::source::{Fields, Keys, Node, Shape};
use crate::template::Values;

/// How long one answer may take.
const WITHIN: Duration = Duration::from_mins(1);
/// How long an upload may stand still.
const STILL: Duration = Duration::from_mins(2);
/// How often an object is to be made whose making got no answer.
const TRIES: u32 = 3;
/// How much of an answer that is not JSON is worth telling.
const WORDS: usize = 300;

/// Where Keystone is asked, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Address as seen from the host.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User, of the domain `Default`.
    pub user: String,
    /// Its project.
    pub project: String,
    /// The region of endpoints.
    pub region: String,
    /// Its password.
    #[serde(skip)]
    pub password: Secret,
}

impl Identity {
    /// What is written of it.
    pub const KEYS: Keys = Keys::new(
        &[
            ("address", Shape::Text),
            ("port", Shape::Text),
            ("user", Shape::Text),
            ("project", Shape::Text),
            ("region", Shape::Text),
            ("password", Shape::Text),
        ],
        &["address", "port", "user", "project", "region", "password"],
    );

    /// What a service with the key `identity` offers.
    pub fn offered(node: &Node, _container: &str, values: &mut Values<'_>) -> Self {
        let mut fields = Fields::of(values.document, node);
        let [address, user, project, region, password] =
            ["address", "user", "project", "region", "password"].map(|key| values.text_at(&mut fields, key));
        let port = fields.take("port").map(|node| values.port(node)).unwrap_or_default();
        Self { address, port, user, project, region, password: Secret::new(password) }
    }
}

/// What a log-in brought: a token, and where the services are.
#[derive(Debug, Clone)]
pub struct Session {
    /// Keystone itself.
    pub keystone: Api,
    /// Id of the project.
    pub project: String,
    region: String,
    catalog: Vec<Value>,
}

/// A service's API, with a token for it.
#[derive(Debug, Clone)]
pub struct Api {
    /// The service's name, as `nova`.
    pub name: String,
    address: String,
    port: u16,
    /// What all its paths begin with, as `/v2.1`.
    base: String,
    token: Secret,
    /// Asks again where who stands before the service says that it did not answer.
    patient: bool,
}

/// Where an API lists its agents, each of which says whether it is up, and by which keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Type of the service, as `compute`.
    pub service_type: String,
    /// Path of the list.
    pub path: String,
    /// Key of the host's name.
    pub host: String,
    /// Key of the agent's name.
    pub name: String,
    /// Key of its state: `up`, or true.
    pub state: String,
}

impl Listing {
    /// What is written of it.
    pub const KEYS: Keys = Keys::new(
        &[
            ("type", Shape::Text),
            ("path", Shape::Text),
            ("host", Shape::Text),
            ("name", Shape::Text),
            ("state", Shape::Text),
        ],
        &["type", "path", "host", "name", "state"],
    );

    /// What is written, as a host sees it.
    pub fn resolve(node: &Node, values: &mut Values<'_>) -> Self {
        let mut fields = Fields::of(values.document, node);
        let [service_type, path, host, name, state] =
            ["type", "path", "host", "name", "state"].map(|key| values.text_at(&mut fields, key));
        Self { service_type, path, host, name, state }
    }
}

/// An agent or service of the cloud, as an API lists it, that says of itself whether it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its host, by the cloud's name for it.
    pub host: String,
    /// Its name, as `nova-compute`.
    pub name: String,
    /// It answers.
    pub up: bool,
}

impl Identity {
    /// Logs in, as soon as somebody answers: the load balancer may only just have learnt of it.
    ///
    /// # Errors
    /// When nobody does within a minute, or the password is wrong.
    pub async fn log_in(&self, host: &Remote) -> Result<Session> {
        let ask = self.question();
        self.session(&until_it_serves(|| host.act().http(&ask, WITHIN), http_not_yet).await?)
    }

    /// Logs in now or not at all.
    ///
    /// # Errors
    /// When Keystone does not answer, or the password is wrong.
    pub async fn log_in_at_once(&self, host: &Remote) -> Result<Session> {
        self.session(&host.act().http(&self.question(), WITHIN).await?)
    }

    fn keystone(&self, token: &str) -> Api {
        Api {
            name: "Keystone".into(),
            address: self.address.clone(),
            port: self.port,
            base: "/v3".into(),
            token: Secret::new(token),
            patient: false,
        }
    }

    fn question(&self) -> HttpAsk {
        let domain = json!({ "id": "default" });
        let user = json!({ "name": self.user, "domain": domain, "password": self.password.reveal() });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": self.project, "domain": domain } },
        }});
        self.keystone("").ask("POST", "/auth/tokens", &body)
    }

    fn session(&self, answer: &HttpAnswer) -> Result<Session> {
        if answer.status == 401 {
            return Err(Error::operation(format!("Keystone refuses user {}", self.user))
                .with_hint("`keystone_admin_password` is not the one that Keystone was made with"));
        }
        let token = match answer.headers.get("x-subject-token") {
            Some(token) if answer.status == 201 => token,
            _ => return Err(self.keystone("").refused("POST", "/auth/tokens", answer)),
        };
        let about: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Session {
            keystone: self.keystone(token),
            project: text(&about["token"]["project"]["id"]),
            region: self.region.clone(),
            catalog: about["token"]["catalog"].as_array().cloned().unwrap_or_default(),
        })
    }
}

impl Session {
    /// The API of a type of service, as `compute`, at its internal address.
    ///
    /// # Errors
    /// When Keystone knows of none.
    pub fn api(&self, service: &str) -> Result<Api> {
        let of_type = |entry: &&Value| entry["type"] == service;
        let ours = |endpoint: &&Value| {
            endpoint["interface"] == "internal" && (endpoint["region_id"] == self.region || self.region.is_empty())
        };
        for entry in self.catalog.iter().filter(of_type) {
            let Some(endpoint) = entry["endpoints"].as_array().into_iter().flatten().find(ours) else { continue };
            let (address, port, base) = place(&text(&endpoint["url"]))?;
            let token = self.keystone.token.clone();
            return Ok(Api { name: text(&entry["name"]), address, port, base, token, patient: false });
        }
        Err(Error::operation(format!("Keystone knows no {service} service in region {}", self.region))
            .with_hint("enable it and run `kolla deploy` first"))
    }

    /// The agents that a service lists.
    ///
    /// # Errors
    /// When it does not answer, or is not there.
    pub async fn agents(&self, host: &Observer, listing: &Listing) -> Result<Vec<Agent>> {
        let found = self.api(&listing.service_type)?.find(host, &listing.path).await?;
        Ok(found
            .iter()
            .map(|entry| Agent {
                host: text(&entry[&listing.host]),
                name: text(&entry[&listing.name]),
                up: [json!("up"), json!(true)].contains(&entry[&listing.state]),
            })
            .collect())
    }
}

/// Address, port and path of a URL.
///
/// # Errors
/// When it is none that can be asked from a host.
pub fn place(url: &str) -> Result<(String, u16, String)> {
    let wrong = |why: &str| Error::operation(format!("`{url}` cannot be asked: {why}"));
    let parts: hyper::Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
    if parts.scheme_str() != Some("http") {
        return Err(wrong("only http is spoken on the internal network"));
    }
    let address = parts.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Ok((address, parts.port_u16().unwrap_or(80), parts.path().trim_end_matches('/').to_owned()))
}

impl Api {
    /// The same, asked again for a while where the load balancer says that it got no answer: on a host that is busy with a
    /// first deployment a service may take longer than it waits.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Asks what may be asked twice.
    async fn again<F: Future<Output = Result<HttpAnswer>>>(&self, request: impl Fn() -> F) -> Result<HttpAnswer> {
        let cut_off = |answer: &Result<HttpAnswer>| matches!(answer, Ok(answer) if unanswered(answer.status));
        if self.patient { until_it_serves(request, cut_off).await } else { request().await }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> HttpAsk {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if !self.token.reveal().is_empty() {
            headers.push(("x-auth-token".into(), self.token.reveal().into()));
        }
        HttpAsk {
            address: self.address.clone(),
            port: self.port,
            method: method.into(),
            path: format!("{}{path}", self.base),
            headers,
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        }
    }

    /// What is there under a path: all of a list, or the one object; nothing where there is none.
    ///
    /// # Errors
    /// When the service does not answer, or refuses.
    pub async fn find(&self, host: &Observer, path: &str) -> Result<Vec<Value>> {
        let ask = self.ask("GET", path, &Value::Null);
        let answer = self.again(|| host.get(&ask, WITHIN)).await?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let value = self.value("GET", path, &answer)?;
        // The one list in the answer; its name is that of the kind.
        let list = value.as_object().into_iter().flatten().find_map(|(_, value)| value.as_array().cloned());
        Ok(list.unwrap_or_else(|| vec![object(value)]))
    }

    /// The id of the first object there.
    ///
    /// # Errors
    /// As of [`Self::find`].
    pub async fn id(&self, host: &Observer, path: &str) -> Result<Option<String>> {
        Ok(self.find(host, path).await?.first().and_then(|found| Some(found["id"].as_str()?.to_owned())))
    }

    /// Sends a change; the object that the answer is about.
    ///
    /// # Errors
    /// When the service does not answer, or refuses: with its own words.
    pub async fn send(&self, host: &Remote, method: &str, path: &str, body: &Value) -> Result<Value> {
        let ask = self.ask(method, path, body);
        let request = || host.act().http(&ask, WITHIN);
        let answer = if method == "POST" { request().await? } else { self.again(request).await? };
        self.value(method, path, &answer).map(object)
    }

    /// Makes an object; its id.
    ///
    /// # Errors
    /// As of [`Self::send`].
    pub async fn make(&self, host: &Remote, path: &str, body: &Value) -> Result<String> {
        Ok(text(&self.send(host, "POST", path, body).await?["id"]))
    }

    /// Makes an object that others may be making at the same moment, or that is there although the answer to its making was
    /// lost: the id of the one that is there then. `path` lists those of its name.
    ///
    /// # Errors
    /// As of [`Self::send`].
    pub async fn make_shared(&self, host: &Remote, path: &str, body: &Value) -> Result<String> {
        let kind = path.split('?').next().unwrap_or(path);
        let ask = self.ask("POST", kind, body);
        let mut tries = 1;
        loop {
            let answer = host.act().http(&ask, WITHIN).await?;
            let lost = self.patient && unanswered(answer.status);
            if (lost || answer.status == 409)
                && let Some(id) = self.id(host, path).await?
            {
                return Ok(id);
            }
            if !lost || tries == TRIES {
                return Ok(text(&object(self.value("POST", kind, &answer)?)["id"]));
            }
            tries += 1;
        }
    }

    /// Sends a file of this machine as it is.
    ///
    /// # Errors
    /// As of [`Self::send`]; when the file cannot be read, or nothing of it was taken for two minutes.
    pub async fn upload(&self, host: &Remote, path: &str, file: &Path, progress: OnProgress<'_>) -> Result<()> {
        let mut ask = self.ask("PUT", path, &Value::Null);
        ask.headers[0].1 = "application/octet-stream".into();
        let answer = host.act().upload(&ask, file, STILL, progress).await?;
        self.value("PUT", path, &answer).map(drop)
    }

    fn value(&self, method: &str, path: &str, answer: &HttpAnswer) -> Result<Value> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(method, path, answer));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            Error::operation(format!("{} gave no JSON for {method} {path}", self.name)).because(error.to_string())
        })
    }

    fn refused(&self, method: &str, path: &str, answer: &HttpAnswer) -> Error {
        let (name, base, status) = (&self.name, &self.base, answer.status);
        let mut said = words(&answer.body);
        if let Some(request) = answer.headers.get("x-openstack-request-id") {
            said = format!("{said} ({request})");
        }
        let error = Error::operation(format!("{name} refused {method} {base}{path}: {status}")).because(said);
        match status {
            403 => error.with_hint("the user needs the role `admin` in its project"),
            500.. => error.with_hint(format!("`kolla status` tells whether {name} runs, its log what went wrong")),
            _ => error,
        }
    }
}

/// Who stands before a service got no answer from it, in time or at all: what was asked may have been done.
fn unanswered(status: u16) -> bool {
    (502..=504).contains(&status)
}

/// A text of an answer; empty where there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The object of an answer: itself, or what is under the name of its kind.
fn object(mut answer: Value) -> Value {
    if answer["id"].is_string() {
        return answer;
    }
    let inner = answer.as_object_mut().and_then(|object| object.values_mut().find(|value| value.is_object()));
    inner.map(Value::take).unwrap_or(answer)
}

/// The API's own words: each has them in another place, and what stands before it answers in HTML.
fn words(body: &[u8]) -> String {
    let raw = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&raw).unwrap_or_default();
    if let Some(message) = value.as_object().into_iter().flatten().find_map(|(_, inner)| inner["message"].as_str()) {
        return message.to_owned();
    }
    let mut inside = false;
    let plain = raw.chars().map(|c| {
        inside = c == '<' || (inside && c != '>');
        if inside || c == '>' { ' ' } else { c }
    });
    let plain = plain.collect::<String>();
    plain.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_is_quoted_whatever_it_answers_in() {
        assert_eq!(
            words(br#"{"NeutronError": {"type": "X", "message": "physnet1 is unknown"}}"#),
            "physnet1 is unknown"
        );
        assert_eq!(
            words(b"<html><body><h1>503 Service Unavailable</h1>\nNo server.</body></html>"),
            "503 Service Unavailable No server."
        );
    }

    #[test]
    fn an_internal_url_has_its_parts() {
        let parts = |url| place(url).map(|(address, port, base)| format!("{address} {port} {base}"));
        assert_eq!(parts("http://[fd00::1]:8774/v2.1/").unwrap(), "fd00::1 8774 /v2.1");
        assert_eq!(parts("http://cloud.internal:5000").unwrap(), "cloud.internal 5000 ");
        assert!(parts("https://10.0.0.250:5000").is_err() && parts("").is_err());
    }
}
