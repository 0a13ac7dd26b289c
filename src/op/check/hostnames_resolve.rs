//! Every host knows every other by name, at the right address.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Check, Condition, Knows, Names, Verdict, fails};
use crate::error::Result;
use crate::op::word::Word;
use crate::op::{Diff, View};
use crate::source::Shape;

/// The check `hostnames_resolve`.
pub const CHECK: Word<Condition> = Word {
    key: ("hostnames_resolve", Shape::Plain),
    means: Condition {
        knows: Knows::Names,
        resolve: |_, context| Check::from(HostnamesResolve { names: context.names.clone() }),
    },
};

/// /etc/hosts has all these hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostnamesResolve {
    /// Addresses by host name.
    pub names: Names,
}

#[async_trait]
impl Verdict for HostnamesResolve {
    fn subject(&self) -> String {
        "check host names".into()
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        at.me.look(|look| verdict(&self.names, &look.facts.hosts_file))
    }
}

fn verdict(names: &Names, hosts_file: &str) -> Result<Diff> {
    let mut wrong = Vec::new();
    let mut missing = Vec::new();
    for (name, address) in names.iter() {
        let found = hosts_file.lines().find_map(|line| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let on = words.next()?;
            // Every machine knows itself by a loopback address, too; peers must not.
            (words.any(|word| word == name) && !on.starts_with("127.") && on != "::1").then(|| on.to_owned())
        });
        match found {
            Some(on) if on == *address => {}
            Some(on) => wrong.push(format!("{name} is {on}, not {address}")),
            None => missing.push(name.as_str()),
        }
    }
    if !wrong.is_empty() {
        return fails(
            format!("/etc/hosts is wrong: {}", wrong.join(", ")),
            "correct it, or run `kolla bootstrap-servers`",
        );
    }
    if !missing.is_empty() {
        return fails(format!("/etc/hosts does not name {}", missing.join(", ")), "run `kolla bootstrap-servers`");
    }
    Ok(Diff::Same("all hosts are named in /etc/hosts".into()))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn a_loopback_name_does_not_count() {
        let names = Names::from(IndexMap::from([("a".to_owned(), "10.0.0.1".to_owned())]));
        assert!(verdict(&names, "127.0.1.1 a\n").is_err());
        assert!(verdict(&names, "127.0.1.1 a\n10.0.0.1 a.x a # us\n").is_ok());
    }
}
