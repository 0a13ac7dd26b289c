//! The parts of an image's name, `registry/namespace/image:tag`, as container engines read them.

use std::sync::LazyLock;

use regex::Regex;

/// A part of an image's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Where images are pulled from: `host`, `host:port`, or either with a path. Empty is the engine's own.
    Registry,
    /// A path in the registry, or nothing.
    Namespace,
    /// What stands before the name of an image: a registry and a path, with the slash.
    Place,
    /// What stands behind the colon.
    Tag,
    /// A whole name without a tag.
    Image,
    /// A whole name.
    Full,
}

const HOST: &str = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?";
const NAME: &str = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*";
const TAG: &str = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";

static PATTERNS: LazyLock<Option<[Regex; 6]>> = LazyLock::new(|| {
    let path = format!("{NAME}(?:/{NAME})*");
    let image = format!("(?:{HOST}/)?{path}");
    let pattern = |text: String| Regex::new(&format!("^(?:{text})$")).ok();
    Some([
        pattern(format!("(?:{HOST}(?:/{path})?)?"))?,
        pattern(format!("(?:{path})?"))?,
        pattern(format!("(?:{HOST}/)?(?:{path}/)?"))?,
        pattern(TAG.to_owned())?,
        pattern(image.clone())?,
        pattern(format!("{image}(?::{TAG}(?:@sha256:[0-9a-f]{{64}})?|@sha256:[0-9a-f]{{64}})?"))?,
    ])
});

impl Part {
    /// The part that a role names.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "registry" => Some(Self::Registry),
            "namespace" => Some(Self::Namespace),
            "tag" => Some(Self::Tag),
            _ => None,
        }
    }

    /// What it is, for errors.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Registry => "a registry, as `registry.example:5000`",
            Self::Namespace => "the path of images in a registry, as `openstack.kolla`",
            Self::Place => "a registry and a path with a slash behind them, as `registry.example/kolla/`",
            Self::Tag => "the tag of an image",
            Self::Image => "the name of an image without a tag, as `registry.example:5000/kolla/some-api`",
            Self::Full => "the name of an image, as `registry.example:5000/kolla/some-api:2025.1`",
        }
    }

    /// A text is such a part.
    pub fn holds(self, text: &str) -> bool {
        PATTERNS.as_ref().is_some_and(|patterns| patterns[self as usize].is_match(text))
    }

    /// What to do about a text that is none.
    pub(super) fn hint(self, text: &str) -> Option<String> {
        let hint = match self {
            _ if text.contains(char::is_whitespace) => "leave out the blank",
            Self::Tag => "a tag has letters, digits, `_`, `.` and `-`, and begins with none of the latter two",
            _ if text.contains("://") => {
                "leave out the scheme; `docker_registry_insecure: true` says that the registry speaks plain HTTP"
            }
            _ if text.contains('@') && self != Self::Full => {
                "the login is `docker_registry_username`, and `docker_registry_password` in passwords.yml"
            }
            _ if self == Self::Place => "it stands right before the names of images: end it with `/`",
            _ if text.ends_with('/') || text.starts_with('/') => "leave out the slash at the end or the start",
            _ if text.matches(':').count() > 1 && !text.contains('[') => {
                "write an IPv6 address in brackets: `[fd00::1]:5000`"
            }
            _ if text.chars().any(|c| c.is_ascii_uppercase()) => "names of images have no capital letters",
            _ => return None,
        };
        Some(hint.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_that_engines_take() {
        for (part, right, wrong) in [
            (
                Part::Registry,
                "|quay.io|10.0.0.5:4000|[fd00::1]:4000|Registry.Example|harbor.example:5000/mirror/quay.io|localhost",
                "https://quay.io|quay.io/|user:secret@quay.io|fd00::1|fd00::1:4000|quay .io|quay.io |a/B|quay.io:|/a",
            ),
            (Part::Namespace, "|kolla|openstack.kolla|a/b__c-d", "Kolla|/kolla|kolla/|a b|a..b|kolla:x"),
            (Part::Tag, "2025.1|2025.1-ubuntu-noble|_x|A", "|-a|.a|a b|a:b|a/b"),
            (Part::Place, "|r:5000/|r/kolla/|kolla/", "r:5000|https://r/|kolla"),
            (Part::Image, "some-api|r:5000/k/some-api", "r/k/some-api:1|Some|https://r/k"),
            (Part::Full, "r:5000/k/g:t|k/g|g@sha256:", "r/k/G:t|r/k/g:-t|http://r/k/g:t"),
        ] {
            for text in right.split('|').map(|text| text.replace("sha256:", &format!("sha256:{}", "0".repeat(64)))) {
                assert!(part.holds(&text), "{part:?} {text}");
            }
            for text in wrong.split('|') {
                assert!(!part.holds(text), "{part:?} {text}");
            }
        }
    }
}
