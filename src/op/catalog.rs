//! What Keystone is to know of a service: the service, its endpoints, and the user as whom it asks others.
//!
//! A receipt in the database says what was last made so: a run with nothing to do asks Keystone nothing. What is there
//! is compared and changed only when the receipt differs. Steps of several services run at the same time, and share a
//! project and roles: one that finds such an object made by another in between takes that.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::Api;
pub use super::api::Identity;
use super::database;
use super::file::digest_of;
use super::sql::Sql;
use super::word::{At, Offer, Step, StepContext, WaitsFor, Word};
use super::{Attributes, Diff, Op, Operation, ProgressSink, View};
use crate::error::Result;
use crate::host::Remote;
use crate::shell::{Secret, url_segment};
use crate::source::{Fields, Keys, Node, Shape};

/// A catalog of services.
pub const OFFER: Offer = Offer { key: ("identity", Shape::Keys(&Identity::KEYS)), what: "catalog" };

/// The step `catalog`.
pub const STEP: Word<Step> = Word {
    key: (
        "catalog",
        Shape::Keys(&Keys::new(
            &[
                ("service", Shape::Text),
                ("type", Shape::Text),
                ("internal", Shape::Text),
                ("public", Shape::Text),
                ("user", Shape::Text),
                ("password", Shape::Text),
                ("project", Shape::Text),
                ("roles", Shape::Words),
            ],
            &[],
        )),
    ),
    // What Keystone was told is noted in the database.
    means: Step {
        at: At::Offer(&database::OFFER),
        waits_for: WaitsFor::Offers,
        uses: &[&OFFER, &database::OFFER],
        resolve,
    },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let sql = context.offered(&database::OFFER, Sql::offered);
    let identity = context.offered(&OFFER, Identity::offered);
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let [service, service_type, internal, public] =
        ["service", "type", "internal", "public"].map(|key| values.text_at(&mut fields, key));
    let [user, password, project] = ["user", "password", "project"].map(|key| values.text_at(&mut fields, key));
    let roles = fields.take("roles").map_or_else(|| vec!["admin".to_owned()], |node| values.words(node));
    if !service.is_empty() && service_type.is_empty() {
        fields.against(node, "a service in the catalog has a `type`, as `image`");
    }
    if service.is_empty() && user.is_empty() {
        fields.against(node, "a catalog step names a `service`, a `user` or both");
    }
    values.note_all(fields.finish());
    let endpoints = [("internal".to_owned(), internal), ("public".to_owned(), public)];
    let catalog = Catalog {
        service,
        service_type,
        endpoints: endpoints.into_iter().filter(|(_, url)| !url.is_empty()).collect(),
        user,
        project: if project.is_empty() { "service".to_owned() } else { project },
        roles,
        identity,
        sql,
        ..Catalog::default()
    };
    catalog.with_password(Secret::new(password)).into()
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

    /// Where the service is listed.
    fn service_path(&self) -> String {
        format!("/services?name={}&type={}", url_segment(&self.service), url_segment(&self.service_type))
    }

    async fn find(&self, keystone: &Api, host: &Remote) -> Result<Found> {
        let mut found = Found::default();
        if !self.service.is_empty() {
            found.service = keystone.id(host, &self.service_path()).await?;
        }
        if let Some(service) = &found.service {
            let region = url_segment(&self.identity.region);
            for endpoint in keystone.find(host, &format!("/endpoints?service_id={service}&region_id={region}")).await? {
                let text = |key: &str| endpoint[key].as_str().unwrap_or_default().to_owned();
                found.endpoints.insert(text("interface"), (text("id"), text("url")));
            }
        }
        if self.user.is_empty() {
            return Ok(found);
        }
        found.user = keystone.id(host, &of_default_domain("users", &self.user)).await?;
        found.project = keystone.id(host, &of_default_domain("projects", &self.project)).await?;
        for role in keystone.find(host, "/roles").await? {
            if let (Some(name), Some(id)) = (role["name"].as_str(), role["id"].as_str()) {
                found.roles.insert(name.to_owned(), id.to_owned());
            }
        }
        if let (Some(user), Some(project)) = (&found.user, &found.project) {
            let granted = keystone.find(host, &format!("/projects/{project}/users/{user}/roles")).await?;
            found.granted = granted.iter().filter_map(|role| role["id"].as_str().map(str::to_owned)).collect();
        }
        Ok(found)
    }

    async fn make(&self, keystone: &Api, found: Found, host: &Remote) -> Result<()> {
        if !self.service.is_empty() {
            let service = if let Some(id) = found.service {
                id
            } else {
                let body = json!({ "service": { "name": self.service, "type": self.service_type, "enabled": true } });
                keystone.make_shared(host, &self.service_path(), &body).await?
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
                        let path = format!(
                            "/endpoints?service_id={service}&region_id={}&interface={interface}",
                            url_segment(region)
                        );
                        keystone.make_shared(host, &path, &body).await?;
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
            keystone.make_shared(host, &of_default_domain("projects", &self.project), &body).await?
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
            keystone.make_shared(host, &of_default_domain("users", &self.user), &body).await?
        };
        for name in &self.roles {
            let role = if let Some(id) = found.roles.get(name) {
                id.clone()
            } else {
                let path = format!("/roles?name={}", url_segment(name));
                keystone.make_shared(host, &path, &json!({ "role": { "name": name } })).await?
            };
            if !found.granted.contains(&role) {
                let path = format!("/projects/{project}/users/{user}/roles/{role}");
                keystone.send(host, "PUT", &path, &Value::Null).await?;
            }
        }
        Ok(())
    }
}

/// Where those of a name are listed.
fn of_default_domain(kind: &str, name: &str) -> String {
    format!("/{kind}?name={}&domain_id=default", url_segment(name))
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

    async fn attributes(&self, _diff: &Diff, at: &View) -> Result<Attributes> {
        self.sql.receipt(at, &self.step(), &self.digest()).await
    }

    fn secrets(&self) -> Vec<&str> {
        if self.user.is_empty() { Vec::new() } else { vec![self.password.reveal()] }
    }

    fn database(&self) -> Option<&Sql> {
        Some(&self.sql)
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let keystone = self.identity.log_in(host).await?.keystone.patient();
        let found = self.find(&keystone, host).await?;
        self.make(&keystone, found, host).await?;
        self.sql.note(at, host, &self.step(), &self.digest()).await
    }
}
