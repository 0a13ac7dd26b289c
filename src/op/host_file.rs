//! A file of the host itself that is ours, or our lines between two marks in one that others write, too.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::file::{self, OneFile, put, run};
use super::word::{HostContext, Preparation, Word};
use super::{Attributes, Diff, Op, Operation, ProgressSink, View, Want, hunks};
use crate::error::{Error, Result};
use crate::host::{LookRequest, PutFile, Remote};
use crate::shell::quote;
use crate::source::{Fields, Keys, Node, Shape};

/// The preparation `file`.
pub const FILE: Word<Preparation> = Word {
    key: ("file", file::SHAPE),
    means: Preparation {
        serial: 0,
        look: |_, _, _| {},
        resolve: |_, context| Some(HostFile { file: context.files.pop()?, ..HostFile::default() }.into()),
    },
};

/// The preparation `block`.
pub const BLOCK: Word<Preparation> = Word {
    key: (
        "block",
        Shape::Keys(&Keys::new(&[("path", Shape::Path(&Shape::Name)), ("content", Shape::Text)], &["path", "content"])),
    ),
    means: Preparation { serial: 0, look: |_, _, _| {}, resolve: block },
};

#[allow(clippy::unnecessary_wraps, reason = "others may have nothing to do")]
fn block(node: &Node, context: &mut HostContext<'_, '_>) -> Option<Op> {
    let values = &mut *context.values;
    let mut fields = Fields::of(values.document, node);
    let path = fields.text("path").unwrap_or_default();
    let lines = values.text_at(&mut fields, "content");
    Some(HostFile { file: OneFile::new(path, lines, 0o644), block: true, ..HostFile::default() }.into())
}

/// A file, or a part of one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFile {
    /// The file; `name` is its absolute path. In a block, `content` is the lines.
    pub file: OneFile,
    /// Only the lines between our marks are ours.
    pub block: bool,
    /// There or not.
    pub want: Want,
}

const BEGIN: &[u8] = b"# BEGIN kolla";
const END: &[u8] = b"# END kolla";
/// What every host has, and what the look brings.
const HOSTS: &str = "/etc/hosts";

/// A mark without the one that belongs to it: nobody can tell which lines are ours.
struct Unpaired {
    line: usize,
    found: &'static str,
    lacks: &'static str,
}

/// A file's bytes with `lines` between our marks: where they were before, else at the end. Everything else stays as it
/// is, byte by byte.
fn with_block(now: &[u8], lines: Option<&[u8]>) -> std::result::Result<Vec<u8>, Unpaired> {
    let block = lines.map(|lines| [BEGIN, b"\n", lines.trim_ascii_end(), b"\n", END, b"\n"].concat());
    let mut block = block.as_deref();
    let mut text = Vec::with_capacity(now.len());
    let mut begun = None;
    for (number, line) in (1..).zip(now.split_inclusive(|byte| *byte == b'\n')) {
        match (line.trim_ascii_end(), begun) {
            (BEGIN, None) => begun = Some(number),
            (END, Some(_)) => {
                text.extend_from_slice(block.take().unwrap_or_default());
                begun = None;
            }
            (BEGIN, Some(line)) => return Err(Unpaired { line, found: "# BEGIN kolla", lacks: "# END kolla" }),
            (END, None) => return Err(Unpaired { line: number, found: "# END kolla", lacks: "# BEGIN kolla" }),
            (_, Some(_)) => {}
            (_, None) => text.extend_from_slice(line),
        }
    }
    if let Some(line) = begun {
        return Err(Unpaired { line, found: "# BEGIN kolla", lacks: "# END kolla" });
    }
    if let Some(block) = block {
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend_from_slice(block);
    }
    Ok(text)
}

impl HostFile {
    /// The whole file as it should be, given how it is.
    fn wanted(&self, now: &[u8], host: &str) -> Result<Vec<u8>> {
        let lines = (self.want != Want::Absent).then_some(&*self.file.content);
        with_block(now, lines).map_err(|Unpaired { line, found, lacks }| {
            Error::operation(format!("{host}: {}:{line}: `{found}` stands there without `{lacks}`", self.file.name))
                .because("nobody can tell which lines are ours".to_owned())
                .with_hint(format!("put `{lacks}` where it belongs, or remove what is between and this line"))
        })
    }

    async fn put_block(&self, at: &View, host: &Remote) -> Result<()> {
        let path = &self.file.name;
        if let Some(now) = host.read(path).await? {
            host.act().rewrite(path, &self.wanted(&now, host.name())?).await?;
        } else {
            let content = self.wanted(&[], host.name())?.into();
            let file = PutFile { path: path.clone(), content, mode: self.file.mode, owner: self.file.owner.clone() };
            put(at, host, &[file]).await?;
        }
        if path == HOSTS {
            at.me.note_system(host.look(&LookRequest::default()).await?);
        }
        Ok(())
    }
}

#[async_trait]
impl Operation for HostFile {
    fn subject(&self) -> String {
        format!("file {}", self.file.name)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        let path = &self.file.name;
        if self.block {
            let now = match path.as_str() {
                HOSTS => at.me.look(|look| look.facts.hosts_file.clone().into_bytes()),
                path => at.host().read(path).await?.unwrap_or_default(),
            };
            let same = self.wanted(&now, at.host().name())? == now;
            return Ok(if same {
                Diff::Same("our lines match".into())
            } else {
                Diff::Update(vec!["our lines".into()])
            });
        }
        let state = at.me.look(|look| look.files.get(path).cloned());
        Ok(match (self.want, state) {
            (Want::Absent, Some(_)) => Diff::Remove,
            (Want::Absent, None) => Diff::Same("not there".into()),
            (_, None) => Diff::Create(Vec::new()),
            (_, Some(state)) if state.digest != self.file.digest => {
                Diff::Update(hunks::of_host(&self.file, &state, at).await?)
            }
            (_, Some(state)) => match self.file.rights(&state) {
                Some(rights) => Diff::Update(vec![rights]),
                None => Diff::Same("content, mode and owner match".into()),
            },
        })
    }

    async fn attributes(&self, diff: &Diff, at: &View) -> Result<Attributes> {
        if self.block {
            return Ok(super::attribute::named(diff));
        }
        let state = at.me.look(|look| look.files.get(&self.file.name).cloned());
        let mut content = self.file.attribute(state.as_ref());
        if self.want == Want::Absent {
            content.after = String::new();
        }
        Ok(Attributes::from([("content".to_owned(), content)]))
    }

    async fn apply(&self, diff: &Diff, at: &View, host: &Remote, _sink: &ProgressSink) -> Result<()> {
        let path = self.file.name.clone();
        if self.block {
            return self.put_block(at, host).await;
        }
        if *diff == Diff::Remove {
            run(host, &format!("rm -f {}", quote(&path))).await?;
            at.me.note_file(&path, None);
            return Ok(());
        }
        put(at, host, &[self.file.put(path)]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(now: &[u8], lines: Option<&str>) -> std::result::Result<Vec<u8>, (usize, &'static str)> {
        with_block(now, lines.map(str::as_bytes)).map_err(|unpaired| (unpaired.line, unpaired.lacks))
    }

    #[test]
    fn a_block_leaves_the_bytes_of_others_alone() {
        let once = block(b"a", Some("b\n")).unwrap();
        assert_eq!(once, b"a\n# BEGIN kolla\nb\n# END kolla\n");
        assert_eq!(block(&once, Some("b")).unwrap(), once);
        assert_eq!(block(&once, None).unwrap(), b"a\n");
        let foreign = b"caf\xe9\r\n# BEGIN kolla\nb\n# END kolla\n\n\xff no end";
        assert_eq!(block(foreign, Some("c")).unwrap(), b"caf\xe9\r\n# BEGIN kolla\nc\n# END kolla\n\n\xff no end");
        assert_eq!(block(b"", None).unwrap(), b"");
    }

    #[test]
    fn marks_that_are_no_pair_are_refused_with_their_line() {
        assert_eq!(block(b"a\n# BEGIN kolla\nb\nc\n", Some("b")), Err((2, "# END kolla")));
        assert_eq!(block(b"# BEGIN kolla\n# BEGIN kolla\n# END kolla\n", Some("b")), Err((1, "# END kolla")));
        assert_eq!(block(b"a\n\n# END kolla\n", None), Err((3, "# BEGIN kolla")));
    }
}
