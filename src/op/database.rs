//! A database with its user, in the MariaDB that the deployment runs.

use std::fmt::Write as _;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::file::digest_of;
use super::sql::{Sql, identifier, literal};
use super::word::{At, Offer, Step, StepContext, WaitsFor, Word};
use super::{Attributes, Diff, Op, Operation, ProgressSink, View, attribute};
use crate::error::Result;
use crate::host::Remote;
use crate::shell::Secret;
use crate::source::{Fields, Keys, Node, Shape};

/// A database for services.
pub const OFFER: Offer = Offer { key: ("sql", Shape::Words), what: "database" };

/// The step `database`.
pub const STEP: Word<Step> = Word {
    key: (
        "database",
        Shape::Keys(&Keys::new(
            &[("name", Shape::Text), ("user", Shape::Text), ("password", Shape::Text), ("grants", Shape::Text)],
            &["user", "password"],
        )),
    ),
    means: Step { at: At::Offer(&OFFER), waits_for: WaitsFor::Offers, uses: &[&OFFER], resolve },
};

fn resolve(node: &Node, context: &mut StepContext<'_, '_>) -> Op {
    let sql = context.offered(&OFFER, Sql::offered);
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let [name, user, password, grants] =
        ["name", "user", "password", "grants"].map(|key| values.text_at(&mut fields, key));
    Database::new(name, user, grants, Secret::new(password), sql).into()
}

/// A database and the one user that may use it; or a user of the whole server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// The database; empty for a user of the whole server.
    pub name: String,
    /// The user.
    pub user: String,
    /// What the user may do; everything in the database where it is empty.
    pub grants: String,
    /// The password's digest, so that a changed one is a changed operation.
    pub password_digest: String,
    /// The password.
    #[serde(skip)]
    pub password: Secret,
    /// How to get there.
    pub sql: Sql,
}

impl Database {
    /// One with its password.
    pub fn new(name: String, user: String, grants: String, password: Secret, sql: Sql) -> Self {
        let password_digest = digest_of(password.reveal().as_bytes());
        Self { name, user, grants, password_digest, password, sql }
    }

    fn digest(&self) -> String {
        digest_of(format!("{}\n{}\n{}\n{}", self.name, self.user, self.grants, self.password_digest).as_bytes())
    }
}

#[async_trait]
impl Operation for Database {
    fn subject(&self) -> String {
        match self {
            Self { name, user, .. } if name.is_empty() => format!("database user {user}"),
            Self { name, user, .. } if name == user => format!("database {name}"),
            Self { name, user, .. } => format!("database {name} of {user}"),
        }
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let inventory = match at.me.container(&self.sql.container) {
            Some(state) if state.running() => at.shared.database(&self.sql, at.host()).await?,
            // Seen by a dry run of a first deployment.
            _ => return Ok(Diff::Create(vec![format!("container {} does not run yet", self.sql.container)])),
        };
        let mut missing = Vec::new();
        if !self.name.is_empty() && !inventory.schemas.contains(&self.name) {
            missing.push(format!("database {}", self.name));
        }
        if !inventory.users.contains(&self.user) {
            missing.push(format!("user {}", self.user));
        }
        if !missing.is_empty() {
            return Ok(Diff::Create(missing));
        }
        if inventory.receipts.get(&self.subject()) == Some(&self.digest()) {
            return Ok(Diff::Same("there, with its user".into()));
        }
        Ok(Diff::Update(vec!["password or rights".into()]))
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        let mut found = self.sql.receipt(at, &self.subject(), &self.digest()).await?;
        if found.values().all(|receipt| receipt.before.is_some()) {
            found.extend(attribute::named(diff));
        }
        Ok(found)
    }

    fn secrets(&self) -> Vec<&str> {
        vec![self.password.reveal()]
    }

    fn database(&self) -> Option<&Sql> {
        Some(&self.sql)
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let user = format!("{}@'%'", literal(&self.user));
        let password = literal(self.password.reveal());
        let mut statements = String::new();
        let (rights, scope) = if self.name.is_empty() {
            (if self.grants.is_empty() { "USAGE" } else { &self.grants }, "*.*".to_owned())
        } else {
            let _ = writeln!(statements, "CREATE DATABASE IF NOT EXISTS {};", identifier(&self.name));
            let rights = if self.grants.is_empty() { "ALL PRIVILEGES" } else { &self.grants };
            (rights, format!("{}.*", identifier(&self.name)))
        };
        let _ = write!(
            statements,
            "CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {password};\n\
             ALTER USER {user} IDENTIFIED BY {password};\n\
             GRANT {rights} ON {scope} TO {user};\n"
        );
        self.sql.write(host, &statements).await?;
        self.sql.note(at, host, &self.subject(), &self.digest()).await
    }
}
