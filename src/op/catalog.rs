//! What Keystone is to know of a service: the service, its endpoints, and the user as whom it asks others.
//!
//! A receipt in the database says what was last made so: a run with nothing to do asks Keystone nothing. What is there
//! is compared and changed only when the receipt differs.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::database::Sql;
use super::files::digest_of;
use super::message_queue::escape;
use super::patience::{http_not_yet, until_it_serves};
use super::{Diff, Operation, Tell, View};
use crate::error::{Error, Result};
use crate::host::{HttpAnswer, HttpAsk, Remote};
use crate::shell::Secret;

/// How long one answer may take.
const WITHIN: Duration = Duration::from_mins(1);

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

/// A service as Keystone is to know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalog {
    /// Its name, as `glance`; empty where only a user is wanted.
    pub service: String,
    /// Its type, as `image`.
    pub service_type: String,
    /// Its URLs by interface.
    pub endpoints: BTreeMap<String, String>,
    /// The user as whom it asks others; empty where it needs none.
    pub user: String,
    /// The project in which that user has its roles.
    pub project: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The password's digest, so that a changed one is a changed operation.
    pub password_digest: String,
    /// The password.
    #[serde(skip)]
    pub password: Secret,
    /// Where Keystone is.
    pub identity: Identity,
    /// Where the receipt is.
    pub sql: Sql,
}

/// Keystone with a token.
struct Session<'a> {
    identity: &'a Identity,
    token: String,
}

/// What Keystone has of what is wanted.
#[derive(Debug, Default)]
struct Found {
    service: Option<String>,
    /// Id and URL by interface.
    endpoints: BTreeMap<String, (String, String)>,
    user: Option<String>,
    project: Option<String>,
    /// Ids of roles by name.
    roles: BTreeMap<String, String>,
    /// Ids of the roles that the user has in the project.
    granted: Vec<String>,
}

impl Identity {
    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> HttpAsk {
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if !token.is_empty() {
            headers.push(("x-auth-token".into(), token.into()));
        }
        HttpAsk {
            address: self.address.clone(),
            port: self.port,
            method: method.into(),
            path: format!("/v3{path}"),
            headers,
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        }
    }

    /// Logs in, as soon as somebody answers: the load balancer may only just have learnt of it.
    async fn log_in(&self, host: &Remote) -> Result<Session<'_>> {
        let domain = json!({ "id": "default" });
        let user = json!({ "name": self.user, "domain": domain, "password": self.password.reveal() });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": self.project, "domain": domain } },
        }});
        let ask = self.ask("POST", "/auth/tokens", "", &body);
        let answer = until_it_serves(|| host.act().http(&ask, WITHIN), http_not_yet).await?;
        if answer.status == 401 {
            return Err(Error::operation(format!("Keystone refuses user {}", self.user))
                .with_hint("`keystone_admin_password` is not the one that Keystone was made with"));
        }
        match answer.headers.get("x-subject-token") {
            Some(token) if answer.status == 201 => Ok(Session { identity: self, token: token.clone() }),
            _ => Err(refused("POST /v3/auth/tokens", &answer)),
        }
    }
}

fn refused(what: &str, answer: &HttpAnswer) -> Error {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Error::operation(format!("Keystone refused {what}: {}", answer.status)).because(text)
}

impl Session<'_> {
    /// Everything of a kind that a filter lets through.
    async fn list(&self, host: &Remote, path: &str) -> Result<Vec<Value>> {
        let answer = host.get(&self.identity.ask("GET", path, &self.token, &Value::Null), WITHIN).await?;
        if answer.status != 200 {
            return Err(refused(&format!("GET /v3{path}"), &answer));
        }
        let value: Value = serde_json::from_slice(&answer.body).map_err(|error| {
            Error::operation(format!("Keystone gave no JSON for {path}")).because(error.to_string())
        })?;
        // The one list in the answer; its name is that of the kind.
        let lists = value.as_object().into_iter().flatten().find_map(|(_, value)| value.as_array().cloned());
        Ok(lists.unwrap_or_default())
    }

    /// The id of the one object of a name.
    async fn id(&self, host: &Remote, path: &str) -> Result<Option<String>> {
        Ok(self.list(host, path).await?.first().and_then(|found| Some(found["id"].as_str()?.to_owned())))
    }

    /// Sends a change; the id of what was made, where the answer has one.
    async fn send(&self, host: &Remote, method: &str, path: &str, body: &Value) -> Result<String> {
        let answer = host.act().http(&self.identity.ask(method, path, &self.token, body), WITHIN).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(&format!("{method} /v3{path}"), &answer));
        }
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let made = value.as_object().into_iter().flatten().find_map(|(_, value)| value["id"].as_str());
        Ok(made.unwrap_or_default().to_owned())
    }
}

impl Catalog {
    /// One with the user's password.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password_digest = digest_of(password.reveal().as_bytes());
        self.password = password;
        self
    }

    fn name(&self) -> &str {
        if self.service.is_empty() { &self.user } else { &self.service }
    }

    fn step(&self) -> String {
        format!("catalog {}", self.name())
    }

    fn digest(&self) -> String {
        let said = json!([
            self.service,
            self.service_type,
            self.endpoints,
            self.user,
            self.project,
            self.roles,
            self.password_digest,
            self.identity.region,
        ]);
        digest_of(said.to_string().as_bytes())
    }

    async fn find(&self, keystone: &Session<'_>, host: &Remote) -> Result<Found> {
        let mut found = Found::default();
        if !self.service.is_empty() {
            let filter = format!("/services?name={}&type={}", escape(&self.service), escape(&self.service_type));
            found.service = keystone.id(host, &filter).await?;
        }
        if let Some(service) = &found.service {
            let region = escape(&self.identity.region);
            for endpoint in keystone.list(host, &format!("/endpoints?service_id={service}&region_id={region}")).await? {
                let text = |key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
                found.endpoints.insert(text("interface"), (text("id"), text("url")));
            }
        }
        if self.user.is_empty() {
            return Ok(found);
        }
        let named = |kind: &str, name: &str| format!("/{kind}?name={}&domain_id=default", escape(name));
        found.user = keystone.id(host, &named("users", &self.user)).await?;
        found.project = keystone.id(host, &named("projects", &self.project)).await?;
        for role in keystone.list(host, "/roles").await? {
            if let (Some(name), Some(id)) = (role["name"].as_str(), role["id"].as_str()) {
                found.roles.insert(name.to_owned(), id.to_owned());
            }
        }
        if let (Some(user), Some(project)) = (&found.user, &found.project) {
            let granted = keystone.list(host, &format!("/projects/{project}/users/{user}/roles")).await?;
            found.granted = granted.iter().filter_map(|role| role["id"].as_str().map(str::to_owned)).collect();
        }
        Ok(found)
    }

    async fn make(&self, keystone: &Session<'_>, found: Found, host: &Remote) -> Result<()> {
        if !self.service.is_empty() {
            let service = if let Some(id) = found.service {
                id
            } else {
                let body = json!({ "service": { "name": self.service, "type": self.service_type, "enabled": true } });
                keystone.send(host, "POST", "/services", &body).await?
            };
            for (interface, url) in &self.endpoints {
                match found.endpoints.get(interface) {
                    Some((_, there)) if there == url => {}
                    Some((id, _)) => {
                        let body = json!({ "endpoint": { "url": url } });
                        keystone.send(host, "PATCH", &format!("/endpoints/{id}"), &body).await?;
                    }
                    None => {
                        let region = &self.identity.region;
                        let body = json!({ "endpoint": {
                            "service_id": service, "interface": interface, "url": url, "region_id": region,
                        }});
                        keystone.send(host, "POST", "/endpoints", &body).await?;
                    }
                }
            }
        }
        if self.user.is_empty() {
            return Ok(());
        }
        let project = if let Some(id) = found.project {
            id
        } else {
            let body = json!({ "project": { "name": self.project, "domain_id": "default" } });
            keystone.send(host, "POST", "/projects", &body).await?
        };
        let password = self.password.reveal();
        let user = if let Some(id) = found.user {
            let body = json!({ "user": { "password": password, "default_project_id": project, "enabled": true } });
            keystone.send(host, "PATCH", &format!("/users/{id}"), &body).await?;
            id
        } else {
            let body = json!({ "user": {
                "name": self.user, "domain_id": "default", "default_project_id": project, "password": password,
            }});
            keystone.send(host, "POST", "/users", &body).await?
        };
        for name in &self.roles {
            let role = match found.roles.get(name) {
                Some(id) => id.clone(),
                None => keystone.send(host, "POST", "/roles", &json!({ "role": { "name": name } })).await?,
            };
            if !found.granted.contains(&role) {
                let path = format!("/projects/{project}/users/{user}/roles/{role}");
                keystone.send(host, "PUT", &path, &Value::Null).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Operation for Catalog {
    fn subject(&self) -> String {
        self.step()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.container(&self.sql.container).is_some_and(|state| state.running()) {
            return Ok(Diff::Create(vec![format!("container {} does not run yet", self.sql.container)]));
        }
        Ok(match at.shared.database(&self.sql, at.host()).await?.receipts.get(&self.step()) {
            Some(digest) if *digest == self.digest() => Diff::Same("registered".into()),
            Some(_) => Diff::Update(Vec::new()),
            None => Diff::Create(Vec::new()),
        })
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _tell: &Tell) -> Result<()> {
        let keystone = self.identity.log_in(host).await?;
        let found = self.find(&keystone, host).await?;
        self.make(&keystone, found, host).await?;
        self.sql.note(at, host, &self.step(), &self.digest()).await
    }
}
