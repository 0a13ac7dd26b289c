//! The values of Kolla-Ansible's variables that no role here has.

use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;

use super::{all, successors};
use crate::source::{Data, Document, Entry, Node};
use crate::template::{Defaults, Layer, Sourced};

/// Read when a name is first asked for that nothing sets.
static DEFAULTS: LazyLock<Defaults> =
    LazyLock::new(|| Defaults::of(Layer { name: "Kolla-Ansible".into(), vars: expanded(), ..Layer::default() }));

/// What a name of Kolla-Ansible's means where nothing sets it and no role has it.
pub fn defaults() -> &'static Defaults {
    &DEFAULTS
}

/// All values: those that have one of their own, and those whose name ends as a pattern does.
fn expanded() -> IndexMap<String, Sourced> {
    // A test reads it.
    let Ok(document) = Document::parse("kolla-ansible/values.yml", include_str!("values.yml")) else {
        return IndexMap::new();
    };
    let part = |name: &str| match &document.root.data {
        Data::Map(map) => map.get(name).and_then(|entry| entries(&entry.value)).cloned().unwrap_or_default(),
        _ => IndexMap::new(),
    };
    let (mut patterns, starts, values) = (part("patterns"), part("starts"), part("values"));
    patterns.sort_by(|one, _, other, _| other.len().cmp(&one.len()));
    let document = Arc::new(document);
    let sourced = |node| Sourced { node, document: document.clone() };
    let by_pattern = all().filter(|(name, _)| !values.contains_key(*name)).filter_map(|(name, role)| {
        let by_start = || starts.iter().find_map(|(start, entry)| Some((name.strip_prefix(start)?, entry)));
        let by_end = patterns.iter().find_map(|(end, entry)| Some((name.strip_suffix(end)?, entry)));
        let (stem, entry) = by_end.or_else(by_start)?;
        let text = entry.value.as_str()?;
        let text = text.replace("{stem}", stem).replace("{image}", &stem.replace('_', "-"));
        let text = text.replace("{role}", &role.replace('-', "_"));
        Some((name.to_owned(), sourced(Node { data: Data::Str(text), ..entry.value.clone() })))
    });
    let by_pattern: Vec<_> = by_pattern.collect();
    let here = successors().map(|(old, new)| {
        (old.to_owned(), sourced(Node { data: Data::Str(format!("{{{{ {new} }}}}")), ..document.root.clone() }))
    });
    values.into_iter().map(|(name, entry)| (name, sourced(entry.value))).chain(by_pattern).chain(here).collect()
}

fn entries(node: &Node) -> Option<&IndexMap<String, Entry>> {
    match &node.data {
        Data::Map(map) => Some(map),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_its_own_comes_before_a_pattern() {
        let layer = defaults().layer().unwrap();
        let text = |name: &str| layer.vars[name].node.as_str().map(str::to_owned);
        assert_eq!(text("nova_console").as_deref(), Some("novnc"));
        assert_eq!(text("nova_compute_tag").as_deref(), Some("{{ nova_tag }}"));
        assert_eq!(text("nova_tag").as_deref(), Some("{{ openstack_tag }}"));
        assert_eq!(text("enable_panko").as_deref(), Some("no"));
        assert_eq!(text("aodh_api_image_full").as_deref(), Some("{{ aodh_api_image }}:{{ aodh_api_tag }}"));
    }
}
