//! Taking the secrets of a site over into a newer file of names.

use std::fs;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde_json::Value;

use super::kept::{self, Kept};
use super::{quoted, sealed};
use crate::error::{InputError, Kind, Result};
use crate::site::vault::{self, Seal, VaultKeys};
use crate::source::{Data, Document, Entry, Node};

/// Names that Kolla changed: the old one's value is the new one's.
const RENAMED: &[(&str, &str)] = &[("redis_master_password", "valkey_master_password")];

/// What is merged.
#[derive(Debug, Clone)]
pub struct MergeFiles {
    /// Its values win.
    pub old: PathBuf,
    /// It has the names, their order and the comments.
    pub new: PathBuf,
    /// What is written; it may be one of the others.
    pub merged: PathBuf,
    /// Nothing is written.
    pub check: bool,
}

/// What was merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// How many values came from the old file.
    pub kept: usize,
    /// Names that only the new file has.
    pub added: Vec<String>,
    /// Names that only the old file has.
    pub only_old: Vec<String>,
    /// The written file is encrypted, as a whole or value by value.
    pub encrypted: bool,
}

/// Writes the new file with the values of the old one; names that only the old one has follow, unless `clean`.
///
/// An empty value of the old file does not replace one of the new file. What is written is encrypted as the old file is:
/// as a whole, or, where that has encrypted values, with the new file's values encrypted likewise. Where only the new
/// file is encrypted as a whole, that counts.
///
/// # Errors
/// A file that cannot be read, decrypted or written, or has several names in a line. Then nothing is written.
pub fn mergepwd(files: &MergeFiles, clean: bool, keys: &VaultKeys) -> Result<Merged> {
    let (old, new) = (Kept::read(&files.old, keys)?, Kept::read(&files.new, keys)?);
    let (mut left, mut told) = (Blocks::of(&old)?, Merged::default());
    let whole = old.seal.as_ref().or(new.seal.as_ref());
    let each = if whole.is_some() { None } else { vault::seal_of_values(&old.document, keys)? };
    let parts = Blocks::of(&new)?;
    let (mut text, mut expected) = (parts.head.clone(), IndexMap::new());
    for (name, block) in parts.blocks {
        let renamed = RENAMED.iter().find(|(from, to)| *to == name && !left.blocks.contains_key(*to) && left.has(from));
        let from = renamed.map_or(name.as_str(), |(from, _)| from);
        let (lines, value) = match left.blocks.shift_remove(from) {
            Some(own) if !is_empty(&own.node) => {
                told.kept += 1;
                (own.lines.replacen(from, &name, 1), Some(own.node.to_json()))
            }
            found => {
                if found.is_none() {
                    told.added.push(name.clone());
                }
                match each.as_ref().and_then(|seal| sealed_block(&name, &block.node, seal)) {
                    Some(lines) => (lines, None),
                    None => (block.lines, Some(block.node.to_json())),
                }
            }
        };
        text.push_str(&lines);
        text.push_str(&block.after);
        expected.insert(name, value);
    }
    told.only_old = left.blocks.keys().cloned().collect();
    for (name, block) in left.blocks.into_iter().filter(|_| !clean) {
        told.kept += 1;
        text.push_str(&block.lines);
        expected.insert(name, Some(block.node.to_json()));
    }
    holds(&text, &expected)?;
    told.encrypted = whole.is_some() || each.is_some();
    let merged = fs::canonicalize(&files.merged).unwrap_or_else(|_| files.merged.clone());
    if !files.check {
        kept::write(&merged, &text, whole)?;
    }
    Ok(told)
}

/// A file by its names, so that put together again it is as it was.
struct Blocks {
    /// What stands before the first name.
    head: String,
    blocks: IndexMap<String, Block>,
}

struct Block {
    /// A name's lines, with the end of the last one.
    lines: String,
    /// Comments and empty lines up to the next name.
    after: String,
    node: Node,
}

impl Blocks {
    fn of(kept: &Kept) -> Result<Self> {
        let entries = kept.entries()?;
        let lines: Vec<String> = kept.text.lines().map(|line| format!("{line}\n")).collect();
        let starts: Vec<usize> = entries.values().map(|entry| entry.line.saturating_sub(1)).collect();
        let mut blocks = IndexMap::new();
        for (index, (name, Entry { line, column, value, .. })) in entries.into_iter().enumerate() {
            let (start, next) = (starts[index], starts.get(index + 1).copied().unwrap_or(lines.len()));
            if column != 1 || next <= start {
                return Err(InputError::new(format!("`{name}` does not begin a line of its own"))
                    .of(Kind::Unsupported)
                    .at(kept.document.at(line, column))
                    .hint("write each name as `name:` at the start of a line")
                    .into());
            }
            let marks = ["#", "---", "..."];
            let between = |line: &&String| line.trim().is_empty() || marks.iter().any(|mark| line.starts_with(mark));
            let after = lines[start + 1..next].iter().rev().take_while(between).count();
            let (own, after) = (lines[start..next - after].concat(), lines[next - after..next].concat());
            blocks.insert(name, Block { lines: own, after, node: value });
        }
        let first = starts.first().copied().unwrap_or(lines.len());
        Ok(Self { head: lines[..first].concat(), blocks })
    }

    fn has(&self, name: &str) -> bool {
        self.blocks.get(name).is_some_and(|block| !is_empty(&block.node))
    }
}

/// There is no value in it.
fn is_empty(node: &Node) -> bool {
    match &node.data {
        Data::Null => true,
        Data::Map(map) => map.values().all(|entry| is_empty(&entry.value)),
        _ => false,
    }
}

/// The lines of a name with its value encrypted; none where it is that already, or there is nothing to encrypt.
fn sealed_block(name: &str, node: &Node, seal: &Seal) -> Option<String> {
    let text = |node: &Node| match &node.data {
        Data::Str(text) if vault::is_sealed(text) || text.is_empty() => None,
        Data::Str(text) => Some(text.clone()),
        Data::Int(number) => Some(number.to_string()),
        _ => None,
    };
    let Data::Map(map) = &node.data else {
        return text(node).map(|text| format!("{name}:{}\n", sealed(seal, &text, 1)));
    };
    let mut lines = format!("{name}:\n");
    for (half, entry) in map {
        let text = text(&entry.value)?;
        let value = if half == "public_key" { format!(" {}", quoted(text.trim())) } else { sealed(seal, &text, 3) };
        lines = format!("{lines}  {half}:{value}\n");
    }
    Some(lines)
}

/// The merged text says what it is to say: an alias, say, cannot be taken to another file.
fn holds(text: &str, expected: &IndexMap<String, Option<Value>>) -> Result<()> {
    let odd = |name: &str| {
        InputError::new(format!("the value of `{name}` cannot be taken to another file"))
            .of(Kind::Unsupported)
            .hint("write it out, without anchors and aliases")
    };
    let first = expected.keys().next().map_or("", String::as_str);
    let found = Document::parse("", text).and_then(|document| document.entries()).map_err(|_| odd(first))?;
    for (name, value) in expected {
        let found = found.get(name).map(|entry| entry.value.to_json());
        if found.is_none() || (value.is_some() && found != *value) {
            return Err(odd(name).into());
        }
    }
    Ok(())
}
