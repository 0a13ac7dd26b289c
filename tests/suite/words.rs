//! Words of the language of roles, each with its table in tests/cases/words: what is written, on which hosts, and what comes of
//! it there, or what is said against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kolla::op::Op;
use kolla::plan::{Call, Plan};
use serde::Deserialize;
use serde_json::Value;

use super::folder::{Folder, repository};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Added to globals.yml.
    #[serde(default)]
    globals: String,
    inventory: Option<String>,
    /// Further files of the site, by their paths.
    #[serde(default)]
    site: BTreeMap<String, String>,
    /// Of the role `toy`; that of the table where it is absent.
    role: Option<String>,
    /// Parts of the role that are something else.
    #[serde(default)]
    replace: BTreeMap<String, String>,
    /// What hosts keep of an earlier run, by host and variable.
    #[serde(default)]
    kept: BTreeMap<String, BTreeMap<String, u32>>,
    /// Hosts of which nothing is known.
    #[serde(default)]
    unknown: Vec<String>,
    /// The action that is asked for; the whole plan where it is absent.
    action: Option<Asked>,
    /// Parts of operations, by their ids.
    #[serde(default)]
    plan: BTreeMap<String, Value>,
    /// Contents by host, service and file.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Operations that are not in the plan.
    #[serde(default)]
    without: Vec<String>,
    /// What is said against it, with the hint.
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: String,
    #[serde(default)]
    arguments: BTreeMap<String, String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    inventory: String,
    role: String,
    cases: Vec<Case>,
}

/// What of `wanted` is not in `found`. In a list, `null` is anything.
fn lacks(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .find_map(|(key, value)| lacks(value, found.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"))),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let pairs = wanted.iter().zip(found).filter(|(wanted, _)| !wanted.is_null());
            pairs.enumerate().find_map(|(index, (wanted, found))| lacks(wanted, found, &format!("{at}/{index}")))
        }
        _ => (wanted != found).then(|| format!("{at} is {found}, not {wanted}")),
    }
}

fn wrong(table: &Table, case: &Case) -> Option<String> {
    let folder = Folder::new(case.inventory.as_ref().unwrap_or(&table.inventory));
    let globals = std::fs::read_to_string(folder.path("globals.yml")).unwrap();
    folder.write("globals.yml", &(globals + &case.globals));
    for (path, text) in &case.site {
        folder.write(path, text);
    }
    let mut role = case.role.as_ref().unwrap_or(&table.role).clone();
    for (from, to) in &case.replace {
        assert!(role.contains(from), "{}: the role has no `{from}`", case.name);
        role = role.replace(from, to);
    }
    folder.write("roles/toy/role.yml", &role);
    folder.write("known.json", &serde_json::to_string(&(&case.kept, &case.unknown)).unwrap());
    let made = match &case.action {
        None => folder.plan(),
        Some(asked) => {
            let call = Call {
                role: "toy".into(),
                action: asked.action.clone(),
                arguments: asked.arguments.clone().into_iter().collect(),
                to: asked.to.clone(),
            };
            folder.input(|input| Plan::action(input, &call))
        }
    };
    let plan = match made {
        Ok(plan) => plan,
        Err(error) => {
            let said = kolla::report::text::error(&error, false);
            return (case.error.is_empty() || !case.error.lines().all(|line| said.contains(line))).then_some(said);
        }
    };
    if !case.error.is_empty() {
        return Some("nothing is said against it".into());
    }
    let found = |id: &str| plan.nodes.iter().find(|node| node.id == id).and_then(|node| node.op.as_ref());
    for (id, wanted) in &case.plan {
        let Some(op) = found(id) else {
            let ids: Vec<&str> = plan.nodes.iter().filter(|node| node.role == "toy").map(|node| &*node.id).collect();
            return Some(format!("there is no {id}, but {ids:?}"));
        };
        if let Some(fault) = lacks(wanted, &serde_json::to_value(op).unwrap(), id) {
            return Some(fault);
        }
    }
    for (place, wanted) in &case.files {
        let words: Vec<&str> = place.split(' ').collect();
        let [host, service, name] = words[..] else { return Some(format!("`{place}` is no place")) };
        let set = found(&format!("{host}/files {service}"));
        let content = match set {
            Some(Op::FileSet(set)) => set.files.iter().find(|file| file.name == name).map(|file| &file.content),
            _ => None,
        };
        let content = content.map(|content| String::from_utf8_lossy(content).into_owned());
        if content.as_ref() != Some(wanted) {
            return Some(format!("{place} is {content:?}"));
        }
    }
    case.without.iter().find(|id| found(id).is_some()).map(|id| format!("there is {id}"))
}

#[test]
fn words_mean_what_their_tables_say() {
    let mut faults = String::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(repository("tests/cases/words")).unwrap().flatten() {
        let file = entry.file_name().display().to_string();
        let table: Table = serde_yaml::from_str(&std::fs::read_to_string(entry.path()).unwrap())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        for case in &table.cases {
            cases += 1;
            if let Some(fault) = wrong(&table, case) {
                let _ = writeln!(faults, "{file}: {}\n{fault}\n", case.name);
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    assert!(cases > 10, "only {cases} cases were read");
}
