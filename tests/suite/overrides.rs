//! What a file of a service is made of: the role's templates, and the operator's files in `config/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kolla::error::Error;
use kolla::op::Op;
use kolla::plan::{NAMED, Overrides, Plan};
use kolla::role::Roles;
use kolla::shell::Mask;
use kolla::site::VaultKeys;

use super::folder::{Folder, repository};

const TWO: &str = "[control]\nc1\nc2\n[network]\nc1\n";

/// A site that deploys no more than it must.
fn site() -> Folder {
    let folder = Folder::new(TWO);
    folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\n");
    folder
}

/// A site with a role `toy`, whose one service has these files.
fn toy(service: &str, files: &str) -> Folder {
    let folder = site();
    let role = format!(
        "about: A toy.\nvars: {{ toy_port: 99 }}\nservices:\n  {service}:\n    group: control\n    files:\n{files}"
    );
    folder.write("roles/toy/role.yml", &role);
    folder.write("roles/toy/templates/toy.conf.j2", "[DEFAULT]\n# a port\nport = {{ toy_port }}\nfrom = template\n");
    folder
}

/// Names and contents of a service's files on a host.
fn files(plan: &Plan, host: &str, service: &str) -> BTreeMap<String, String> {
    let sets = plan.nodes.iter().filter(|node| node.host == host).filter_map(|node| match &node.op {
        Some(Op::FileSet(set)) if set.service == service => Some(&set.files),
        _ => None,
    });
    sets.flatten().map(|file| (file.name.clone(), String::from_utf8(file.content.to_vec()).unwrap())).collect()
}

fn file(folder: &Folder, host: &str, service: &str, name: &str) -> String {
    let plan = folder.plan().unwrap_or_else(|error| panic!("{}", kolla::report::text::error(&error, false)));
    files(&plan, host, service).remove(name).unwrap_or_default()
}

#[test]
fn files_of_an_openstack_service_are_merged_in_kollas_order() {
    let spec = "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }\n";
    // Each puts its own name over the one before, and leaves one key of its own.
    let order = ["global.conf", "toy.conf", "toy/toy-api.conf", "toy/c1/toy.conf", "toy/c1/toy-api.conf"];
    let folder = toy("toy-api", spec);
    assert!(file(&folder, "c1", "toy-api", "toy.conf").contains("# a port"), "nothing is merged, nothing is changed");
    let mut own = String::new();
    for (number, path) in order.iter().enumerate() {
        folder
            .write(&format!("config/{path}"), &format!("[DEFAULT]\nfrom = {path}\nkey{number} = {{{{ toy_port }}}}\n"));
        let _ = writeln!(own, "key{number} = 99");
        let expected = format!("[DEFAULT]\nport = 99\nfrom = {path}\n{own}\n");
        assert_eq!(file(&folder, "c1", "toy-api", "toy.conf"), expected, "with {path}");
    }
    let other = file(&folder, "c2", "toy-api", "toy.conf");
    assert!(other.contains("from = toy/toy-api.conf\n") && !other.contains("key3"), "{other}");
}

/// Glance has its exceptions in Kolla-Ansible; Keystone's service has its role's name.
#[test]
fn names_of_roles_and_services_give_kollas_paths() {
    let folder = site();
    let role = |service: &str, file: &str| {
        format!(
            "about: A toy.\nservices:\n  {service}:\n    group: control\n    files:\n\
             \x20     - {{ template: it.conf.j2, to: /etc/x/{file}, merge: oslo }}\n"
        )
    };
    for (name, service, file) in
        [("glance", "glance-api", "glance-api.conf"), ("keystone", "keystone", "keystone.conf")]
    {
        folder.write(&format!("roles/{name}/role.yml"), &role(service, file));
        folder.write(&format!("roles/{name}/templates/it.conf.j2"), "");
    }
    for path in ["glance.conf", "glance/glance-api.conf", "glance/c1/glance-api.conf"] {
        folder.write(&format!("config/{path}"), &format!("[DEFAULT]\nfrom = {path}\n"));
        let found = file(&folder, "c1", "glance-api", "glance-api.conf");
        assert_eq!(found, format!("[DEFAULT]\nfrom = {path}\n\n"));
    }
    for path in ["keystone.conf", "keystone/keystone.conf", "keystone/c1/keystone.conf"] {
        folder.write(&format!("config/{path}"), &format!("[DEFAULT]\nfrom = {path}\n"));
        let found = file(&folder, "c1", "keystone", "keystone.conf");
        assert_eq!(found, format!("[DEFAULT]\nfrom = {path}\n\n"));
    }
}

#[test]
fn files_of_other_kinds_are_found_by_their_own_name() {
    let order = ["toy.ini", "toy/toy.ini", "toy/c1/toy.ini"];
    let merged = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.ini, merge: ini }\n");
    let whole = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.ini }\n");
    for path in order {
        for folder in [&merged, &whole] {
            folder.write(&format!("config/{path}"), &format!("; mine\n[DEFAULT]\nfrom = {path}\n"));
        }
        assert_eq!(file(&merged, "c1", "toy", "toy.ini"), format!("[DEFAULT]\nport = 99\nfrom = {path}\n\n"));
        assert_eq!(file(&whole, "c1", "toy", "toy.ini"), format!("; mine\n[DEFAULT]\nfrom = {path}\n"));
    }
    assert_eq!(file(&whole, "c2", "toy", "toy.ini"), "; mine\n[DEFAULT]\nfrom = toy/toy.ini\n");
}

#[test]
fn several_templates_are_one_file_with_variables_of_its_own() {
    let folder = toy(
        "toy",
        "      - template: [shared.conf.j2, toy.conf.j2]\n        to: /etc/toy/toy.conf\n        merge: ini\n\
         \x20       with: { project: toy, limit: 5, peers: \"{{ groups['control'] }}\", deep: { on: \"{{ toy_port }}\" } }\n\
         \x20     - { template: plain.j2, to: /etc/toy/plain }\n",
    );
    let site = std::fs::read_to_string(repository("roles/site/role.yml")).unwrap();
    folder.write("roles/site/role.yml", &site);
    // It takes the place of the built-in one, whose templates other roles need.
    for shared in std::fs::read_dir(repository("roles/site/templates")).unwrap().flatten() {
        let name = format!("roles/site/templates/{}", shared.file_name().to_string_lossy());
        folder.write(&name, &std::fs::read_to_string(shared.path()).unwrap());
    }
    folder.write(
        "roles/site/templates/shared.conf.j2",
        "[DEFAULT]\nproject = {{ project }}\nfrom = {{ peers[1] }}\nlimit = {{ limit + 1 }}\ndeep = {{ deep.on + 1 }}\n",
    );
    folder.write("roles/toy/templates/plain.j2", "{{ project is defined }}\n");
    folder.write("config/toy/c2/toy.conf", "[DEFAULT]\nlimit = {{ limit + 2 }}\n");
    let expected = "[DEFAULT]\nproject = toy\nfrom = template\nlimit = 6\ndeep = 100\nport = 99\n\n";
    assert_eq!(file(&folder, "c1", "toy", "toy.conf"), expected);
    assert_eq!(file(&folder, "c2", "toy", "toy.conf"), expected.replace("limit = 6", "limit = 7"));
    assert_eq!(file(&folder, "c1", "toy", "plain"), "False\n", "another file sees them");
    // A template of the role's own comes before a shared one.
    folder.write("roles/toy/templates/shared.conf.j2", "[DEFAULT]\nown = true\n");
    assert_eq!(file(&folder, "c1", "toy", "toy.conf"), "[DEFAULT]\nown = true\nport = 99\nfrom = template\n\n");
}

#[test]
fn a_file_that_is_given_is_there_only_where_the_operator_has_it() {
    let folder = toy(
        "toy",
        "      - { given: [policy.yaml, policy.json], to: /etc/toy/, owner: toy }\n\
         \x20     - { given: paste.ini, to: /etc/toy/toy-paste.ini }\n    command: toy\n",
    );
    let found = |host: &str| {
        let mut found = files(&folder.plan().unwrap(), host, "toy");
        let config: serde_json::Value = serde_json::from_str(&found.remove("config.json").unwrap()).unwrap();
        let to =
            config["config_files"].as_array().unwrap().iter().map(|file| file["dest"].as_str().unwrap().to_owned());
        (to.collect::<Vec<_>>(), found)
    };
    assert_eq!(found("c1"), (vec![], BTreeMap::new()));
    folder.write("config/toy/policy.json", "{}\n");
    folder.write("config/toy/paste.ini", "# {{ toy_port }}\n");
    folder.write("config/policy.yaml", "of nobody\n");
    let (to, content) = found("c1");
    assert_eq!(to, ["/etc/toy/policy.json", "/etc/toy/toy-paste.ini"]);
    assert_eq!((content["policy.json"].as_str(), content["toy-paste.ini"].as_str()), ("{}\n", "# 99\n"));
    folder.write("config/toy/policy.yaml", "for all\n");
    folder.write("config/toy/c2/policy.json", "for c2\n");
    assert_eq!(found("c1").1["policy.yaml"], "for all\n");
    assert_eq!(found("c2").1["policy.json"], "for c2\n");
    assert!(!found("c2").1.contains_key("policy.yaml"));
}

#[test]
fn a_folder_or_a_pattern_gives_all_that_is_like_it() {
    let folder = toy(
        "toy",
        "      - { given: parts/*.conf, to: /etc/toy/parts/, with: { own: 7 } }\n\
         \x20     - { given: /extra/tree/, to: /srv/toy/ }\n\
         \x20     - { template: toy.conf.j2, to: /etc/toy/toy.conf }\n    command: toy {{ given | default([]) | join(' ') }}\n",
    );
    folder.write("roles/toy/templates/toy.conf.j2", "{{ given is defined }}\n");
    assert_eq!(file(&folder, "c1", "toy", "toy.conf"), "False\n");
    for (path, text) in [
        ("toy/parts/b.conf", "b {{ toy_port }} {{ own }}\n"),
        ("toy/parts/a.conf", "a\n"),
        ("toy/c2/parts/a.conf", "a of c2\n"),
        ("extra/tree/toy.conf", "of the tree\n"),
        ("extra/tree/deep/er/a.conf", "deep\n"),
    ] {
        folder.write(&format!("config/{path}"), text);
    }
    assert_eq!(unread(&folder), [""; 0]);
    let to = |host: &str| {
        let found = files(&folder.plan().unwrap(), host, "toy");
        let config: serde_json::Value = serde_json::from_str(&found["config.json"]).unwrap();
        let source = |file: &serde_json::Value| file["source"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let all = config["config_files"].as_array().unwrap().iter();
        let all = all.map(|file| (file["dest"].as_str().unwrap().to_owned(), found[&source(file)].clone()));
        (config["command"].as_str().unwrap().to_owned(), all.collect::<Vec<_>>())
    };
    let (command, found) = to("c1");
    let expected = [
        ("/etc/toy/parts/a.conf", "a\n"),
        ("/etc/toy/parts/b.conf", "b 99 7\n"),
        ("/srv/toy/deep/er/a.conf", "deep\n"),
        ("/srv/toy/toy.conf", "of the tree\n"),
        ("/etc/toy/toy.conf", "True\n"),
    ];
    assert_eq!(found, expected.map(|(to, text)| (to.to_owned(), text.to_owned())));
    assert_eq!(command, format!("toy {}", expected[..4].iter().map(|(to, _)| *to).collect::<Vec<_>>().join(" ")));
    assert_eq!(to("c2").1[0].1, "a of c2\n");
    for (path, fault) in [
        ("toy/part/c.conf", "; did you mean `config/toy/parts/c.conf`?"),
        ("toy/parts/c.cnf", ""),
        ("toy/c9/parts/c.conf", ": the inventory has no host `c9`"),
    ] {
        folder.write(&format!("config/{path}"), "");
        assert_eq!(unread(&folder), [format!("nothing reads config/{path}{fault}")]);
        std::fs::remove_file(folder.path(&format!("config/{path}"))).unwrap();
    }
    folder.write("config/toy/parts/[x].conf", "");
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    assert_eq!(errors[0].message, "`[x].conf` cannot be the name of a service's file");
    assert!(errors[0].place.as_ref().unwrap().file.ends_with("config/toy/parts/[x].conf"), "{errors:?}");
}

#[test]
fn files_that_are_given_may_be_no_text_but_not_of_any_size() {
    let folder = toy("toy", "      - { given: keys/, to: /etc/toy/keys/ }\n    command: toy\n");
    folder.write("config/toy/keys/one", "");
    std::fs::write(folder.path("config/toy/keys/one"), [0xff, 0, b'{', b'{']).unwrap();
    let plan = folder.plan().unwrap();
    let set = plan.nodes.iter().find_map(|node| match &node.op {
        Some(Op::FileSet(set)) if set.service == "toy" => Some(set),
        _ => None,
    });
    let given = set.unwrap().files.iter().find(|file| file.name == "one").unwrap();
    assert_eq!(&*given.content, [0xff, 0, b'{', b'{']);
    let shown = folder.input(|input| kolla::plan::service_files(input, "c1", "toy")).unwrap();
    let shown = shown.iter().find(|file| file.name == "one").unwrap();
    assert!(!shown.text && shown.content.starts_with("not text: 4 bytes, SHA-256 "), "{}", shown.content);
    assert!(shown.sources.iter().any(|source| source.used && source.own && source.file.ends_with("toy/keys/one")));
    // One that nothing reads is not even opened.
    for path in ["config/toy/disk", "config/toy/keys/two"] {
        std::fs::File::create(folder.path(path)).unwrap().set_len((16 << 20) + 1).unwrap();
        let told = folder.plan();
        if path.ends_with("disk") {
            assert!(told.is_ok());
            continue;
        }
        let Err(Error::Input(errors)) = told else { panic!("it was taken") };
        assert_eq!(errors[0].message, "a service gets this file, which is larger than 16 MiB");
        assert!(errors[0].place.as_ref().unwrap().file.ends_with(path), "{errors:?}");
    }
}

#[test]
fn roles_take_the_folders_that_kolla_has() {
    let folder = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf }\n");
    let globals = std::fs::read_to_string(folder.path("globals.yml")).unwrap();
    folder.write("globals.yml", &(globals + "enable_keystone: true\n"));
    let switch = "domain_specific_drivers_enabled = true";
    assert!(!file(&folder, "c1", "keystone", "keystone.conf").contains(switch));
    folder.write("config/keystone/domains/keystone.corp.conf", "[ldap]\nurl = ldap://{{ api_address }}\n");
    folder.write("config/haproxy/services.d/mine.cfg", "listen mine\n    bind {{ api_address }}:99\n");
    assert!(file(&folder, "c1", "keystone", "keystone.conf").contains(switch));
    assert!(file(&folder, "c1", "keystone", "keystone.corp.conf").contains("ldap://10.0.0.1"));
    assert!(file(&folder, "c1", "haproxy", "config.json").contains("kolla.cfg -f /etc/haproxy/services.d\""));
    assert!(file(&folder, "c1", "haproxy", "mine.cfg").contains("bind 10.0.0.1:99"));
    assert_eq!(unread(&folder), [""; 0]);
}

#[test]
fn files_that_kolla_reads_switch_on_what_reads_them() {
    let folder = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf }\n");
    folder.write("globals.d/core.yml", "enable_openstack_core: true\n");
    folder.write("inventory", "[control]\nc1\n[network]\nc1\n[compute]\nc1\n");
    let switches = [
        ("neutron-dhcp-agent", "dhcp_agent.ini", "dnsmasq_config_file = /etc/neutron/dnsmasq.conf"),
        ("nova-metadata", "nova.conf", "vendordata_jsonfile_path = /etc/nova/vendordata.json"),
        ("nova-compute", "nova.conf", "vendordata_jsonfile_path = /etc/nova/vendordata.json"),
        ("rabbitmq", "rabbitmq.conf", "management.load_definitions = /etc/rabbitmq/definitions.json"),
        ("rabbitmq", "rabbitmq-env.conf", "export ERL_INETRC=/etc/rabbitmq/erl_inetrc"),
        (
            "horizon",
            "_9998-kolla-settings.py",
            r#"{**POLICY_FILES, "image": "/etc/openstack-dashboard/glance_policy.json"}"#,
        ),
    ];
    let on = |folder: &Folder| switches.map(|(service, name, text)| file(folder, "c1", service, name).contains(text));
    assert_eq!(on(&folder), [false; 6]);
    folder.write("config/neutron/dnsmasq.conf", "log-queries\n");
    folder.write("config/nova/vendordata.json", "{}\n");
    for (path, text) in
        [("rabbitmq/definitions.json", "{}"), ("rabbitmq/erl_inetrc", ""), ("horizon/glance_policy.json", "{}")]
    {
        folder.write(&format!("config/{path}"), text);
    }
    assert_eq!(on(&folder), [true; 6]);
    assert_eq!(file(&folder, "c1", "neutron-dhcp-agent", "dnsmasq.conf"), "log-queries\n");
    // Nova would read none of it.
    folder.write("config/nova/vendordata.json", "{\n");
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    assert!(errors[0].place.as_ref().unwrap().file.ends_with("config/nova/vendordata.json"), "{errors:?}");
}

#[test]
fn a_mistake_in_a_file_of_the_operator_is_told_with_its_place() {
    let folder = toy("toy-api", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }\n");
    folder.write("config/toy/toy-api.conf", "[DEFAULT]\nport = {{ toy_prot }}\n");
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    let place = errors[0].place.as_ref().unwrap();
    assert!(place.file.ends_with("config/toy/toy-api.conf"), "{place}");
    assert_eq!((errors.len(), place.line, place.column), (1, 2, 11));
    assert_eq!(errors[0].used_by.as_deref(), Some("file toy.conf on c1"));
}

/// Files that Kolla-Ansible 2025.1 reads for services that are here, in its order, each with the service and its
/// file.
const READ: &[(&str, &str, &str)] = &[
    ("galera.cnf mariadb/c1/galera.cnf", "mariadb", "my.cnf"),
    ("keepalived/keepalived.conf keepalived/c1/keepalived.conf", "keepalived", "keepalived.conf"),
    ("haproxy/haproxy_main.cfg haproxy/c1/haproxy_main.cfg", "haproxy", "haproxy.cfg"),
    ("haproxy/services.d/own.cfg", "haproxy", "own.cfg"),
    ("rabbitmq/rabbitmq.conf rabbitmq/c1/rabbitmq.conf", "rabbitmq", "rabbitmq.conf"),
    ("rabbitmq/rabbitmq-env.conf rabbitmq/c1/rabbitmq-env.conf", "rabbitmq", "rabbitmq-env.conf"),
    ("rabbitmq/enabled_plugins rabbitmq/c1/enabled_plugins", "rabbitmq", "enabled_plugins"),
    ("rabbitmq/advanced.config rabbitmq/c1/advanced.config", "rabbitmq", "advanced.config"),
    ("rabbitmq/definitions.json rabbitmq/c1/definitions.json", "rabbitmq", "definitions.json"),
    ("rabbitmq/erl_inetrc rabbitmq/c1/erl_inetrc", "rabbitmq", "erl_inetrc"),
    ("cron/cron-logrotate-global.conf cron/c1/cron-logrotate-global.conf", "cron", "logrotate.conf"),
    ("global.conf keystone.conf keystone/keystone.conf keystone/c1/keystone.conf", "keystone", "keystone.conf"),
    ("keystone/domains/keystone.corp.conf", "keystone", "keystone.corp.conf"),
    ("keystone/policy.yaml", "keystone", "policy.yaml"),
    ("glance.conf glance/glance-api.conf glance/c1/glance-api.conf", "glance-api", "glance-api.conf"),
    ("glance-cache.conf glance/glance-cache.conf glance/c1/glance-cache.conf", "glance-api", "glance-cache.conf"),
    ("glance/glance-image-import.conf", "glance-api", "glance-image-import.conf"),
    ("glance/property-protections-rules.conf", "glance-api", "property-protections-rules.conf"),
    ("glance/policy.yaml", "glance-api", "policy.yaml"),
    ("placement.conf placement/placement-api.conf placement/c1/placement.conf", "placement-api", "placement.conf"),
    ("placement/policy.yaml", "placement-api", "policy.yaml"),
    ("nova.conf nova/nova-compute.conf nova/c1/nova.conf nova/c1/nova-compute.conf", "nova-compute", "nova.conf"),
    ("nova/release nova_compute/release nova_compute/c1/release", "nova-compute", "release"),
    ("nova/vendordata.json", "nova-compute", "vendordata.json"),
    ("nova/vendordata.json", "nova-metadata", "vendordata.json"),
    ("nova/policy.yaml", "nova-api", "policy.yaml"),
    ("neutron.conf neutron/neutron-server.conf neutron/c1/neutron.conf", "neutron-server", "neutron.conf"),
    ("neutron/ml2_conf.ini neutron/c1/ml2_conf.ini", "neutron-server", "ml2_conf.ini"),
    ("neutron/plugins/own.ini", "neutron-server", "own.ini"),
    ("neutron/policy.yaml", "neutron-server", "policy.yaml"),
    (
        "neutron/openvswitch_agent.ini neutron/c1/openvswitch_agent.ini",
        "neutron-openvswitch-agent",
        "openvswitch_agent.ini",
    ),
    ("neutron/dhcp_agent.ini neutron/c1/dhcp_agent.ini", "neutron-dhcp-agent", "dhcp_agent.ini"),
    ("neutron/dnsmasq.conf neutron/c1/dnsmasq.conf", "neutron-dhcp-agent", "dnsmasq.conf"),
    ("neutron/l3_agent.ini neutron/c1/l3_agent.ini", "neutron-l3-agent", "l3_agent.ini"),
    ("neutron/metadata_agent.ini", "neutron-metadata-agent", "metadata_agent.ini"),
    ("horizon/_9998-kolla-settings.py horizon/c1/_9998-kolla-settings.py", "horizon", "_9998-kolla-settings.py"),
    ("horizon/_9999-custom-settings.py horizon/c1/_9999-custom-settings.py", "horizon", "_9999-custom-settings.py"),
    ("horizon/nova_policy.yaml", "horizon", "nova_policy.yaml"),
];

/// A site with all services, and all that reads files of the operator switched on.
fn whole() -> Folder {
    let folder = Folder::new("[control]\nc1\n[network]\nc1\n[compute]\nc1\n");
    folder.write(
        "globals.yml",
        "kolla_internal_vip_address: 10.0.0.100\nnetwork_interface: eth0\nneutron_external_interface: eth1\n\
         enable_glance_image_cache: true\nglance_enable_interoperable_image_import: true\n\
         glance_enable_property_protection: true\n",
    );
    folder
}

#[test]
fn files_are_found_under_the_names_that_kolla_has_for_them() {
    let folder = whole();
    for required in ["glance-image-import.conf", "property-protections-rules.conf"] {
        folder.write(&format!("config/glance/{required}"), "");
    }
    // The least specific ones first: each takes the place of the one before.
    for number in 0..4 {
        let text = |path: &str| match path.rsplit('.').next() {
            Some("json" | "yaml") => format!("{{\"own_key\": \"{number}\"}}\n"),
            Some("conf" | "ini" | "cnf") => format!("[own]\nown_key = {number}\n"),
            _ => format!("own_key = {number}\n"),
        };
        let round =
            || READ.iter().filter_map(|(paths, service, name)| Some((paths.split(' ').nth(number)?, service, name)));
        for (path, ..) in round() {
            folder.write(&format!("config/{path}"), &text(path));
        }
        let plan = folder.plan().unwrap_or_else(|error| panic!("{}", kolla::report::text::error(&error, false)));
        for (path, service, name) in round() {
            let read = files(&plan, "c1", service).remove(*name).unwrap_or_default();
            let read: Vec<&str> = read.lines().filter(|line| line.contains("own_key")).collect();
            assert_eq!(read, [text(path).lines().last().unwrap()], "{path}");
        }
    }
    assert_eq!(unread(&folder), Vec::<String>::new());
}

/// Files that Kolla-Ansible 2025.1 reads where it has what is not here.
#[test]
fn files_that_only_kolla_ansible_reads_are_told_with_the_reason() {
    let folder = site();
    for (path, why) in [
        ("multipath.conf", "multipathd and volumes of Cinder are not supported"),
        ("nova/c1/multipath.conf", "multipathd and volumes of Cinder are not supported"),
        ("multipath/c1/multipath.conf", "multipathd and volumes of Cinder are not supported"),
        ("haproxy/haproxy.cfg", "the file for all but services is `haproxy/haproxy_main.cfg`"),
        ("haproxy/c1/haproxy_run.sh", "HAProxy starts without a script"),
        (
            "haproxy-config/nova-api.cfg",
            "roles make the sections of services; sections of your own are read from `haproxy/services.d/`",
        ),
        ("horizon/custom_local_settings", "its name is `horizon/_9999-custom-settings.py` today"),
        ("horizon/heat_policy.yaml", "the dashboard has no part for this service"),
        (
            "horizon/themes/corp/static/_styles.scss",
            "style sheets are made when the image of Horizon is built, so the dashboard has no themes of the site",
        ),
        ("horizon/horizon.conf", "Horizon runs in uWSGI here, not in Apache"),
        ("keystone/wsgi-keystone.conf", "the service runs in uWSGI here, not in Apache"),
        ("keystone/keystone-paste.ini", "Keystone has not used such a file since its release of 2018"),
        ("backup.my.cnf", "backups of the database are not supported"),
        ("fluentd/output/own.conf", "Fluentd is not supported"),
        ("kolla-toolbox/erl_inetrc", "there is no container `kolla_toolbox`"),
        ("nova/nova-libvirt/cacert.pem", "libvirt opens no port here, so it needs no keys"),
        ("neutron/fwaas_driver.ini", "this agent or extension of Neutron is not supported"),
        ("vmware_ca", "VMware is not supported"),
        ("magnum.conf", "there is no role `magnum`"),
        ("magnum/magnum-conductor.conf", "there is no role `magnum`"),
    ] {
        folder.write(&format!("config/{path}"), "");
        assert_eq!(unread(&folder), [format!("nothing reads config/{path}: {why}")]);
        std::fs::remove_file(folder.path(&format!("config/{path}"))).unwrap();
    }
}

#[test]
fn names_of_users_are_encoded_in_urls_as_passwords_are() {
    let folder = whole();
    let globals = std::fs::read_to_string(folder.path("globals.yml")).unwrap();
    let globals = globals.replace("glance_enable", "#glance_enable");
    let users = ["keystone_database", "glance_database", "placement_database", "nova_database", "nova_api_database"];
    let users = users.iter().chain(&["neutron_database", "rabbitmq"]);
    let users = users.map(|name| format!("{name}_user: '{name}@a/b:c'\n")).collect::<Vec<_>>().concat();
    folder.write("globals.yml", &(globals + &users));
    for (service, name, user) in [
        ("keystone", "keystone.conf", "keystone_database"),
        ("glance-api", "glance-api.conf", "glance_database"),
        ("placement-api", "placement.conf", "placement_database"),
        ("nova-api", "nova.conf", "nova_database"),
        ("nova-api", "nova.conf", "nova_api_database"),
        ("neutron-server", "neutron.conf", "neutron_database"),
        ("nova-compute", "nova.conf", "rabbitmq"),
    ] {
        let text = file(&folder, "c1", service, name);
        assert!(text.contains(&format!("://{user}%40a%2Fb%3Ac:")), "{service} {name}: {text}");
    }
}

#[test]
fn a_file_that_a_variable_asks_for_must_be_there() {
    let folder = whole();
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    let told: Vec<String> =
        errors.iter().map(|error| format!("{} {}", error.place.as_ref().unwrap().line, error.message)).collect();
    assert_eq!(told.len(), 2, "{errors:?}");
    assert!(
        told[0].starts_with("5 service glance-api needs the file ")
            && told[0].contains("config/glance/glance-image-import.conf"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("6 ") && told[1].contains("property-protections-rules.conf, which is missing"),
        "{told:?}"
    );
    assert_eq!(errors[1].hint.as_deref(), Some("create it, or set `glance_enable_property_protection` to `false`"));
}

#[test]
fn the_operators_folder_may_be_another_one() {
    let folder = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }\n");
    folder.write("config/toy.conf", "[DEFAULT]\nfrom = the usual folder\n");
    folder.write("regions/north/toy.conf", "[DEFAULT]\nfrom = another folder\n");
    assert!(file(&folder, "c1", "toy", "toy.conf").contains("from = the usual folder"));
    let globals = std::fs::read_to_string(folder.path("globals.yml")).unwrap();
    for own in ["regions/{{ region }}", "{{ CONFIG_DIR }}/regions/{{ region }}"] {
        folder.write("globals.yml", &format!("{globals}region: north\nnode_custom_config: '{own}'\n"));
        assert!(file(&folder, "c1", "toy", "toy.conf").contains("from = another folder"), "{own}");
    }
}

#[test]
fn files_that_cannot_be_read_are_all_told() {
    let folder = site();
    folder.write("config/nova.conf", "[DEFAULT]\n");
    for name in ["config/one.conf", "config/two.conf"] {
        std::os::unix::fs::symlink("nowhere", folder.path(name)).unwrap();
    }
    let Err(Error::Input(errors)) = Overrides::read(&folder.path("config"), &VaultKeys::default(), &Mask::default())
    else {
        panic!()
    };
    let mut told: Vec<&str> = errors.iter().map(|error| error.message.rsplit('/').next().unwrap()).collect();
    told.sort_unstable();
    let why = "No such file or directory (os error 2)";
    assert_eq!(told, [format!("one.conf: {why}"), format!("two.conf: {why}")]);
}

#[test]
fn a_file_that_is_no_text_matters_only_where_it_is_used() {
    let folder = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf }\n");
    for path in ["config/.git/index", "config/toy/kernel"] {
        folder.write(path, "");
        std::fs::write(folder.path(path), [0xff, 0xfe]).unwrap();
    }
    assert_eq!(unread(&folder), ["nothing reads config/toy/kernel"]);
    std::fs::rename(folder.path("config/toy/kernel"), folder.path("config/toy/toy.conf")).unwrap();
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    assert!(errors[0].place.as_ref().unwrap().file.ends_with("config/toy/toy.conf"), "{errors:?}");
}

/// What the program says of files that nothing reads.
fn unread(folder: &Folder) -> Vec<String> {
    let plan = folder.plan().unwrap_or_else(|error| panic!("{}", kolla::report::text::error(&error, false)));
    let roles: Vec<_> = [folder.path("roles")].into_iter().filter(|path| path.exists()).collect();
    let roles = Roles::load(&roles).unwrap();
    let overrides = Overrides::read(&folder.path("config"), &VaultKeys::default(), &Mask::default()).unwrap();
    overrides.unread(&plan.lookups, &roles, &["c1", "c2"], NAMED).iter().map(ToString::to_string).collect()
}

#[test]
fn files_that_nothing_reads_are_told_with_what_may_be_meant() {
    let folder = toy(
        "toy-api",
        "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }\n\
         \x20     - { template: toy.conf.j2, to: /etc/toy/agent.ini, merge: ini }\n\
         \x20     - { template: toy.conf.j2, to: /etc/toy/plugin.ini, when: false }\n\
         \x20     - { given: [policy.yaml, policy.json], to: /etc/toy/ }\n\
         \x20 toy-one:\n    group: network\n    files: [{ template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }]\n\
         \x20 toy-off:\n    when: false\n    files: [{ template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }]\n",
    );
    folder.write(
        "roles/off/role.yml",
        "about: Off.\nenabled: false\nservices:\n  off-api:\n    group: control\n    files:\n\
         \x20     - { content: x, to: /etc/off.conf, merge: oslo }\n",
    );
    // Read by one host, or not at all where another one is: nothing to say.
    for path in
        ["global.conf", "toy.conf", "toy/toy-api.conf", "toy/c2/toy.conf", "toy/policy.json", "toy/c1/toy-one.conf"]
    {
        folder.write(&format!("config/{path}"), "");
    }
    assert_eq!(unread(&folder), [""; 0]);
    for (path, fault) in [
        ("toy/toy-apii.conf", "; did you mean `config/toy/toy-api.conf`?"),
        ("toy/toy-api.cnf", "; did you mean `config/toy/toy-api.conf`?"),
        ("tooy/agent.ini", "; did you mean `config/toy/agent.ini`?"),
        ("toy/c1/policy.yml", "; did you mean `config/toy/c1/policy.yaml`?"),
        // The right name in a wrong place.
        ("toy/toy.conf", "; did you mean `config/toy.conf`?"),
        ("toy-api.conf", "; did you mean `config/toy/toy-api.conf`?"),
        // Never a file for all hosts, nor one for a host with another number.
        ("toy/plugins/policy.yaml", ": the inventory has no host `plugins`"),
        ("toy/c11/agent.ini", ": the inventory has no host `c11`"),
        ("toy/c01/agent.ini", ": the inventory has no host `c01`; did you mean `config/toy/c1/agent.ini`?"),
        ("toy/c2/toy-one.conf", ": no service on c2 looks for it"),
        ("toy/toy-off.conf", ": service toy-off has no host for it"),
        ("toy/plugin.ini", ": service toy-api is set up without it"),
        ("off/off-api.conf", ": role off is not enabled"),
        ("other/thing.conf", ": there is no role `other`"),
        ("thing.conf", ""),
    ] {
        folder.write(&format!("config/{path}"), "");
        assert_eq!(unread(&folder), [format!("nothing reads config/{path}{fault}")]);
        std::fs::remove_file(folder.path(&format!("config/{path}"))).unwrap();
    }
    for path in [
        "off.conf",
        "off/c1/off.conf",
        "other/a",
        "other/b",
        "other/c/d",
        "other/e",
        "toy/gpu7/agent.ini",
        "toy/gpu8/agent.ini",
    ] {
        folder.write(&format!("config/{path}"), "");
    }
    assert_eq!(
        unread(&folder),
        [
            "nothing reads config/off.conf and config/off/c1/off.conf: role off is not enabled",
            "nothing reads config/other/a, config/other/b, config/other/c/d and 1 more: there is no role `other`",
            "nothing reads config/toy/gpu7/agent.ini and config/toy/gpu8/agent.ini: the inventory has none of these hosts",
        ]
    );
}

/// The lines of a file of a service on c1, each with where it comes from.
fn explained(folder: &Folder, service: &str, name: &str) -> Vec<String> {
    let files = folder.input(|input| kolla::plan::service_files(input, "c1", service));
    let files = files.unwrap_or_else(|error| panic!("{}", kolla::report::text::error(&error, false)));
    let file = files.into_iter().find(|file| file.name == name).unwrap();
    let text: Vec<&str> = file.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
    assert_eq!(text.concat(), file.content);
    let plan = folder.plan().unwrap();
    assert_eq!(files_of(&plan, service)[name], file.content, "the plan has another file");
    let of = |line: &kolla::plan::FileLine| {
        let path = line.file.as_ref().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
        let number = line.line.map(|number| number.to_string()).unwrap_or_default();
        format!("{}:{number} {}", path.unwrap_or_default(), line.text)
    };
    file.lines.iter().map(of).collect()
}

fn files_of(plan: &Plan, service: &str) -> BTreeMap<String, String> {
    files(plan, "c1", service)
}

#[test]
fn every_line_of_a_file_knows_where_it_comes_from() {
    let spec = "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: oslo }\n    command: toy\n";
    let folder = toy("toy-api", spec);
    let template = "{# A toy. #}\n[DEFAULT]\n{% for n in range(2) %}\nkey{{ n }} = {{ toy_port + n }}\n{% endfor %}\n\
                    {% if toy_port is defined %}\n[other]\nlong = a\n    b\n{% endif %}\n";
    folder.write("roles/toy/templates/toy.conf.j2", template);
    let alone = [
        "toy.conf.j2:2 [DEFAULT]",
        "toy.conf.j2:4 key0 = 99",
        "toy.conf.j2:4 key1 = 100",
        "toy.conf.j2:7 [other]",
        "toy.conf.j2:8 long = a",
        "toy.conf.j2:9     b",
    ];
    assert_eq!(explained(&folder, "toy-api", "toy.conf"), alone);
    folder.write("config/global.conf", "[DEFAULT]\n\n{% if true %}\nkey1 = g\n{% endif %}\nmine = 1\n");
    folder.write("config/toy/c1/toy-api.conf", "[own]\nx = {{ toy_port }}\n[DEFAULT]\nmine = 2\nmine = 3\n");
    let merged = [
        "toy.conf.j2:2 [DEFAULT]",
        "toy.conf.j2:4 key0 = 99",
        "global.conf:4 key1 = g",
        "toy-api.conf:4 mine = 2",
        "toy-api.conf:5 mine = 3",
        ": ",
        "toy.conf.j2:7 [other]",
        "toy.conf.j2:8 long = a",
        "toy.conf.j2:9        b",
        ": ",
        "toy-api.conf:1 [own]",
        "toy-api.conf:2 x = 99",
        ": ",
    ];
    assert_eq!(explained(&folder, "toy-api", "toy.conf"), merged);
    let config = explained(&folder, "toy-api", "config.json");
    assert!(config[0].starts_with("role.yml:5 {"), "{config:?}");
}

#[test]
fn yaml_files_are_merged_and_values_are_of_the_role() {
    let spec = "      - { template: toy.yml.j2, to: /etc/toy/toy.yml, merge: yaml }\n\
                \x20     - content: \"a {{ toy_port }}\\nb\\n\"\n        to: /etc/toy/value\n";
    let folder = toy("toy", spec);
    folder.write("roles/toy/templates/toy.yml.j2", "a:\n  port: {{ toy_port }}\n  list: [1, 2]\n");
    folder.write("config/toy/toy.yml", "a:\n  list: [{{ toy_port }}]\n");
    let expected = ["toy.yml.j2:1 a:", "toy.yml:2   list:", "toy.yml:2   - 99", "toy.yml.j2:2   port: 99"];
    assert_eq!(explained(&folder, "toy", "toy.yml"), expected);
    assert_eq!(explained(&folder, "toy", "value"), ["role.yml:8 a 99", "role.yml:8 b"]);
}

#[test]
fn an_encrypted_file_is_used_as_if_it_was_none_and_its_values_are_hidden() {
    let folder = toy("toy", "      - { template: toy.conf.j2, to: /etc/toy/toy.conf, merge: ini }\n");
    std::fs::create_dir_all(folder.path("config/toy")).unwrap();
    std::fs::copy(repository("tests/cases/vault/toy.conf"), folder.path("config/toy/toy.conf")).unwrap();
    let (text, mask) = folder
        .input(|input| Ok((files(&Plan::whole(input)?, "c1", "toy")["toy.conf"].clone(), input.site.mask.clone())))
        .unwrap();
    for (line, shown) in [
        ("port = 4711", "port = ***"),
        ("licence = AB-12 for 10.0.0.100", "licence = ***"),
        ("[vendor]", "[vendor]"),
        ("pin = 7", "pin = ***"),
        ("from = template", "from = template"),
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
        assert_eq!(mask.hide(line), shown);
    }
}
