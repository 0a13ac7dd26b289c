//! What a value's tag says, as `!unsafe`.

use super::mistake::HINT;
use super::{Data, Node};
use crate::error::nearest;

/// Tags of YAML itself begin with this, written as `!!`.
const YAML: &str = "tag:yaml.org,2002:";

/// What follows then.
const OF_YAML: [&str; 13] =
    ["binary", "bool", "float", "int", "map", "merge", "null", "omap", "pairs", "seq", "set", "str", "timestamp"];

/// Ansible's own.
const ANSIBLE: [&str; 3] = ["!unsafe", "!vault", "!vault-encrypted"];

/// Gives a value the meaning of its tag. The parser has seen to YAML's own, and what is encrypted shows in the text.
///
/// # Errors
/// What is wrong, where the tag is not known or does not fit the value.
pub(super) fn apply(tag: Option<&str>, node: &mut Node) -> Result<(), String> {
    match tag {
        None | Some("!") => {}
        Some("!unsafe") => verbatim(node),
        Some("!vault" | "!vault-encrypted") => {
            let sealed = node.as_str().is_some_and(|text| text.trim_start().starts_with("$ANSIBLE_VAULT"));
            if !sealed {
                return Err(format!(
                    "a value tagged `!vault` is not encrypted{HINT}encrypt it with `ansible-vault encrypt_string`, or take \
                     the tag away"
                ));
            }
        }
        Some(tag) if tag.strip_prefix(YAML).is_some_and(|name| OF_YAML.contains(&name)) => {}
        Some(tag) => {
            let hint = match nearest(tag, ANSIBLE) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "take it away: `!unsafe` and `!vault` are known, and YAML's own".to_owned(),
            };
            let written = tag.strip_prefix(YAML).map_or_else(|| tag.to_owned(), |name| format!("!!{name}"));
            return Err(format!("unknown tag `{written}`{HINT}{hint}"));
        }
    }
    Ok(())
}

fn verbatim(node: &mut Node) {
    node.verbatim = true;
    match &mut node.data {
        Data::Seq(items) => items.iter_mut().for_each(verbatim),
        Data::Map(entries) => entries.values_mut().for_each(|entry| verbatim(&mut entry.value)),
        _ => {}
    }
}
