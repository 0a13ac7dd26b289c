//! What a variable may hold: what its role writes down, or what its name and its default say.

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use super::parse::Parser;
use crate::error::{InputError, Kind, nearest};
use crate::source::{Data, Fields, Node, is_template};

/// How variables are called that say whether something is wanted.
pub const ENABLE: &str = "enable_";

/// How a variable of Kolla's is called that holds a port.
const PORT: &str = "_port";

/// What means the same wherever a truth value is asked for, in lower case: `y` and `t` are none for the filter `bool`.
const FLAGS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "1", "0"];

/// The kernel takes it for the name of an interface.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c == '/')
}

/// A whole number and a unit, or a number alone.
fn is_duration(text: &str) -> bool {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    !number.is_empty() && ["", "us", "ms", "s", "m", "h", "d"].contains(&unit)
}

/// What a variable may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A truth value, or a word for one.
    Flag,
    /// A whole number, 0 or more.
    Number,
    /// The name of an interface.
    Interface,
    /// A port.
    Port,
    /// An IP address.
    Address,
    /// A length of time, as HAProxy reads it.
    Duration,
    /// One of these words.
    OneOf(Vec<String>),
    /// A whole number from the first to the second.
    Within(i64, i64),
}

impl Rule {
    /// The one that a variable has by its name and its default.
    pub(super) fn implied(name: &str, default: &Data) -> Option<Self> {
        match default {
            Data::Bool(_) => Some(Self::Flag),
            Data::Str(_) if name.starts_with(ENABLE) => Some(Self::Flag),
            Data::Int(_) if name.ends_with(PORT) => Some(Self::Port),
            Data::Int(_) => Some(Self::Number),
            Data::Str(text) if name.ends_with(PORT) && (is_template(text) || text.parse::<u16>().is_ok()) => {
                Some(Self::Port)
            }
            _ => None,
        }
    }

    /// The one that a role writes down.
    pub(super) fn parse(parser: &mut Parser<'_>, node: &Node) -> Option<Self> {
        match &node.data {
            Data::Str(word) if word == "port" => Some(Self::Port),
            Data::Str(word) if word == "address" => Some(Self::Address),
            Data::Str(word) if word == "interface" => Some(Self::Interface),
            Data::Str(word) if word == "duration" => Some(Self::Duration),
            Data::Seq(words) if !words.is_empty() && words.iter().all(|word| word.as_str().is_some()) => {
                Some(Self::OneOf(words.iter().filter_map(Node::as_str).map(str::to_owned).collect()))
            }
            Data::Map(_) => {
                let mut fields = Fields::of(parser.document, node);
                let bounds = [fields.need("from"), fields.need("to")].map(|bound| bound.map(|node| &node.data));
                let whole = fields.finish();
                match bounds {
                    [Some(Data::Int(from)), Some(Data::Int(to))] if from <= to => {
                        parser.errors.extend(whole);
                        return Some(Self::Within(*from, *to));
                    }
                    [Some(_), Some(_)] if whole.is_empty() => {
                        parser.fail(node, "`from` and `to` must be whole numbers, the lower one first", Kind::RoleRule);
                    }
                    _ => parser.errors.extend(whole),
                }
                None
            }
            _ => {
                let message = "expected `port`, `address`, `interface`, `duration`, a list of words, or a mapping with `from` \
                               and `to`";
                parser.fail(node, message, Kind::RoleRule);
                None
            }
        }
    }

    /// A variable's value, as it is printed, breaks the rule: the error without its place.
    pub fn broken(&self, name: &str, value: &str) -> Option<InputError> {
        // Exactly as it is written into files.
        let plain = !value.starts_with(['+', '0']) || value == "0";
        let number = value.parse::<i64>().ok().filter(|_| plain);
        let (holds, what) = match self {
            Self::Flag => (FLAGS.contains(&value.to_lowercase().as_str()), "true or false".to_owned()),
            Self::Number => (number.is_some_and(|number| number >= 0), "a whole number".to_owned()),
            Self::Interface => (is_interface(value), "the name of an interface".to_owned()),
            Self::Port => (matches!(number, Some(1..=65535)), "a port, from 1 to 65535".to_owned()),
            Self::Address => (value.parse::<IpAddr>().is_ok(), "an IP address".to_owned()),
            Self::Duration => (is_duration(value), "a length of time, as `500ms`, `30s`, `1m` or `6h`".to_owned()),
            Self::OneOf(words) => {
                let what = if words.len() == 1 { "" } else { "one of " };
                (words.iter().any(|word| word == value), format!("{what}{}", words.join(", ")))
            }
            Self::Within(from, to) => {
                (number.is_some_and(|number| (*from..=*to).contains(&number)), format!("a number from {from} to {to}"))
            }
        };
        let found = if value.is_empty() { "it is empty".to_owned() } else { format!("`{value}`") };
        let error = InputError::new(format!("`{name}` must be {what}: {found}")).of(Kind::WrongValue);
        let near = match self {
            Self::OneOf(words) if words.len() > 1 => nearest(value, words.iter().map(String::as_str)),
            _ => None,
        };
        (!holds).then(|| match (near, self) {
            (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
            (None, Self::OneOf(words)) if words.len() == 1 => {
                error.hint(format!("nothing else is there yet: leave `{name}` out"))
            }
            (None, Self::Duration) => {
                error.hint("write a whole number with a unit: us, ms, s, m, h or d; without one it is of milliseconds")
            }
            (None, _) => error,
        })
    }

    /// What an editor takes for such a value, if it is no template.
    pub(super) fn schema(&self) -> Json {
        let number = |from: i64, to: i64| {
            json!({ "anyOf": [
                { "type": "integer", "minimum": from, "maximum": to },
                { "type": "string", "pattern": "^[0-9]+$" },
            ] })
        };
        match self {
            // Ansible takes these words for truth values wherever one is asked for.
            Self::Flag => json!({ "anyOf": [
                { "type": "boolean" },
                { "type": "string", "pattern": "^([Tt]rue|TRUE|[Ff]alse|FALSE|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|1|0)$" },
                { "enum": [0, 1] },
            ] }),
            Self::Number => json!({ "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+$" },
            ] }),
            Self::Interface => json!({ "type": "string", "pattern": "^[^ \\t/]{1,15}$" }),
            Self::Port => number(1, 65535),
            Self::Within(from, to) => number(*from, *to),
            Self::Address => {
                json!({ "type": ["string", "null"], "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
            }
            Self::Duration => json!({ "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(us|ms|s|m|h|d)?$" },
            ] }),
            Self::OneOf(words) => json!({ "enum": words }),
        }
    }
}
