//! Receipts of steps: what was done once is noted in the deployment's own schema `kolla`, so that a restored backup brings
//! its receipts along.

use super::sql::{Sql, literal, says};
use super::{Attribute, Attributes, View};
use crate::error::Result;
use crate::host::Remote;

/// The table of receipts is not there (`ER_NO_SUCH_TABLE`), or not even its schema (`ER_BAD_DB_ERROR`).
const NO_RECEIPTS: &[&str] = &["ERROR 1146 ", "ERROR 1049 "];

const RECEIPTS: &str = "CREATE DATABASE IF NOT EXISTS kolla;\
    CREATE TABLE IF NOT EXISTS kolla.receipt (step VARCHAR(191) PRIMARY KEY, digest VARCHAR(64) NOT NULL, \
    done TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);\n";

impl Sql {
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
