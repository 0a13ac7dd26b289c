//! Limits of a container by Kolla's names, its `dimensions`: a role writes them, and the operator.

use minijinja::value::ValueKind;

use crate::error::{InputError, Kind, Place, nearest};
use crate::host::ContainerSpec;
use crate::source::{Data, Document, Key, Keys, Node, Shape};
use crate::template::values::{bytes, text_of};
use crate::template::{Value, Values};

const ULIMIT: Keys = Keys::new(&[("soft", Shape::Text), ("hard", Shape::Text)], &["soft", "hard"]);

/// What a role may write.
pub const KEYS: Keys = Keys::new(
    &[
        ("mem_limit", Shape::Text),
        ("mem_reservation", Shape::Text),
        ("memswap_limit", Shape::Text),
        ("cpu_period", Shape::Text),
        ("cpu_quota", Shape::Text),
        ("cpu_shares", Shape::Text),
        ("cpuset_cpus", Shape::Text),
        ("cpuset_mems", Shape::Text),
        ("blkio_weight", Shape::Text),
        ("ulimits", Shape::Named(&Shape::Keys(&ULIMIT))),
    ],
    &[],
);

/// Less than this is refused by Docker.
const LEAST: i64 = 6 << 20;

/// What the kernel limits for a process.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Limits as they are written, for one host.
pub struct Dimensions<'a> {
    /// What they are called in messages.
    pub name: &'a str,
    /// All of them.
    pub value: Value,
    /// Where they stand.
    pub node: &'a Node,
    /// In which file.
    pub document: &'a Document,
}

impl Dimensions<'_> {
    /// Sets what they say, each in place of what was there. What they must not say is noted.
    pub fn apply(&self, spec: &mut ContainerSpec, values: &mut Values<'_>) {
        let Ok(entries) = entries(&self.value) else {
            return self.fail(&[], format!("`{}` must be a mapping: `{}`", self.name, self.value), values);
        };
        for (key, value) in entries {
            // As in Kolla, what is empty is not said.
            if text_of(&value).is_empty() {
                continue;
            }
            let resources = &mut spec.resources;
            match key.as_str() {
                "mem_limit" => self.bytes("mem_limit", &value, &mut spec.memory, values),
                "mem_reservation" => self.bytes(&key, &value, &mut resources.mem_reservation, values),
                "memswap_limit" if text_of(&value) == "-1" => resources.memswap_limit = -1,
                "memswap_limit" => self.bytes(&key, &value, &mut resources.memswap_limit, values),
                "cpu_period" => self.number(&key, &value, 1000..=1_000_000, &mut resources.cpu_period, values),
                "cpu_quota" => self.number(&key, &value, 1000..=i64::MAX, &mut resources.cpu_quota, values),
                "cpu_shares" => self.number(&key, &value, 2..=262_144, &mut resources.cpu_shares, values),
                "blkio_weight" => self.number(&key, &value, 10..=1000, &mut resources.blkio_weight, values),
                "cpuset_cpus" => self.set(&key, &value, &mut resources.cpuset_cpus, values),
                "cpuset_mems" => self.set(&key, &value, &mut resources.cpuset_mems, values),
                "ulimits" => self.ulimits(&value, spec, values),
                _ => self.unknown(&key, values),
            }
        }
        let (memory, resources) = (spec.memory, &spec.resources);
        if resources.memswap_limit > 0 && (memory == 0 || resources.memswap_limit < memory) {
            let message =
                format!("`memswap_limit` of `{}` is less than `mem_limit`, or there is no `mem_limit`", self.name);
            self.note(&["memswap_limit"], InputError::new(message).hint("it counts memory and swap together"), values);
        }
        if memory > 0 && resources.mem_reservation > memory {
            let message = format!("`mem_reservation` of `{}` is more than `mem_limit`", self.name);
            self.fail(&["mem_reservation"], message, values);
        }
    }

    fn ulimits(&self, value: &Value, spec: &mut ContainerSpec, values: &mut Values<'_>) {
        let Ok(limits) = entries(value) else {
            return self.wrong("ulimits", value, "a mapping, as `nofile: { soft: 1024, hard: 4096 }`", values);
        };
        for (written, value) in limits {
            let path = ["ulimits", &written];
            // As Podman calls them.
            let name = written.strip_prefix("RLIMIT_").map_or_else(|| written.clone(), str::to_lowercase);
            if !ULIMITS.contains(&&*name) {
                let message = format!("`ulimits` of `{}`: there is no limit `{written}`", self.name);
                let hint = match nearest(&name, ULIMITS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known limits: {}", ULIMITS.join(", ")),
                };
                self.note(&path, InputError::new(message).of(Kind::UnknownKey).hint(hint), values);
                continue;
            }
            let number = |key: &str| text_of(&value.get_attr(key).unwrap_or_default()).parse().ok();
            let found = number("soft").zip(number("hard"));
            let within = |(soft, hard): &(i64, i64)| *hard == -1 || (0..=*hard).contains(soft);
            match found.filter(|_| entries(&value).is_ok_and(|keys| keys.len() == 2)) {
                Some(found) if within(&found) => drop(spec.ulimits.insert(name, found)),
                _ => {
                    let message = format!("`{written}` of `{}` is `{value}`", self.name);
                    let hint =
                        "write `{ soft: NUMBER, hard: NUMBER }`, the soft one not above the hard one; -1 is no limit";
                    self.note(&path, InputError::new(message).of(Kind::WrongValue).hint(hint), values);
                }
            }
        }
    }

    fn bytes(&self, key: &str, value: &Value, into: &mut i64, values: &mut Values<'_>) {
        match bytes(&text_of(value)) {
            Some(bytes) if bytes == 0 || bytes >= LEAST => *into = bytes,
            Some(_) => self.wrong(key, value, "at least `6m`", values),
            None => self.wrong(key, value, "a size, as `512m` or `4g`", values),
        }
    }

    fn number(
        &self,
        key: &str,
        value: &Value,
        within: std::ops::RangeInclusive<i64>,
        into: &mut i64,
        values: &mut Values<'_>,
    ) {
        match text_of(value).parse() {
            Ok(number) if number == 0 || within.contains(&number) => *into = number,
            _ if *within.end() == i64::MAX => {
                self.wrong(key, value, &format!("a whole number from {}", within.start()), values);
            }
            _ => self.wrong(key, value, &format!("a whole number from {} to {}", within.start(), within.end()), values),
        }
    }

    fn set(&self, key: &str, value: &Value, into: &mut String, values: &mut Values<'_>) {
        let text = text_of(value);
        let number = |text: &str| text.parse::<u32>().ok();
        let right = text.split(',').all(|part| match part.split_once('-') {
            Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
            None => number(part).is_some(),
        });
        if right { *into = text } else { self.wrong(key, value, "a list of numbers, as `0-3,6`", values) }
    }

    fn unknown(&self, key: &str, values: &mut Values<'_>) {
        let error = if key == "kernel_memory" {
            InputError::new(format!(
                "`kernel_memory` of `{}` limits nothing: no engine can do that any more",
                self.name
            ))
            .hint("remove it; `mem_limit` counts the kernel's memory, too")
        } else {
            let known = || KEYS.all.iter().map(|(key, _): &Key| *key);
            InputError::new(format!("`{}` has no key `{key}`", self.name)).hint(match nearest(key, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", known().collect::<Vec<_>>().join(", ")),
            })
        };
        self.note(&[key], error.of(Kind::UnknownKey), values);
    }

    fn wrong(&self, key: &str, value: &Value, what: &str, values: &mut Values<'_>) {
        self.fail(&[key], format!("`{key}` of `{}` must be {what}: `{value}`", self.name), values);
    }

    fn fail(&self, path: &[&str], message: String, values: &mut Values<'_>) {
        self.note(path, InputError::new(message).of(Kind::WrongValue), values);
    }

    fn note(&self, path: &[&str], error: InputError, values: &mut Values<'_>) {
        values.note(error.at(self.place(path)));
    }

    /// The deepest of these keys that is written where the limits stand: they may be made by a template.
    fn place(&self, path: &[&str]) -> Place {
        let (mut node, mut at) = (self.node, (self.node.line, self.node.column));
        for key in path {
            let Data::Map(map) = &node.data else { break };
            let Some(entry) = map.get(*key) else { break };
            (node, at) = (&entry.value, (entry.line, entry.column));
        }
        self.document.at(at.0, at.1)
    }
}

/// The entries of a mapping; none of nothing.
fn entries(value: &Value) -> Result<Vec<(String, Value)>, ()> {
    if value.is_none() || value.is_undefined() {
        return Ok(Vec::new());
    }
    if value.kind() != ValueKind::Map {
        return Err(());
    }
    let keys = value.try_iter().map_err(|_| ())?;
    Ok(keys.map(|key| (text_of(&key), value.get_item(&key).unwrap_or_default())).collect())
}
