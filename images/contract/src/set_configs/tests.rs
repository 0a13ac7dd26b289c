use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A container's file system in a temporary folder, owned by whoever runs the test.
struct Case {
    root: TempDir,
    container: Container,
}

impl Case {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let container = Container::at(root.path());
        fs::create_dir_all(root.path().join("var/lib/kolla/config_files")).unwrap();
        Self { root, container }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes config.json: paths in it are below the case's root, the owner is this process's.
    fn config(&self, mut config: Value) {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        config["command"] = config.get("command").cloned().unwrap_or_else(|| json!("service --run"));
        for section in ["config_files", "directories", "files", "permissions"] {
            for entry in config.get_mut(section).and_then(Value::as_array_mut).into_iter().flatten() {
                for key in ["source", "dest", "path"] {
                    if let Some(path) = entry.get(key).and_then(Value::as_str).map(str::to_owned) {
                        // `join` would drop nothing but a leading slash: a trailing one matters.
                        entry[key] = json!(format!("{}/{path}", self.root.path().display()));
                    }
                }
                if entry.get("preserve_properties").is_none() {
                    entry["owner"] = json!(user);
                }
            }
        }
        fs::write(&self.container.config, config.to_string()).unwrap();
    }

    fn apply(&self) {
        self.container.apply("COPY_ALWAYS").unwrap();
        assert_eq!(self.container.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn files_come_with_their_mode_and_the_command_is_left_for_the_start() {
    let case = Case::new();
    case.put("src/a.conf", "new");
    case.put("etc/a.conf", "shipped");
    fs::set_permissions(case.path("etc/a.conf"), fs::Permissions::from_mode(0o644)).unwrap();
    case.config(json!({"config_files": [{"source": "src/a.conf", "dest": "etc/a.conf", "perm": "0600"}]}));
    assert!(!case.container.check().unwrap().is_empty());
    case.apply();
    assert_eq!((case.text("etc/a.conf").as_str(), case.mode("etc/a.conf")), ("new", 0o600));
    assert_eq!(case.text("run_command"), "service --run");
    assert!(!case.path("etc/.a.conf.kolla-new").exists());
}

#[test]
fn a_changed_copy_mode_or_command_is_seen() {
    let case = Case::new();
    case.put("src/a.conf", "new");
    let config = json!({"config_files": [{"source": "src/a.conf", "dest": "etc/a.conf", "perm": "600"}]});
    case.config(config.clone());
    case.apply();
    case.put("src/a.conf", "newer");
    let seen = case.container.check().unwrap();
    assert!(seen.len() == 1 && seen[0].ends_with("etc/a.conf: has another content"), "{seen:?}");
    case.apply();
    fs::set_permissions(case.path("etc/a.conf"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(case.container.check().unwrap()[0].ends_with("has another mode"));
    case.apply();
    let mut other = config;
    other["command"] = json!("service --other");
    case.config(other);
    assert_eq!(case.container.check().unwrap(), ["the command differs"]);
}

#[test]
fn a_file_that_config_json_no_longer_names_gives_way_to_the_original() {
    let case = Case::new();
    case.put("src/a", "ours");
    case.put("src/b", "ours");
    case.put("etc/a", "shipped");
    let both = json!({"config_files": [
        {"source": "src/a", "dest": "etc/a", "perm": "0644"},
        {"source": "src/b", "dest": "etc/b", "perm": "0644"},
    ]});
    case.config(both);
    case.apply();
    case.apply();
    case.config(json!({"config_files": []}));
    assert_eq!(case.container.check().unwrap().len(), 2);
    case.apply();
    assert_eq!(case.text("etc/a"), "shipped");
    assert!(!case.path("etc/b").exists());
}

#[test]
fn a_folder_replaces_a_folder_and_merge_adds_to_it() {
    let case = Case::new();
    case.put("src/conf.d/one/x", "x");
    case.put("etc/whole/old", "old");
    case.put("etc/merged/old", "old");
    case.config(json!({"config_files": [
        {"source": "src/conf.d/", "dest": "etc/whole", "perm": "0640"},
        {"source": "src/conf.d", "dest": "etc/merged", "perm": "0640", "merge": true},
        {"source": "src/conf.d", "dest": "etc/into/", "perm": "0640"},
    ]}));
    case.apply();
    assert!(!case.path("etc/whole/old").exists());
    assert_eq!((case.mode("etc/whole/one"), case.mode("etc/whole/one/x")), (0o750, 0o640));
    assert_eq!((case.text("etc/merged/old").as_str(), case.text("etc/merged/one/x").as_str()), ("old", "x"));
    assert_eq!(case.text("etc/into/conf.d/one/x"), "x");
    case.put("etc/whole/extra", "");
    assert!(case.container.check().unwrap()[0].ends_with("etc/whole/extra: does not belong here"));
}

#[test]
fn a_file_may_go_into_a_folder_that_came_before_it() {
    let case = Case::new();
    case.put("src/conf.d/x", "x");
    case.put("src/y", "y");
    case.config(json!({"config_files": [
        {"source": "src/conf.d", "dest": "etc/conf.d", "perm": "0640"},
        {"source": "src/y", "dest": "etc/conf.d/y", "perm": "0640"},
        {"source": "src/y", "dest": "etc/conf.d/x", "perm": "0640"},
    ]}));
    case.apply();
    case.apply();
    assert_eq!((case.text("etc/conf.d/x").as_str(), case.text("etc/conf.d/y").as_str()), ("y", "y"));
    case.config(json!({}));
    case.apply();
    assert!(!case.path("etc/conf.d").exists());
}

#[test]
fn globs_need_a_folder_and_what_is_optional_may_be_missing() {
    let case = Case::new();
    case.put("src/1.conf", "1");
    case.put("src/2.conf", "2");
    let glob = |dest: &str| json!({"config_files": [{"source": "src/*.conf", "dest": dest, "perm": "0644"}]});
    case.config(glob("etc/x"));
    assert!(case.container.apply("COPY_ALWAYS").unwrap_err().message.contains("must end with `/`"));
    case.config(glob("etc/"));
    case.apply();
    assert_eq!(case.text("etc/2.conf"), "2");
    let missing = |optional: bool| json!({"config_files": [{"source": "src/none", "dest": "etc/none", "perm": "0644", "optional": optional}]});
    case.config(missing(false));
    assert!(case.container.apply("COPY_ALWAYS").unwrap_err().message.contains("no such file"));
    case.config(missing(true));
    case.apply();
}

#[test]
fn preserved_properties_are_those_of_the_source_and_check_agrees() {
    let case = Case::new();
    case.put("src/tool", "run");
    fs::set_permissions(case.path("src/tool"), fs::Permissions::from_mode(0o751)).unwrap();
    symlink("tool", case.path("src/link")).unwrap();
    case.config(json!({"config_files": [{"source": "src", "dest": "opt", "preserve_properties": true}]}));
    case.apply();
    assert_eq!(case.mode("opt/tool"), 0o751);
    assert_eq!(fs::read_link(case.path("opt/link")).unwrap(), Path::new("tool"));
}

#[test]
fn copy_once_copies_once_and_another_strategy_is_refused() {
    let case = Case::new();
    case.put("src/a", "first");
    case.config(json!({"config_files": [{"source": "src/a", "dest": "etc/a", "perm": "0644"}]}));
    case.container.apply("COPY_ONCE").unwrap();
    case.put("src/a", "second");
    case.container.apply("COPY_ONCE").unwrap();
    assert_eq!(case.text("etc/a"), "first");
    assert_eq!(case.container.apply("").unwrap_err().code, 2);
}

#[test]
fn folders_files_and_permissions_are_set() {
    let case = Case::new();
    case.put("data/keep/a", "");
    case.put("data/skip/b", "");
    case.put("data/other.log", "");
    for file in ["data/keep/a", "data/skip/b", "data/other.log"] {
        fs::set_permissions(case.path(file), fs::Permissions::from_mode(0o666)).unwrap();
    }
    case.config(json!({
        "directories": [{"path": "log/service", "perm": "2775"}],
        "files": [{"path": "log/service/service.log", "perm": "0644"}],
        "permissions": [{"path": "data", "perm": "0640", "recurse": true, "exclude": ["/skip", r"\.log$"]}],
    }));
    case.apply();
    assert_eq!((case.mode("log/service"), case.mode("log/service/service.log")), (0o2775, 0o644));
    assert_eq!((case.mode("data"), case.mode("data/keep"), case.mode("data/keep/a")), (0o750, 0o750, 0o640));
    assert_eq!((case.mode("data/skip/b"), case.mode("data/other.log")), (0o666, 0o666));
}

#[test]
fn a_start_killed_after_the_originals_were_kept_loses_none() {
    let case = Case::new();
    case.put("src/a", "ours");
    case.put("etc/a", "shipped");
    case.config(json!({"config_files": [{"source": "src/a", "dest": "etc/a", "perm": "0644"}]}));
    let config = Config::read(&case.container.config).unwrap();
    case.container.keep_originals(&units(&config).unwrap()).unwrap();
    fs::remove_file(case.path("etc/a")).unwrap();
    case.apply();
    case.config(json!({}));
    case.apply();
    assert_eq!(case.text("etc/a"), "shipped");
}
