//! Values, templates and merges come out as in Ansible and Kolla-Ansible, whose answers tests/oracle recorded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolla::site::merge::{merge_ini, merge_yaml};
use kolla::source::{Data, Document, Node};
use kolla::template::{HostLayers, Layer, Scopes, SiteLayers, Value};
use serde_json::{Value as Json, json};

use super::folder::repository;

fn folder() -> PathBuf {
    repository("tests/cases/templates")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(path: &Path) -> Json {
    serde_json::from_str(&read(path)).unwrap()
}

/// The two hosts of the folder, each with all of vars.yml.
fn scopes() -> Scopes {
    let facts = parse(&folder().join("facts.json"));
    let host = |name: &str, groups: &[&str]| HostLayers {
        name: name.to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        facts: Some(facts["kolla"][name].clone()),
        ..HostLayers::default()
    };
    let layer =
        |name: &str, text: &str| Arc::new(Layer::of(name, Document::parse(name, text).unwrap(), false).unwrap());
    let groups = json!({"all": ["h1", "h2"], "control": ["h1", "h2"], "compute": ["h2"], "ungrouped": []});
    Scopes::new(SiteLayers {
        base: vec![layer("inventory", "own_of_all: from the inventory\n")],
        hosts: vec![host("h1", &["control"]), host("h2", &["compute", "control"])],
        top: vec![layer("vars.yml", &read(&folder().join("vars.yml")))],
        constants: vec![("groups".to_owned(), Value::from(minijinja::value::Serde(groups)))],
        folder: folder(),
        environment: [("KOLLA_ORACLE".to_owned(), "of the environment".to_owned())].into(),
        ..SiteLayers::default()
    })
}

/// Compares all recorded answers of a file with what the program gives. Those that `differences.yml` names must differ.
fn compare(folder: &Path, file: &str, ours: impl Fn(&str) -> Result<Json, String>) {
    let answers = parse(&folder.join(file));
    let differences = Document::parse("differences.yml", &read(&folder.join("differences.yml"))).unwrap();
    let differences = differences.root.to_json();
    let mut wrong = Vec::new();
    let mut equal = 0;
    for (input, answer) in answers.as_object().unwrap() {
        let found = ours(input);
        let same = match (&found, answer.get("value")) {
            (Ok(found), Some(expected)) => found == expected,
            (Err(_), None) => true,
            _ => false,
        };
        let deliberate = differences[file].get(input).is_some();
        equal += usize::from(same);
        if same == deliberate {
            let note = if same { "no difference any more" } else { "" };
            let found = found.map_or_else(|error| format!("error {error}"), |found| found.to_string());
            wrong.push(format!("{input}\n  ansible {answer}\n  kolla   {found} {note}"));
        }
    }
    let known = answers.as_object().unwrap().len();
    let named = differences[file].as_object().map_or(0, serde_json::Map::len);
    assert!(wrong.is_empty(), "{file}: {} of {known} differ\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(equal + named, known, "{file}: differences.yml names what was not recorded");
}

fn json_of(value: &Value) -> Result<Json, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

#[test]
fn expressions_have_ansibles_values() {
    let scopes = scopes();
    compare(&folder(), "expressions.json", |line| {
        let template = line.contains("{{") || line.contains("{%");
        let text = if template { line.to_owned() } else { format!("{{{{ {line} }}}}") };
        let node = Node::new(1, 1, Data::Str(text.clone()));
        let document = Document::made("x.yml", &text, node.clone());
        let value = scopes.host("h1").eval(&document, &node).map_err(|error| error.message)?;
        json_of(&value)
    });
}

#[test]
fn templates_come_out_as_ansibles() {
    let scopes = scopes();
    compare(&folder(), "whole.json", |name| {
        let (name, merged) = name.strip_suffix(", merged").map_or((name, false), |name| (name, true));
        let path = folder().join("whole").join(name);
        let (source, scope) = (read(&path), scopes.host("h1"));
        let text = if merged { scope.render_merged(&path, &source) } else { scope.render(&path, &source) };
        text.map(Json::from).map_err(|error| error.message)
    });
}

#[test]
fn scalars_are_those_of_yaml_1_1() {
    compare(&folder(), "scalars.json", |line| {
        let document = Document::parse("x.yml", &format!("v: {line}")).map_err(|error| error.message)?;
        Ok(document.root.to_json()["v"].clone())
    });
}

/// The texts of each case.
fn sources(kind: &str) -> BTreeMap<String, Vec<String>> {
    let text = read(&repository("tests/cases/merges").join(format!("{kind}.yml")));
    serde_json::from_value(Document::parse("cases.yml", &text).unwrap().root.to_json()).unwrap()
}

#[test]
fn ini_files_merge_as_in_kolla_ansible() {
    let sources = sources("ini");
    compare(&repository("tests/cases/merges"), "ini.json", |name| {
        let texts: Vec<(&Path, &str)> = sources[name].iter().map(|text| (Path::new("x.conf"), text.as_str())).collect();
        merge_ini(&texts, 0).map(Json::from).map_err(|error| error.message)
    });
}

#[test]
fn yaml_files_merge_as_in_kolla_ansible() {
    let sources = sources("yaml");
    compare(&repository("tests/cases/merges"), "yaml.json", |name| {
        let texts: Vec<(&Path, &str)> = sources[name].iter().map(|text| (Path::new("x.yml"), text.as_str())).collect();
        merge_yaml(&texts).map(Json::from).map_err(|error| error.message)
    });
}
