//! What a value of one of Kolla-Ansible's variables asks for that no role here reads.

use std::sync::LazyLock;

use glob::Pattern;
use serde::Deserialize;

use crate::template::{Value, values::text_of};

/// What a value asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Nothing, or what is done anyway.
    Met,
    /// Another service, backend or data path than the one that is deployed, or a protection that there is not.
    Refused,
    /// Something that changes no more than how a service does its work.
    Unsupported,
}

static ASKS: LazyLock<Asks> = LazyLock::new(|| serde_yaml::from_str(include_str!("asks.yml")).unwrap_or_default());

#[derive(Debug, Default, Deserialize)]
struct Asks {
    refused: Vec<String>,
    nothing: Vec<String>,
}

/// What a value asks for; `done` is what holds here, where that is known.
pub fn ask(name: &str, value: &Value, done: Option<&Value>) -> Ask {
    let is = |patterns: &[String]| patterns.iter().any(|p| Pattern::new(p).is_ok_and(|p| p.matches(name)));
    let (mut text, done) = (plain(value), done.map_or_else(|| "false".to_owned(), plain));
    if matches!(done.as_str(), "true" | "false") {
        text = match text.as_str() {
            "1" => "true".into(),
            "0" => "false".into(),
            _ => text,
        };
    }
    let met = text == done;
    if met || text.is_empty() || is(&ASKS.nothing) {
        Ask::Met
    } else if is(&ASKS.refused) {
        Ask::Refused
    } else {
        Ask::Unsupported
    }
}

/// A value's text; the words for a truth value are one, and what is empty is nothing.
fn plain(value: &Value) -> String {
    if value.is_none() || value.len() == Some(0) {
        return String::new();
    }
    let text = text_of(value);
    match text.trim().to_lowercase().as_str() {
        "yes" | "true" | "on" | "y" | "t" => "true".into(),
        "no" | "false" | "off" | "n" | "f" => "false".into(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ask_is_met_by_what_is_done_anyway() {
        let (yes, no) = (Value::from("yes"), Value::from("no"));
        for (name, value, done, expected) in [
            ("enable_zun", Value::from(true), Some(&no), Ask::Refused),
            ("enable_zun", Value::from("False"), Some(&no), Ask::Met),
            ("enable_panko", yes.clone(), None, Ask::Refused),
            ("enable_panko", no.clone(), None, Ask::Met),
            ("kolla_enable_tls_external", yes.clone(), Some(&no), Ask::Refused),
            ("cinder_backend_ceph", yes.clone(), Some(&no), Ask::Refused),
            ("neutron_plugin_agent", Value::from("ovn"), Some(&Value::from("openvswitch")), Ask::Refused),
            ("neutron_plugin_agent", Value::from("openvswitch"), Some(&Value::from("openvswitch")), Ask::Met),
            ("kolla_install_type", Value::from("binary"), None, Ask::Met),
            ("enable_zun", Value::from(0), Some(&no), Ask::Met),
            ("enable_container_healthchecks", Value::from(1), Some(&yes), Ask::Met),
            ("tempest_image_id", Value::from(()), None, Ask::Met),
            ("haproxy_threads", Value::from(4), Some(&Value::from(1)), Ask::Unsupported),
            ("haproxy_threads", Value::from("1"), Some(&Value::from(1)), Ask::Met),
        ] {
            assert_eq!(ask(name, &value, done), expected, "{name} {value}");
        }
        assert!(!ASKS.refused.is_empty() && !ASKS.nothing.is_empty());
    }
}
