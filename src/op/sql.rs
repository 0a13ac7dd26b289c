//! The MariaDB that the deployment runs, as steps see it.
//!
//! Statements go by stdin to a client inside the container: no secret is ever a word of a command line.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::retry::until_it_serves;
use crate::error::{Error, HostCause, Result};
use crate::host::{Observer, Output, ReadOnly, Remote, limit};
use crate::source::Node;
use crate::template::Values;

/// What the client says of a server that is starting: no server behind the socket yet (`CR_CONNECTION_ERROR`), or a
/// member that has not joined its cluster yet (`ER_UNKNOWN_COM_ERROR`, as Galera uses it).
const NOT_YET: &[&str] = &["ERROR 2002 ", "ERROR 1047 "];
/// Galera undid the transaction, because another session's change of the same table or of the schema came first
/// (`ER_LOCK_DEADLOCK`).
const UNDONE: &str = "ERROR 1213 ";

/// Any statement after it that writes is refused (`ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION`).
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY;\n";

pub(super) fn says(output: &Output, codes: &[&str]) -> bool {
    codes.iter().any(|code| output.stderr.contains(code))
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

    pub(super) async fn written(&self, host: &Remote, statements: &str) -> Result<Output> {
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

    pub(super) fn judge(&self, code: u32, stderr: &str) -> Result<()> {
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

/// A string for SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

pub(super) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
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
