//! What a variable may hold: what its role writes down, or what its name and its default say.

use std::net::IpAddr;

use serde_json::{Value as Json, json};

use super::image_name::Part;
use super::parser::Parser;
use crate::error::{InputError, Kind, nearest};
use crate::source::{Data, Fields, Node, is_template};

/// How variables are called that say whether something is wanted.
pub const ENABLE: &str = "enable_";

/// How a variable of Kolla's is called that holds a port.
const PORT: &str = "_port";

/// How a variable of Kolla's is called by which services are found.
const FQDN: &str = "_fqdn";

/// What means the same wherever a truth value is asked for, in lower case: `y` and `t` are none for the filter `bool`.
const FLAGS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "1", "0"];

/// The kernel takes it for the name of an interface, and it is no list in YAML.
fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || "/:,[]{}'\"".contains(c))
}

/// Names of interfaces with commas between them, each once; or none.
fn are_interfaces(text: &str) -> bool {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    let all = names.iter().enumerate().all(|(at, name)| is_interface(name) && !names[..at].contains(name));
    text.is_empty() || all
}

/// A name as DNS has it, or an address.
fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        let letters = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    // What is made of numbers alone is a mistake in an address.
    let name = text.len() <= 253
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| !last.chars().all(|c| c.is_ascii_digit()));
    name || text.parse::<IpAddr>().is_ok()
}

/// The longest time that HAProxy counts, in microseconds: milliseconds in 31 bits.
const LONGEST: u64 = 2_147_483_647_000;

/// The microseconds of a whole number with a unit, or of a number alone, which is of milliseconds.
fn microseconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let each = match unit {
        "us" => 1,
        "" | "ms" => 1000,
        "s" => 1_000_000,
        "m" => 60 * 1_000_000,
        "h" => 3600 * 1_000_000,
        "d" => 24 * 3600 * 1_000_000,
        _ => return None,
    };
    if number.is_empty() { None } else { Some(number.parse().unwrap_or(u64::MAX).saturating_mul(each)) }
}

/// Digits, with a point among them or not.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.starts_with(|c: char| c.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// Printable, in ASCII.
fn is_ascii(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' '..='~'))
}

/// By HTTP, with something behind it.
fn is_url(text: &str) -> bool {
    text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// What a variable may hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// A truth value, or a word for one.
    Flag,
    /// A whole number, 0 or more.
    Number,
    /// The name of an interface.
    Interface,
    /// Names of interfaces, or none.
    Interfaces,
    /// A port.
    Port,
    /// An IP address.
    Address,
    /// A host's name, or an IP address.
    Hostname,
    /// A length of time, as HAProxy reads it.
    Duration,
    /// Characters that programs know whose texts have a byte each.
    Ascii,
    /// Where something is, by HTTP: nothing here speaks TLS.
    Url,
    /// A part of the name of an image.
    Image(Part),
    /// One of these words.
    OneOf(Vec<String>),
    /// A whole number from the first to the second.
    Within(i64, i64),
    /// The same of any number.
    Between(f64, f64),
}

impl Rule {
    /// The one that a variable has by its name and its default.
    pub(super) fn implied(name: &str, default: &Data) -> Option<Self> {
        match default {
            Data::Str(_) if name.ends_with(FQDN) => Some(Self::Hostname),
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
            Data::Str(word) if word == "hostname" => Some(Self::Hostname),
            Data::Str(word) if word == "interface" => Some(Self::Interface),
            Data::Str(word) if word == "interfaces" => Some(Self::Interfaces),
            Data::Str(word) if word == "duration" => Some(Self::Duration),
            Data::Str(word) if word == "url" => Some(Self::Url),
            Data::Str(word) if Part::parse(word).is_some() => Part::parse(word).map(Self::Image),
            Data::Str(word) if word == "ascii" => Some(Self::Ascii),
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
                    [Some(Data::Float(from)), Some(Data::Float(to))] if from <= to => {
                        parser.errors.extend(whole);
                        return Some(Self::Between(*from, *to));
                    }
                    [Some(_), Some(_)] if whole.is_empty() => {
                        let message =
                            "`from` and `to` must be whole numbers, or both have a point, the lower one first";
                        parser.fail(node, message, Kind::RoleRule);
                    }
                    _ => parser.errors.extend(whole),
                }
                None
            }
            _ => {
                let message = "expected `port`, `address`, `hostname`, `interface`, `interfaces`, `duration`, `url`, `ascii`, \
                               `registry`, `namespace`, `tag`, a list of words, or a mapping with `from` and `to`";
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
        let time = microseconds(value);
        let (holds, what) = match self {
            Self::Flag => (FLAGS.contains(&value.to_lowercase().as_str()), "true or false".to_owned()),
            Self::Number => (number.is_some_and(|number| number >= 0), "a whole number".to_owned()),
            Self::Interface => (is_interface(value), "the name of an interface".to_owned()),
            Self::Interfaces => {
                (are_interfaces(value), "names of interfaces, each once, with commas between them".to_owned())
            }
            Self::Hostname => (is_hostname(value), "a host name or an IP address".to_owned()),
            Self::Port => (matches!(number, Some(1..=65535)), "a port, from 1 to 65535".to_owned()),
            Self::Address => (value.parse::<IpAddr>().is_ok(), "an IP address".to_owned()),
            Self::Duration => match time {
                Some(0 | 1000..=LONGEST) => (true, String::new()),
                Some(1..1000) => (false, "at least a millisecond, or 0".to_owned()),
                Some(_) => (false, "at most 2147483647 milliseconds, which is less than 25 days".to_owned()),
                None => (false, "a duration such as `500ms`, `30s`, `1m` or `6h`".to_owned()),
            },
            Self::Ascii => (is_ascii(value), "printable characters of ASCII".to_owned()),
            Self::Url => (is_url(value), "a URL by HTTP, as `http://192.0.2.10:8099`".to_owned()),
            Self::Image(part) => (part.holds(value), part.what().to_owned()),
            Self::OneOf(words) => {
                let what = if words.len() == 1 { "" } else { "one of " };
                (words.iter().any(|word| word == value), format!("{what}{}", words.join(", ")))
            }
            Self::Within(from, to) => {
                (number.is_some_and(|number| (*from..=*to).contains(&number)), format!("a number from {from} to {to}"))
            }
            Self::Between(from, to) => {
                let holds = decimal(value).is_some_and(|number| (*from..=*to).contains(&number));
                (holds, format!("a number from {from} to {to}"))
            }
        };
        let found = match self {
            _ if value.is_empty() => "it is empty".to_owned(),
            // It may be a secret.
            Self::Ascii => "it has another one".to_owned(),
            _ => format!("`{value}`"),
        };
        let error = InputError::new(format!("`{name}` must be {what}: {found}")).of(Kind::WrongValue);
        let near = match self {
            Self::OneOf(words) if words.len() > 1 => nearest(value, words.iter().map(String::as_str)),
            _ => None,
        };
        (!holds).then(|| match (near, self) {
            (Some(near), _) => error.hint(format!("did you mean `{near}`?")),
            (None, Self::OneOf(words)) if words.len() == 1 => {
                error.hint(format!("other values are not supported yet: remove `{name}`"))
            }
            (None, Self::Image(part)) => InputError { hint: part.hint(value), ..error },
            (None, Self::Duration) if time.is_some() => {
                let right = if time > Some(LONGEST) { "`24d` or less" } else { "`1ms` or more" };
                error.hint(format!("write {right}: HAProxy counts milliseconds, in 31 bits"))
            }
            (None, Self::Url) if value.starts_with("https://") => {
                error.hint(format!("nothing here serves TLS yet: write it with `http://`, or leave `{name}` out"))
            }
            (None, Self::Hostname) => error.hint("write no protocol, port, path or blank with it"),
            (None, Self::Duration) => {
                error.hint("write a whole number with a unit: us, ms, s, m, h or d; a number alone is in milliseconds")
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
            Self::Interface => json!({ "type": "string", "pattern": "^[^ \\t/:,]{1,15}$" }),
            Self::Interfaces => json!({ "type": "string", "pattern": "^([^ \\t/:,]{1,15}( *, *[^ \\t/:,]{1,15})*)?$" }),
            Self::Hostname => json!({ "type": "string", "pattern": "^[A-Za-z0-9.:-]+$" }),
            Self::Port => number(1, 65535),
            Self::Within(from, to) => number(*from, *to),
            Self::Between(from, to) => json!({ "anyOf": [
                { "type": "number", "minimum": from, "maximum": to },
                { "type": "string", "pattern": "^[0-9]+([.][0-9]+)?$" },
            ] }),
            Self::Image(part) => json!({ "type": ["string", "number"], "description": part.what() }),
            Self::Ascii => json!({ "type": "string", "pattern": "^[ -~]*$" }),
            Self::Url => json!({ "type": "string", "pattern": "^http://[^ ]+$" }),
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
