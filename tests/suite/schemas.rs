//! The schemas that editors get take what the program takes, and refuse what it refuses.
//!
//! The few keywords that they use are checked here; `tests/oracle/schemas.py` asks a whole validator.

use std::collections::BTreeSet;
use std::path::Path;

use kolla::role::{Roles, schema};
use kolla::source::Document;
use regex::Regex;
use serde_json::{Value, json};

use super::folder::repository;

/// What of a value is not as a schema of `whole` says: the place of the first fault.
fn fault(value: &Value, schema: &Value, whole: &Value, at: &str) -> Option<String> {
    let checked = |schema: &Value| fault(value, schema, whole, at);
    for (keyword, said) in schema.as_object().unwrap() {
        let wrong = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "definitions" => None,
            "$ref" => checked(whole.pointer(said.as_str().unwrap().trim_start_matches('#')).unwrap()),
            "type" => {
                let is = |name: &Value| match name.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                let right = said.as_array().map_or_else(|| is(said), |names| names.iter().any(is));
                (!right).then(|| at.to_owned())
            }
            "enum" => (!said.as_array().unwrap().contains(value)).then(|| at.to_owned()),
            "minimum" => value.as_f64().filter(|number| *number < said.as_f64().unwrap()).map(|_| at.to_owned()),
            "maximum" => value.as_f64().filter(|number| *number > said.as_f64().unwrap()).map(|_| at.to_owned()),
            "format" => {
                let right = |text: &&str| match said.as_str().unwrap() {
                    "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
                    "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
                    other => panic!("format {other}"),
                };
                value.as_str().filter(|text| !right(text)).map(|_| at.to_owned())
            }
            "pattern" => {
                let pattern = Regex::new(said.as_str().unwrap()).unwrap();
                value.as_str().filter(|text| !pattern.is_match(text)).map(|_| at.to_owned())
            }
            "required" => {
                let missing =
                    |key: &&Value| value.as_object().is_some_and(|map| !map.contains_key(key.as_str().unwrap()));
                said.as_array().unwrap().iter().find(missing).map(|_| at.to_owned())
            }
            "properties" => said
                .as_object()
                .unwrap()
                .iter()
                .find_map(|(key, schema)| fault(value.get(key)?, schema, whole, &format!("{at}/{key}"))),
            "propertyNames" => value
                .as_object()
                .into_iter()
                .flatten()
                .find_map(|(key, _)| fault(&json!(key), said, whole, &format!("{at}/{key}"))),
            "additionalProperties" => value.as_object().into_iter().flatten().find_map(|(key, value)| {
                let at = format!("{at}/{key}");
                let known = schema.get("properties").is_some_and(|known| known.get(key).is_some());
                match said {
                    _ if known => None,
                    Value::Bool(false) => Some(at),
                    said => fault(value, said, whole, &at),
                }
            }),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .find_map(|(index, item)| fault(item, said, whole, &format!("{at}/{index}"))),
            "allOf" => said.as_array().unwrap().iter().find_map(checked),
            "anyOf" => said.as_array().unwrap().iter().map(checked).reduce(Option::and).flatten(),
            "oneOf" => {
                let right = said.as_array().unwrap().iter().filter(|schema| checked(schema).is_none()).count();
                (right != 1).then(|| at.to_owned())
            }
            other => panic!("the schemas use no `{other}`"),
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn parsed(text: &str) -> Value {
    Document::parse("x.yml", text).unwrap().root.to_json()
}

fn read(path: &Path) -> Value {
    parsed(&std::fs::read_to_string(path).unwrap())
}

#[test]
fn every_role_is_as_its_schema_says_and_a_broken_one_is_not() {
    let schema = schema::role().unwrap();
    let valid = |value: &Value| fault(value, &schema, &schema, "");
    let mut roles = 0;
    for folder in std::fs::read_dir(repository("roles")).unwrap().flatten() {
        assert_eq!(valid(&read(&folder.path().join("role.yml"))), None, "{}", folder.path().display());
        roles += 1;
    }
    assert!(roles > 10);
    let whole = read(&repository("docs/role.yml"));
    assert_eq!(valid(&whole), None);
    for (place, value) in [
        ("/abuot", json!("x")),
        ("/services", json!([])),
        ("/services/example-api/imgae", json!("x")),
        ("/services/example-api/rolling", json!("one")),
        ("/services/example-api/files/0/mode", json!(640)),
        ("/services/example-api/files/0/merge", json!("xml")),
        ("/services/example-api/files/0/content", json!("x")),
        ("/services/example-api/files/0/to", json!("etc/x")),
        ("/services/example-api/volumes", json!(["x:data"])),
        ("/services/example-api/ready/tcp", json!("1.2.3.4:5")),
        ("/steps/0/task", json!({ "service": "example-api" })),
        ("/checks/0/memory", json!(1)),
        ("/services/example-api/proxy/listen_prot", json!(1)),
        ("/host/0/packgaes", json!([])),
    ] {
        let mut broken = whole.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        assert!(valid(&broken).is_some(), "{place}");
    }
    let mut broken = whole.clone();
    broken["services"]["example-api"]["files"][0].as_object_mut().unwrap().remove("to");
    assert!(valid(&broken).is_some());
    // What the comments say stands beside the keys.
    let said = |place: &str| schema.pointer(place).unwrap()["description"].as_str().unwrap_or_default().to_owned();
    assert_eq!(said("/properties/enabled"), "Whether the role is deployed.");
    let service = "/properties/services/additionalProperties/properties";
    assert!(said(&format!("{service}/rolling")).starts_with("How many hosts at a time"), "{}", said(service));
    assert_eq!(said("/properties/checks/items/properties/memory"), "minimum, in MiB");
}

#[test]
fn the_example_of_globals_is_as_its_schema_says_and_a_broken_one_is_not() {
    let schema = schema::globals(&Roles::load(&[]).unwrap());
    let valid = |text: &str| fault(&parsed(text), &schema, &schema, "");
    let example = std::fs::read_to_string(repository("etc/globals.yml")).unwrap();
    assert_eq!(valid(&example), None);
    // With every commented variable switched on.
    let key = Regex::new(r"^([a-z0-9_]+:|  \S)").unwrap();
    let on = |line: &str| line.strip_prefix('#').filter(|rest| key.is_match(rest)).unwrap_or(line).to_owned() + "\n";
    assert_eq!(valid(&example.lines().map(on).collect::<String>()), None);
    for good in ["enable_mariadb: no", "enable_mariadb: 'yes'", "enable_mariadb: '{{ x | bool }}'", "own_name: [1]"]
        .into_iter()
        .chain(["kolla_internal_vip_address: 'fd00::1'", "memcached_port: '11211'", "haproxy_client_timeout: 500ms"])
    {
        assert_eq!(valid(good), None, "{good}");
    }
    for broken in ["enable_mariadb: perhaps", "memcached_port: eleven", "host_packages: {a: 1}", "a-b: 1", "- a"]
        .into_iter()
        .chain([
            "kolla_internal_vip_address: 10.0.0.300",
            "memcached_port: 70000",
            "public_protocol: https",
            "haproxy_client_timeout: 1 minute",
        ])
    {
        assert!(valid(broken).is_some(), "{broken}");
    }
    let text = schema["properties"]["kolla_internal_vip_address"]["description"].as_str().unwrap();
    assert!(text.starts_with("The address that clients use inside the cloud"), "{text}");
}

/// The keys that a role's schema allows at a place of a role; none where any are.
pub(crate) fn allowed(schema: &Value, place: &str) -> Option<BTreeSet<String>> {
    let mut at = vec![schema];
    for part in place.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")) {
        at = at.into_iter().flat_map(|node| resolved(node, schema)).filter_map(|node| below(node, &part)).collect();
    }
    let closed =
        at.into_iter().flat_map(|node| resolved(node, schema)).find(|node| node["additionalProperties"] == false)?;
    Some(closed["properties"].as_object()?.keys().cloned().collect())
}

/// The schema itself, or those that it refers to.
fn resolved<'a>(node: &'a Value, whole: &'a Value) -> Vec<&'a Value> {
    if let Some(reference) = node["$ref"].as_str() {
        return whole.pointer(reference.trim_start_matches('#')).into_iter().collect();
    }
    let several = ["anyOf", "allOf"].iter().filter_map(|key| node[*key].as_array()).flatten();
    let several: Vec<&Value> = several.flat_map(|node| resolved(node, whole)).collect();
    if several.is_empty() { vec![node] } else { several }
}

fn below<'a>(node: &'a Value, part: &str) -> Option<&'a Value> {
    let item = node.get("items").filter(|_| part.chars().all(|c| c.is_ascii_digit()));
    let named = node.get("properties").and_then(|known| known.get(part));
    item.or(named).or_else(|| node.get("additionalProperties").filter(|other| other.is_object()))
}
