//! A virtual host of RabbitMQ with its user, by its management API: each is asked for by its name, because the answer about
//! all of them grows with the cloud.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::file::digest_of;
use super::retry::{http_not_yet, until_it_serves};
use super::word::{At, Offer, Step, StepContext, WaitsFor, Word};
use super::{Attribute, Attributes, Diff, Op, Operation, ProgressSink, View, attribute};
use crate::error::{Error, Result};
use crate::host::{HttpAsk, Remote};
use crate::shell::{Secret, url_segment};
use crate::source::{Fields, Keys, Node, Shape};
use crate::template::Values;

/// How long one answer may take.
const WITHIN: Duration = Duration::from_secs(20);

/// A message queue for services.
pub const OFFER: Offer = Offer {
    key: (
        "management",
        Shape::Keys(&Keys::new(
            &[("address", Shape::Text), ("port", Shape::Text), ("user", Shape::Text), ("password", Shape::Text)],
            &["address", "port", "user", "password"],
        )),
    ),
    what: "message queue",
};

/// The step `message_queue`.
pub const STEP: Word<Step> = Word {
    key: (
        "message_queue",
        Shape::Keys(&Keys::new(
            &[("vhost", Shape::Text), ("user", Shape::Text), ("password", Shape::Text), ("tags", Shape::Words)],
            &["user", "password"],
        )),
    ),
    means: Step { at: At::Offer(&OFFER), waits_for: WaitsFor::Offers, uses: &[&OFFER], resolve },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let management = context.offered(&OFFER, Management::offered);
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let vhost = fields.take("vhost").map_or_else(|| "/".to_owned(), |node| values.text(node));
    let [user, password] = ["user", "password"].map(|key| values.text_at(&mut fields, key));
    let tags = fields.take("tags").map(|node| values.words(node)).unwrap_or_default();
    MessageQueue::new(vhost, user, tags, Secret::new(password), management).into()
}

/// Where and as whom the message queue is managed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Management {
    /// The container it runs in.
    pub container: String,
    /// Address as seen from the host.
    pub address: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Its password.
    #[serde(skip)]
    pub password: Secret,
}

impl Management {
    /// What a service with the key `management` offers.
    fn offered(node: &Node, container: &str, values: &mut Values<'_>) -> Self {
        let mut fields = Fields::of(values.document, node);
        let [address, user, password] = ["address", "user", "password"].map(|key| values.text_at(&mut fields, key));
        let port = fields.take("port").map(|node| values.port(node)).unwrap_or_default();
        Self { container: container.to_owned(), address, port, user, password: Secret::new(password) }
    }

    /// Makes the user's password the one we have, from inside, where none is asked for.
    async fn change_password(&self, host: &Remote) -> Result<()> {
        // Not `--quiet`: with that it reads no password from its input, and waits for ever.
        let argv = ["rabbitmqctl", "change_password", &self.user].map(str::to_owned);
        let password = format!("{}\n", self.password.reveal());
        let output = host.act().exec(&self.container, "", &argv, password.as_bytes()).await?;
        if output.code == 0 {
            return Ok(());
        }
        Err(Error::operation(format!("RabbitMQ did not take the new password of {}", self.user))
            .because(format!("{}{}", output.stderr, output.text()).trim().to_owned()))
    }

    fn ask(&self, method: &str, path: String, body: &Value) -> HttpAsk {
        let login = BASE64.encode(format!("{}:{}", self.user, self.password.reveal()));
        HttpAsk {
            address: self.address.clone(),
            port: self.port,
            method: method.into(),
            path,
            headers: vec![
                ("authorization".into(), format!("Basic {login}")),
                ("content-type".into(), "application/json".into()),
            ],
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        }
    }
}

/// A virtual host and a user of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageQueue {
    /// The virtual host.
    pub vhost: String,
    /// The user.
    pub user: String,
    /// Its tags, as `administrator`.
    pub tags: Vec<String>,
    /// The password's digest, so that a changed one is a changed operation.
    pub password_digest: String,
    /// The password.
    #[serde(skip)]
    pub password: Secret,
    /// Type of queues that are declared without one.
    pub queue_type: String,
    /// How to get there.
    pub management: Management,
}

impl MessageQueue {
    /// One with its password.
    pub fn new(vhost: String, user: String, tags: Vec<String>, password: Secret, management: Management) -> Self {
        let password_digest = digest_of(password.reveal().as_bytes());
        Self { vhost, user, tags, password_digest, password, queue_type: "quorum".into(), management }
    }

    /// RabbitMQ's default hash: base64 of four bytes of salt and SHA-256 of salt and password.
    fn password_is(&self, hash: &str) -> bool {
        BASE64.decode(hash).is_ok_and(|bytes| {
            bytes.len() == 36 && {
                let (salt, digest) = bytes.split_at(4);
                let mut hasher = Sha256::new();
                hasher.update(salt);
                hasher.update(self.password.reveal());
                hasher.finalize().as_slice() == digest
            }
        })
    }

    /// Where the management has the virtual host, the user, and what that one may do there.
    fn paths(&self) -> [String; 3] {
        let (vhost, user) = (url_segment(&self.vhost), url_segment(&self.user));
        [format!("/api/vhosts/{vhost}"), format!("/api/users/{user}"), format!("/api/permissions/{vhost}/{user}")]
    }

    /// What of that is not as it should be, given what the management has of each.
    fn missing(&self, [vhost, user, rights]: &[Option<Value>; 3]) -> Vec<String> {
        let mut missing = Vec::new();
        if vhost.is_none() {
            missing.push(format!("virtual host {}", self.vhost));
        }
        match user {
            None => missing.push(format!("user {}", self.user)),
            Some(user) => {
                if !self.password_is(user["password_hash"].as_str().unwrap_or_default()) {
                    missing.push(format!("password of {}", self.user));
                }
                let tags: Vec<&str> = user["tags"]
                    .as_array()
                    .map(|tags| tags.iter().filter_map(Value::as_str).collect())
                    .unwrap_or_default();
                if !self.tags.iter().all(|tag| tags.contains(&tag.as_str())) {
                    missing.push(format!("tags of {}", self.user));
                }
            }
        }
        let all = |rights: &Value| ["configure", "write", "read"].iter().all(|right| rights[*right] == ".*");
        if !rights.as_ref().is_some_and(all) {
            missing.push(format!("rights of {} in {}", self.user, self.vhost));
        }
        missing
    }
}

#[async_trait]
impl Operation for MessageQueue {
    fn subject(&self) -> String {
        format!("message queue {} of {}", self.vhost, self.user)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        if !at.me.container(&self.management.container).is_some_and(|state| state.running()) {
            return Ok(Diff::Create(vec![format!("container {} does not run yet", self.management.container)]));
        }
        let answers = self.paths().map(|path| async {
            let ask = self.management.ask("GET", path, &Value::Null);
            until_it_serves(|| at.host().get(&ask, WITHIN), http_not_yet).await
        });
        let mut found = [None, None, None];
        for (found, answer) in found.iter_mut().zip(futures_util::future::try_join_all(answers).await?) {
            *found = match answer.status {
                200 => Some(serde_json::from_slice(&answer.body).map_err(|error| {
                    Error::operation("RabbitMQ's management gave no JSON").because(error.to_string())
                })?),
                404 => None,
                // RabbitMQ takes the password of its configuration only for a user that it makes.
                401 => return Ok(Diff::Update(vec![format!("password of {}", self.management.user)])),
                status => return Err(Error::operation(format!("RabbitMQ's management answered {status}"))),
            };
        }
        let missing = self.missing(&found);
        Ok(if missing.is_empty() {
            Diff::Same("there, with its user and rights".into())
        } else {
            Diff::Create(missing)
        })
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        let runs = at.me.container(&self.management.container).is_some_and(|state| state.running());
        let unknown = || Attributes::from([(format!("user {}", self.user), Attribute::unknown("as wanted"))]);
        Ok(if runs { attribute::named(diff) } else { unknown() })
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.password.reveal()]
    }

    async fn apply(&self, _diff: &Diff, _at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let ask = self.management.ask("GET", "/api/whoami".into(), &Value::Null);
        if host.get(&ask, WITHIN).await?.status == 401 {
            self.management.change_password(host).await?;
        }
        let wishes = [
            json!({ "default_queue_type": self.queue_type }),
            json!({ "password": self.password.reveal(), "tags": self.tags.join(",") }),
            json!({ "configure": ".*", "write": ".*", "read": ".*" }),
        ];
        for (path, body) in self.paths().into_iter().zip(wishes) {
            let answer = host.act().http(&self.management.ask("PUT", path.clone(), &body), WITHIN).await?;
            if !(200..300).contains(&answer.status) {
                return Err(Error::operation(format!("RabbitMQ's management refused PUT {path}: {}", answer.status))
                    .because(String::from_utf8_lossy(&answer.body).into_owned()));
            }
        }
        Ok(())
    }
}
