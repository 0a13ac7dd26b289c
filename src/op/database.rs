//! A database with its user, in the MariaDB that the deployment runs.
//!
//! Statements go by stdin to a client inside the container: no secret is ever a word of a command line. What
//! was done once is also noted in the deployment's own schema `kolla`, so that a restored backup brings its
//! receipts along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::files::digest_of;
use super::retry::until_it_serves;
use super::word::{At, Offer, Step, StepContext, WaitsFor, Word};
use super::{Attribute, Attributes, Diff, Op, Operation, ProgressSink, View, attribute};
use crate::error::{Error, HostCause, Result};
use crate::host::{Observer, Output, ReadOnly, Remote, limit};
use crate::shell::Secret;
use crate::source::{Fields, Keys, Node, Shape};
use crate::template::Values;

/// What the client says of a server that is starting: no server behind the socket yet (`CR_CONNECTION_ERROR`), or a
/// member that has not joined its cluster yet (`ER_UNKNOWN_COM_ERROR`, as Galera uses it).
const NOT_YET: &[&str] = &["ERROR 2002 ", "ERROR 1047 "];
/// Galera undid the transaction, because another session's change of the same table or of the schema came first
/// (`ER_LOCK_DEADLOCK`).
const UNDONE: &str = "ERROR 1213 ";
/// The table of receipts is not there (`ER_NO_SUCH_TABLE`), or not even its schema (`ER_BAD_DB_ERROR`).
const NO_RECEIPTS: &[&str] = &["ERROR 1146 ", "ERROR 1049 "];

/// Any statement after it that writes is refused (`ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION`).
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY;\n";

fn says(output: &Output, codes: &[&str]) -> bool {
    codes.iter().any(|code| output.stderr.contains(code))
}

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

/// How statements reach the database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sql {
    /// The container.
    pub container: String,
    /// Words of a client in it that reads statements from stdin and prints rows of tab separated values.
    pub argv: Vec<String>,
}

impl Sql {
    /// What a service with the key `sql` offers.
    pub fn offered(node: &Node, container: &str, values: &mut Values<'_>) -> Self {
        Self { container: container.to_owned(), argv: values.words(node) }
    }

    /// Statements that only read, and the server holds them to it: an observer runs them.
    pub(super) fn question(&self, statements: &str) -> ReadOnly {
        ReadOnly::declared(self.argv.clone()).with_input(format!("{READ_ONLY}{statements}"))
    }

    /// Asks a question that only reads, and takes the rows. Waits for a server that is starting, as one does whose host has just
    /// been switched on.
    ///
    /// # Errors
    /// When the client's exit code is not 0.
    pub async fn rows(&self, host: &Observer, statements: &str) -> Result<Vec<Vec<String>>> {
        let question = self.question(statements);
        let ask = || host.probe(&self.container, &question);
        let not_yet = |answer: &Result<Output>| answer.as_ref().is_ok_and(|output| says(output, NOT_YET));
        let output = until_it_serves(ask, not_yet).await?;
        if says(&output, NOT_YET) {
            let error = Error::operation(format!("the database in container {} does not serve", self.container));
            return Err(error.because(output.stderr.trim().to_owned()).with_hint(
                "if all members went down together, they wait for each other: run `kolla mariadb-recovery`",
            ));
        }
        self.judge(output.code, &output.stderr)?;
        Ok(output.text().lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Runs statements that write, and may be run again: that is how Galera wants it where it undid one.
    ///
    /// # Errors
    /// When the client's exit code is not 0.
    pub async fn write(&self, host: &Remote, statements: &str) -> Result<()> {
        let output = self.written(host, statements).await?;
        self.judge(output.code, &output.stderr)
    }

    async fn written(&self, host: &Remote, statements: &str) -> Result<Output> {
        // A statement that waits for a lock stands in the way of others, and goes on when its client has ended.
        let statements = format!("SET SESSION max_statement_time = {};\n{statements}", limit::STATEMENT.as_secs());
        let act = || host.act().exec_within(&self.container, "", &self.argv, statements.as_bytes(), limit::SQL);
        let undone = |answer: &Result<Output>| answer.as_ref().is_ok_and(|output| says(output, &[UNDONE]));
        until_it_serves(act, undone).await.map_err(|error| match error {
            Error::Host(late) if matches!(late.cause, HostCause::TimedOut(_)) => {
                let hint = format!("see what it waits for with `SHOW FULL PROCESSLIST` in {}", self.container);
                Error::Host(late).with_hint(hint)
            }
            other => other,
        })
    }

    fn judge(&self, code: u32, stderr: &str) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        let said = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said").to_owned();
        Err(Error::operation(format!("the database in container {} refused a statement", self.container)).because(said))
    }

    /// Everything that steps ask of the database, in one question.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn inventory(&self, host: &Observer) -> Result<Inventory> {
        let mut inventory = Inventory::default();
        for row in self.rows(host, INVENTORY).await? {
            match row.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["schema", name] => drop(inventory.schemas.insert(name.to_owned())),
                ["user", name] => drop(inventory.users.insert(name.to_owned())),
                ["receipt", step, digest] => drop(inventory.receipts.insert(step.to_owned(), digest.to_owned())),
                _ => {}
            }
        }
        Ok(inventory)
    }

    /// Its receipt as a step's attributes: unknown while the database does not run.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn receipt(&self, at: &View, step: &str, digest: &str) -> Result<Attributes> {
        let runs = at.me.container(&self.container).is_some_and(|state| state.running());
        let receipt = if runs {
            Some(at.shared.database(self, at.host()).await?.receipts.get(step).cloned().unwrap_or_default())
        } else {
            None
        };
        Ok(Attributes::from([("receipt".to_owned(), Attribute { before: receipt, after: digest.to_owned() })]))
    }

    /// Notes that a step was done.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note(&self, at: &View, host: &Remote, step: &str, digest: &str) -> Result<()> {
        let values = format!("({}, {})", literal(step), literal(digest));
        let replace = format!("REPLACE INTO kolla.receipt (step, digest) VALUES {values};");
        let mut output = self.written(host, &replace).await?;
        // Made only where it is missing: in Galera even a `CREATE ... IF NOT EXISTS` undoes what others write there.
        if says(&output, NO_RECEIPTS) {
            self.write(host, RECEIPTS).await?;
            output = self.written(host, &replace).await?;
        }
        self.judge(output.code, &output.stderr)?;
        at.shared.forget_database();
        Ok(())
    }
}

/// What the database holds that steps ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Databases.
    pub schemas: BTreeSet<String>,
    /// Users that may come from any host.
    pub users: BTreeSet<String>,
    /// Digests of steps by their names, as they were last done.
    pub receipts: BTreeMap<String, String>,
}

/// The table of receipts may not be there yet: a plain SELECT of it would be an error.
const INVENTORY: &str = "SELECT 'schema', schema_name FROM information_schema.schemata;\n\
    SELECT 'user', user FROM mysql.user WHERE host='%';\n\
    SET @ask = IF(EXISTS(SELECT 1 FROM information_schema.tables WHERE table_schema='kolla' AND table_name='receipt'), \
    'SELECT ''receipt'', step, digest FROM kolla.receipt', 'DO 0');\n\
    PREPARE ask FROM @ask;\nEXECUTE ask;\n";

const RECEIPTS: &str = "CREATE DATABASE IF NOT EXISTS kolla;\
    CREATE TABLE IF NOT EXISTS kolla.receipt (step VARCHAR(191) PRIMARY KEY, digest VARCHAR(64) NOT NULL, \
    done TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);\n";

/// A string for SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::host::ContainerSpec;
    use crate::host::fake::Fake;
    use crate::op::Shared;

    /// A host where the container `mariadb` runs.
    async fn with_mariadb() -> Fake {
        let fake = Fake::new("control01");
        let image = fake.world().publish("reg/mariadb:1", "mariadb");
        let host = Remote::new(fake.machine());
        host.act().pull("reg/mariadb:1", None, &|_, _| {}).await.unwrap();
        host.act().create(&ContainerSpec { name: "mariadb".into(), image, ..ContainerSpec::default() }).await.unwrap();
        host.act().start("mariadb").await.unwrap();
        fake
    }

    #[tokio::test]
    async fn the_database_itself_gives_up_a_statement_that_hangs() {
        let fake = with_mariadb().await;
        let host = Remote::new(fake.machine());
        fake.on_exec(|_, _, _, statements| {
            let limited = statements.starts_with(b"SET SESSION max_statement_time = 60;\nGRANT");
            Some(Output { code: u32::from(!limited), ..Output::default() })
        });
        Sql { container: "mariadb".into(), ..Sql::default() }.write(&host, "GRANT USAGE ON *.* TO a;").await.unwrap();
    }

    #[tokio::test]
    async fn what_was_asked_ahead_holds_until_the_first_change() {
        let fake = with_mariadb().await;
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        fake.on_exec(move |_, _, _, _| {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            Some(Output { stdout: format!("receipt\tstep\t{number}\n").into_bytes(), ..Output::default() })
        });
        let sql = Sql { container: "mariadb".into(), argv: vec!["mariadb".into()] };
        let (shared, host) = (Shared::new("", false, false, None), Observer::new(fake.machine()));
        let receipt = async || shared.database(&sql, &host).await.unwrap().receipts["step"].clone();

        shared.ask_database(sql.clone(), host.clone());
        while asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(receipt().await, "1");
        shared.first_change();
        assert_eq!(receipt().await, "2");
        shared.first_change();
        assert_eq!(receipt().await, "2");
    }

    #[test]
    fn strings_cannot_end_early() {
        assert_eq!(literal(r"it's \"), r"'it''s \\'");
        assert_eq!(identifier("a`b"), "`a``b`");
    }
}
