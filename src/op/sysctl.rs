//! Kernel parameters: set now, and again at each boot from a file of ours.

use std::fmt::Write as _;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::file::{digest_of, put};
use super::word::{Preparation, Word};
use super::{Diff, Op, Operation, ProgressSink, View};
use crate::error::{Error, HostCause, Result};
use crate::host::{LookRequest, PutFile, Remote, sysctl_path};
use crate::shell::quote;
use crate::source::Shape;

/// The preparation `sysctl`.
pub const HOST: Word<Preparation> = Word {
    key: ("sysctl", Shape::Either(&Shape::Named(&Shape::Value), &Shape::Text)),
    means: Preparation {
        serial: 0,
        look: |node, context, ask| {
            ask.files.push(file(context.role));
            ask.sysctls.extend(context.values.map(node).into_keys());
        },
        resolve: |node, context| Some(Op::from(Sysctl { file: file(context.role), values: context.values.map(node) })),
    },
};

/// The file of a role's parameters.
fn file(role: &str) -> String {
    format!("/etc/sysctl.d/90-kolla-{role}.conf")
}

/// Parameters by name; those that the host's kernel does not have (or does not let it set) are left alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sysctl {
    /// The file under /etc/sysctl.d.
    pub file: String,
    /// Values.
    pub values: IndexMap<String, String>,
}

impl Sysctl {
    fn content(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.values {
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }
}

#[async_trait]
impl Operation for Sysctl {
    fn subject(&self) -> String {
        format!("sysctl {}", self.file)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let mut details: Vec<String> = at.me.look(|look| {
            self.values
                .iter()
                .filter_map(|(name, value)| {
                    let now = look.sysctls.get(name)?;
                    (now.split_whitespace().ne(value.split_whitespace())).then(|| format!("{name}: {now} -> {value}"))
                })
                .collect()
        });
        let digest = at.me.look(|look| look.files.get(&self.file).map(|file| file.digest.clone()));
        if digest.as_deref() != Some(&digest_of(self.content().as_bytes())) {
            details.push(format!("file {}", self.file));
        }
        Ok(if details.is_empty() { Diff::Same("set".into()) } else { Diff::Update(details) })
    }

    async fn apply(&self, _diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let content: Arc<[u8]> = self.content().into_bytes().into();
        put(at, host, &[PutFile { path: self.file.clone(), content, mode: 0o644, owner: String::new() }]).await?;
        let mut script = String::from("set -e\n");
        for (name, value) in &self.values {
            let path = quote(&format!("/proc/sys/{}", sysctl_path(name)));
            let _ = writeln!(script, "[ ! -e {path} ] || echo {} > {path}", quote(value));
        }
        let output = host.act().run(&script, &[]).await?;
        if output.code != 0 {
            let cause = HostCause::Exit { code: output.code, stderr: output.stderr };
            return Err(Error::host(host.name(), "set kernel parameters", cause)
                .with_hint("in a container some parameters cannot be set: leave them out with `host_sysctl`"));
        }
        let fresh = host
            .look(&LookRequest { sysctls: self.values.keys().cloned().collect(), ..LookRequest::default() })
            .await?;
        at.me.note_system(fresh);
        Ok(())
    }
}
