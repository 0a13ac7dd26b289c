//! Variables that nothing reads: which they are, and what an operator is told of them.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use indexmap::IndexMap;
use kolla::error::InputError;
use kolla::plan::{Fault, Overrides, UnusedVariables};
use kolla::role::Roles;
use kolla::site::{READ_HERE, Site, SiteOptions, VaultKeys};
use serde_json::json;

use super::folder::repository;

/// A folder with files, read as a site.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("inventory", "[control]\nc1\nc2\n[network]\nc1\n[compute]\nw1\n");
        folder.write("passwords.yml", "database_password: hunter2\n");
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn site(&self) -> Site {
        self.with(&[]).1
    }

    fn unused(&self, extra: &[&str]) -> UnusedVariables {
        let (roles, site) = self.with(extra);
        let overrides = Overrides::read(&self.0.path().join("config"), &VaultKeys::default(), &site.mask).unwrap();
        UnusedVariables::of(&site, &roles, &overrides)
    }

    fn with(&self, extra: &[&str]) -> (Roles, Site) {
        let roles = Roles::load(&[]).unwrap();
        let options = SiteOptions {
            config_dir: self.0.path().to_owned(),
            inventories: vec![self.0.path().join("inventory")],
            extra_vars: extra.iter().map(|value| (*value).to_owned()).collect(),
            user: "me".into(),
            ..SiteOptions::default()
        };
        let site = Site::load(&options, roles.layers()).unwrap();
        (roles, site)
    }

    fn strip(&self, warnings: &[InputError]) -> Vec<String> {
        warnings
            .iter()
            .map(|warning| warning.to_string().replace(&format!("{}/", self.0.path().display()), ""))
            .collect()
    }
}

/// A globals.yml that sets all of some names.
fn setting<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.fold(String::new(), |text, name| text + name + ": '1'\n")
}

#[test]
fn each_variable_of_upstreams_globals_is_read_or_told() {
    let names = fs::read_to_string(repository("tests/cases/globals/names")).unwrap();
    let text = setting(names.lines());
    let unused = Folder::new(&[("globals.yml", &text)]).unused(&[]);
    let mut found = String::new();
    for name in names.lines() {
        let fault = unused.0.iter().find(|variable| variable.name == name).map(|variable| &variable.fault);
        let said = match fault {
            None => "read".to_owned(),
            Some(Fault::Unsupported { topic }) => format!("not supported: {topic}"),
            Some(Fault::Refused { topic, .. }) => format!("refused: {topic}"),
            Some(Fault::Met { topic }) => format!("met: {topic}"),
            Some(Fault::Renamed { to, .. }) => format!("here: {to}"),
            Some(other) => panic!("{name} is upstream's, but {other:?}"),
        };
        let _ = writeln!(found, "{name} {said}");
    }
    let expected = repository("tests/cases/globals/expected");
    if std::env::var_os("KOLLA_BLESS").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&expected).unwrap_or_default());
}

#[test]
fn what_the_example_offers_and_what_roles_have_is_read() {
    let example = fs::read_to_string(repository("etc/globals.yml")).unwrap();
    let offered = example.lines().filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once(':'));
    let mut names: Vec<String> = offered.map(|(name, _)| name.to_owned()).collect();
    names.extend(Roles::load(&[]).unwrap().layers().iter().flat_map(|layer| layer.vars.keys().cloned()));
    names.retain(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    assert!(names.len() > 150, "{}", names.len());
    let text = setting(names.iter().map(String::as_str));
    let unused = Folder::new(&[("globals.yml", &text)]).unused(&[]);
    // Once a value is replaced, what it was made of is not needed: the roles' own values are read above.
    let roles = Folder::new(&[("globals.yml", "---\n")]);
    let unread: Vec<&str> = unused.0.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(unread, Vec::<&str>::new());
    assert!(roles.unused(&[]).0.is_empty());
}

#[test]
fn what_others_name_is_read() {
    let folder = Folder::new(&[
        (
            "globals.yml",
            "api_interface: '{{ my_interface }}'\nglance_tag: x\nglance_api_image_full: y\nenable_magnum: '{{ my_wish }}'\n\
             my_wish: yes\nmy_unused: 1\nuses: '{{ my_helper }}'\nmy_helper: 2\nkolla_internal_vip_address: 10.0.0.9\n\
             nova_compute_dimensions: {}\nnova_extra_volumes: []\nopenvswitch_db_extra_volumes: []\n",
        ),
        ("globals.d/more.yml", "horizon_port: \"{{ lookup('vars', which) }}\"\nwhich: the_port\nthe_port: 80\n"),
        (
            "group_vars/all.yml",
            "my_interface: \"{{ vars['em_' ~ inventory_hostname] }}\"\nem_c1: em1\nem_c2: em2\n\
             ansible_host: '{{ inventory_hostname }}.{{ my_domain }}'\nmy_domain: example.test\n",
        ),
        ("host_vars/c1.yml", "ansible_become_flags: x\nin_a_file: 1\nin_another: 2\n"),
        ("config/nova.conf", "[a]\nb = {{ in_a_file }}\n{% for x in [1] %}\nc = {{ x }}\n{% endfor %}\n"),
        ("passwords.yml", "database_password: '{{ of_passwords }}'\n"),
    ]);
    let unused = folder.unused(&["of_passwords=x", "unread_extra=1"]);
    let told: Vec<(&str, &str)> = unused.0.iter().map(|s| (s.name.as_str(), s.fault.kind())).collect();
    assert_eq!(
        told,
        [
            ("enable_magnum", "refused"),
            ("my_unused", "unread"),
            ("uses", "unread"),
            ("my_helper", "unread"),
            ("in_another", "unread"),
            ("unread_extra", "unread"),
        ]
    );
}

#[test]
fn strangers_are_told_once_with_their_places_the_most_telling_first() {
    let folder = Folder::new(&[
        (
            "globals.yml",
            "mine: 1\ncinder_volume_group: vg\noctavia_amp_network:\n  name: x\nenable_magnum: true\n\
             kolla_internal_vip_adress: 10.0.0.9\nfernet_token_expiry: 1\nenable_xtrabackup: true\nenable_designate: no\n\
             kolla_internal_address: x\nenable_magnm: true\n",
        ),
        ("host_vars/c1.yml", "mine: 2\nnova_console: novnc\nnova_safety_upgrade: yes\n"),
        ("host_vars/c2.yml", "mine: 3\nnova_safety_upgrade: yes\n"),
    ]);
    let unused = folder.unused(&[]);
    let misnamed = [
        "globals.yml:6: unknown variable `kolla_internal_vip_adress`; did you mean `kolla_internal_vip_address`?",
        "globals.yml:11: unknown variable `enable_magnm`; did you mean `enable_magnum`? It is not supported here",
        "globals.yml:7: `fernet_token_expiry` is called `keystone_token_expiration` here",
        "globals.yml:10: `kolla_internal_address` is called `kolla_internal_vip_address` today",
    ];
    let all = [
        "not supported here, for cinder: `cinder_volume_group` (globals.yml:2)",
        "not supported here, for nova: `nova_safety_upgrade` (host_vars/c1.yml:3 and 1 more)",
        "not supported here, for octavia: `octavia_amp_network` (globals.yml:3)",
        "nothing reads `mine` (globals.yml:1 and 2 more)",
    ];
    assert_eq!(folder.strip(&unused.warnings()), [&misnamed[..], &all].concat());
    let few = [
        "not supported here: `cinder_volume_group` (globals.yml:2), \
         `nova_safety_upgrade` (host_vars/c1.yml:3 and 1 more), `octavia_amp_network` (globals.yml:3)",
        all[3],
    ];
    assert_eq!(folder.strip(&unused.brief()), [&misnamed[..], &few].concat());
    assert_eq!(unused.each().len(), 8);
    let refused = [
        "`enable_magnum: true` asks for what is not supported here",
        "`enable_xtrabackup: true` asks for what is not supported here",
    ];
    let messages: Vec<String> = unused.refused().into_iter().map(|error| error.message).collect();
    assert_eq!(messages, refused);
}

#[test]
fn what_asks_for_nothing_else_than_what_is_done_is_not_told() {
    let globals = "kolla_install_type: source\nconfig_strategy: COPY_ALWAYS\nglance_backend_file: yes\n\
                   nova_console: novnc\nneutron_plugin_agent: openvswitch\nworkaround_ansible_issue_8743: yes\n\
                   tempest_image_id:\nkolla_enable_tls_external: no\nkolla_enable_tls_internal: \"no\"\n\
                   cinder_backend_ceph: no\nglance_backend_ceph: no\nnova_backend_ceph: no\nenable_zun: no\n\
                   enable_ceph: \"no\"\nenable_heat: '{{ enable_zun }}'\nkeystone_token_provider: fernet\n\
                   enable_opensearch: '{{ enable_central_logging | bool }}'\nkolla_verify_tls_backend: yes\n";
    let unused = Folder::new(&[("globals.yml", globals)]).unused(&[]);
    assert_eq!((unused.each(), unused.refused()), (vec![], vec![]));
    assert_eq!(unused.warnings(), vec![]);
}

#[test]
fn what_is_asked_for_and_is_not_there_is_refused_whoever_reads_it() {
    for (globals, refused) in [
        ("kolla_enable_tls_external: yes\n", 1),
        ("kolla_internal_vip_address: 10.0.0.9\nkolla_enable_tls_internal: yes\nkolla_enable_tls_external: yes\n", 1),
        ("neutron_plugin_agent: ovn\nenable_openvswitch: \"{{ neutron_plugin_agent != 'linuxbridge' }}\"\n", 1),
        ("neutron_plugin_agent: '{{ mine }}'\nmine: ovn\n", 1),
        ("cinder_backend_huawei: yes\n", 1),
        ("enable_redis: yes\nenable_zun: yes\nenable_panko: yes\nenable_sahara: True\n", 4),
        ("enable_prometheus: yes\nenable_prometheus_server: '{{ enable_prometheus }}'\n", 1),
        ("keystone_identity_providers: [{name: x}]\n", 1),
        ("nova_console: spice\nkolla_dev_mode: yes\n", 2),
    ] {
        let unused = Folder::new(&[("globals.yml", globals)]).unused(&[]);
        assert_eq!(unused.refused().len(), refused, "{globals}{:?}", unused.refused());
    }
    let nested = Folder::new(&[("globals.yml", "keystone_identity_providers: [{name: x, client_secret: hunter2}]\n")]);
    let messages: Vec<String> = nested.unused(&[]).refused().iter().map(ToString::to_string).collect();
    assert!(messages.len() == 1 && !messages[0].contains("hunter2"), "{messages:?}");
    // The value of a host counts for it.
    let host = Folder::new(&[("host_vars/c2.yml", "nova_console: spice\n"), ("globals.yml", "nova_console: novnc\n")]);
    let refused = host.strip(&host.unused(&[]).refused());
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("host_vars/c2.yml:1"), "{refused:?}");
}

#[test]
fn a_value_under_another_name_has_effect() {
    let folder = Folder::new(&[
        (
            "globals.yml",
            "fernet_token_expiry: 3600\ncron_logrotate_log_maxsize: 7M\nkolla_internal_address: 10.0.0.9\n",
        ),
        ("host_vars/c2.yml", "fernet_token_expiry: 60\nkeystone_token_expiration: 61\n"),
    ]);
    let scopes = folder.site().scopes(IndexMap::new());
    let get = |host: &str, name: &str| scopes.host(host).get(name).unwrap().to_string();
    assert_eq!(get("c1", "keystone_token_expiration"), "3600");
    assert_eq!(get("c2", "keystone_token_expiration"), "61");
    assert_eq!(get("c1", "cron_logrotate_max_size"), "7M");
    assert_eq!(get("c1", "kolla_internal_vip_address"), "10.0.0.9");
}

#[test]
fn names_of_kolla_ansible_have_values_in_expressions() {
    let expression = "{{ om_rpc_transport }} {{ enable_zun | bool }} {{ enable_horizon_heat | bool }} \
                      {{ fernet_token_expiry }} {{ openstack_auth.username }} {{ aodh_public_endpoint }} \
                      {{ ansible_hostname }} {{ ansible_facts.machine }} {{ node_config_directory }} {{ nova_tag }}";
    let globals = format!("kolla_internal_vip_address: 10.0.0.9\nopenstack_tag: t\nx: '{expression}'\n");
    let folder = Folder::new(&[("globals.yml", &globals), ("passwords.yml", "keystone_admin_password: secret\n")]);
    let facts = json!({"hostname": "c1", "os": "debian", "os_version": "13", "arch": "x86_64", "interfaces": {}});
    let scopes = folder.site().scopes(IndexMap::from([("c1".to_owned(), facts)]));
    assert_eq!(
        scopes.host("c1").get("x").unwrap().to_string(),
        "rabbit False False 86400 admin http://10.0.0.9:8042 c1 x86_64 /etc/kolla t"
    );
}

#[test]
fn many_strangers_are_told_in_a_few_lines() {
    let names = fs::read_to_string(repository("tests/cases/globals/names")).unwrap();
    let mut text = setting(names.lines());
    for number in 0..40 {
        let _ = writeln!(text, "site_of_ours_{number}: 1");
    }
    let unused = Folder::new(&[("globals.yml", &text)]).unused(&[]);
    let brief: Vec<String> = unused.brief().iter().map(ToString::to_string).collect();
    assert!(brief.len() <= 4 && brief.iter().all(|line| line.len() < 500), "{brief:#?}");
    assert!(brief.iter().any(|line| line.contains("variables are not supported here, for ")), "{brief:#?}");
    assert!(
        brief.iter().any(|line| line.ends_with("and 35 more variables: `kolla validate` lists them")),
        "{brief:#?}"
    );
}

#[test]
#[allow(clippy::disallowed_types)]
fn validate_lists_them_for_programs_too() {
    let passwords = fs::read_to_string(repository("tests/cases/inputs/globals-not-a-flag/passwords.yml")).unwrap();
    let globals = "kolla_internal_vip_address: 10.0.0.9\nenable_magnum: no\nnova_safety_upgrade: true\nmine: 1\n\
                   network_interfce: eth0\nneutron_api_workers: 2\n";
    let folder = Folder::new(&[("globals.yml", globals), ("passwords.yml", &passwords)]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
        .args(["--configdir", ".", "-e", "enable_openstack_core=false", "validate", "--output", "json"])
        .current_dir(folder.0.path())
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().last().unwrap_or_default();
    let answer: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}"));
    let row = |name: &str, state: &str, line: usize, topic: Option<&str>, instead: Option<&str>| {
        let place = format!("./globals.yml:{line}");
        json!({"name": name, "state": state, "place": place, "more": 0, "topic": topic, "instead": instead})
    };
    let expected = json!([
        row("enable_magnum", "met", 2, Some("magnum"), None),
        row("nova_safety_upgrade", "unsupported", 3, Some("nova"), None),
        row("mine", "unread", 4, None, None),
        row("network_interfce", "unknown", 5, None, Some("network_interface")),
        row("neutron_api_workers", "renamed", 6, None, Some("neutron_server_workers")),
    ]);
    assert_eq!(answer["variables"], expected, "{said}");
}

/// Names in text literals of the program's code, without its tests.
fn literals(folder: &Path, found: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            literals(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("reads.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let tests = path.ends_with("tests.rs");
            found.extend(code.split('"').filter(|_| !tests).map(str::to_owned));
        }
    }
}

#[test]
fn what_the_program_reads_itself_is_known_as_read() {
    let mut words = HashSet::new();
    for folder in ["app", "cloud", "op", "plan", "site", "template"] {
        literals(&repository("src").join(folder), &mut words);
    }
    let roles = Roles::load(&[]).unwrap();
    let of_roles: HashSet<String> = roles.layers().iter().flat_map(|layer| layer.vars.keys().cloned()).collect();
    let example = fs::read_to_string(repository("etc/globals.yml")).unwrap();
    let offered = |name: &str| {
        example
            .lines()
            .any(|line| line.strip_prefix('#').unwrap_or(line).split_once(':').is_some_and(|(other, _)| other == name))
    };
    let list: HashSet<&str> = READ_HERE.iter().copied().collect();
    assert_eq!(list.len(), READ_HERE.len(), "a name stands twice in READ_HERE");
    let read: HashSet<&str> =
        words.iter().map(String::as_str).filter(|word| of_roles.contains(*word) || offered(word)).collect();
    let mut missing: Vec<&&str> = read.difference(&list).collect();
    missing.sort();
    assert!(missing.is_empty(), "the program reads {missing:?}: add them to READ_HERE");
    let mut gone: Vec<&&str> = list.iter().filter(|name| !words.contains(**name)).collect();
    gone.sort();
    assert!(gone.is_empty(), "nothing in the code reads {gone:?}: take them out of READ_HERE");
}
