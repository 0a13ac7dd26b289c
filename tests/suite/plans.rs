//! Plans: a new service needs no Rust, the built-in roles' graph is as reviewed, and phases select what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use indexmap::IndexSet;
use kolla::error::Error;
use kolla::op::{Attributes, Diff, Op};
use kolla::plan::phase::named;
use kolla::plan::{Call, Plan, Saved, Selection};
use serde_json::Value;

use super::folder::{Folder, repository};

const INVENTORY: &str = "[control]\ncontrol[01:03]\n[network]\ncontrol[01:03]\n";

/// Each node with what it waits for.
fn drawn(plan: &Plan) -> String {
    let mut text = String::new();
    for node in &plan.nodes {
        let _ = writeln!(text, "{}", node.id);
        let mut after: Vec<&str> = node.after.iter().map(|index| plan.nodes[*index].id.as_str()).collect();
        after.sort_unstable();
        for id in after {
            let _ = writeln!(text, "    after {id}");
        }
    }
    text
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.nodes.iter().filter(|node| node.op.is_some()).map(|node| node.id.as_str()).collect()
}

fn of_role(plan: &Plan, role: &str) -> String {
    let nodes = drawn(plan);
    let wanted: Vec<&str> = plan.nodes.iter().filter(|node| node.role == role).map(|node| node.id.as_str()).collect();
    let mut text = String::new();
    let mut keep = false;
    for line in nodes.lines() {
        if !line.starts_with(' ') {
            keep = wanted.contains(&line);
        }
        if keep {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[test]
fn a_template_sees_of_its_parameters_only_those_that_its_file_gives() {
    let folder = Folder::new("[control]\nc1\n");
    folder.write(
        "roles/toy/role.yml",
        "about: A toy.\nservices:\n  toy:\n    group: control\n    command: toy\n    files:\n\
         \x20   - { template: toy.conf.j2, to: /etc/one.conf, with: { who: me, whom: you } }\n\
         \x20   - { template: toy.conf.j2, to: /etc/two.conf }\n",
    );
    folder.write("roles/toy/templates/toy.conf.j2", "{% if who | default('') %}{{ who }} {{ whom }}{% endif %}\n");
    // A name that a site may well have for something else.
    folder.write("globals.d/site.yml", "who: a site\n");
    assert!(folder.plan().is_ok());
}

#[test]
fn a_new_service_needs_no_rust() {
    let folder = Folder::new("[control]\nc1\n[toys]\nc1\n");
    folder.write(
        "roles/toy/role.yml",
        "about: A toy.\nneeds: [memcached]\nvars: { toy_port: 99 }\nservices:\n  toy:\n    group: toys\n    command: toy\n\
         \x20   files: [{ template: toy.conf.j2, to: /etc/toy.conf }]\n    volumes: ['toy:/data']\nsteps:\n\
         \x20 - exec: { service: toy, command: touch /data/x, unless: test -e /data/x }\n    when: ready\n\
         checks:\n  - port_free: { port: '{{ toy_port }}', container: toy }\n",
    );
    folder.write("roles/toy/templates/toy.conf.j2", "port = {{ toy_port }}\n");
    let plan = folder.plan().unwrap();
    assert_eq!(
        of_role(&plan, "toy"),
        "\
c1/check port 99
c1/image kolla/toy:2025.1-debian-trixie
c1/volume toy
c1/files toy
c1/ready toy
toy/files
    after c1/files toy
toy/begin
    after memcached/running
toy/prepared
    after toy/begin
    after toy/files
c1/container toy
    after c1/files toy
    after c1/image kolla/toy:2025.1-debian-trixie
    after c1/volume toy
    after toy/prepared
toy/running
    after c1/container toy
    after toy/prepared
c1/exec toy touch /data/x
    after memcached/running
    after toy/running
"
    );
}

/// Everything that has to be done before a node may start.
fn before<'a>(plan: &'a Plan, id: &str) -> BTreeSet<&'a str> {
    let mut open: Vec<usize> = plan.nodes.iter().position(|node| node.id == id).into_iter().collect();
    assert!(!open.is_empty(), "there is no {id}");
    let mut found = BTreeSet::new();
    while let Some(index) = open.pop() {
        for other in &plan.nodes[index].after {
            if found.insert(plan.nodes[*other].id.as_str()) {
                open.push(*other);
            }
        }
    }
    found
}

#[test]
fn a_step_waits_for_the_roles_that_it_speaks_to_and_containers_for_all_needs() {
    let folder = Folder::new("[control]\nc1\n[network]\nc1\n[compute]\nc1\n");
    folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.100\nneutron_external_interface: eth1\n");
    let plan = folder.plan().unwrap();
    let (database, balancer, keystone) = ("c1/container mariadb", "c1/container haproxy", "c1/container keystone");
    let waits = |id: &str| {
        let before = before(&plan, id);
        [database, balancer, keystone, "c1/container rabbitmq"].map(|other| before.contains(other))
    };
    // The database directly, then also through the load balancer; what Keystone is to know; the role's `needs`.
    assert_eq!(waits("c1/database nova"), [true, false, false, false]);
    assert_eq!(waits("c1/task nova_api_task"), [true, true, false, false]);
    assert_eq!(waits("c1/catalog nova"), [true, true, true, false]);
    assert_eq!(waits("c1/container nova_scheduler"), [true; 4]);
}

#[test]
fn a_step_waits_for_what_it_names_and_names_only_needs_of_its_role() {
    let folder = Folder::new("[control]\nc1\n[network]\nc1\n");
    let role = |needs: &str, step: &str| {
        format!(
            "about: A toy.\nneeds: [{needs}]\nservices:\n  toy: {{ group: control, command: toy }}\nsteps:\n\
             \x20 - task: {{ service: toy, name: seed }}\n    needs: [{step}]\n"
        )
    };
    folder.write("roles/toy/role.yml", &role("mariadb, rabbitmq, memcached", "rabbitmq"));
    let plan = folder.plan().unwrap();
    let before = before(&plan, "c1/task toy_seed");
    assert!(before.contains("c1/container rabbitmq") && !before.contains("c1/container memcached"));
    folder.write("roles/toy/role.yml", &role("mariadb", "rabbitmq"));
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    assert_eq!(errors[0].message, "the step needs `rabbitmq`, which is not among the role's own `needs`");
}

#[test]
fn the_graph_of_the_built_in_roles_is_the_reviewed_one() {
    reviewed("three-hosts.txt", &drawn(&Folder::new(INVENTORY).plan().unwrap()));
}

/// Those that are off by default.
#[test]
fn the_graph_of_optional_roles_is_the_reviewed_one() {
    let folder = Folder::new(&format!("{INVENTORY}[storage]\ncontrol[01:03]\n"));
    let optional = ["ceph", "ceph-rgw", "cinder", "etcd", "manila", "zookeeper"];
    let globals = std::fs::read_to_string(folder.path("globals.yml")).unwrap()
        + "ceph_osd_devices: [{ name: a, device: /dev/sdb }]\nceph_pools: [{ name: vms, application: rbd }]\ncinder_backend_ceph: true\nenable_manila_backend_cephfs_native: true\nenable_keystone: true\n";
    folder.write(
        "globals.yml",
        &optional.iter().fold(globals, |text, role| text + &format!("enable_{}: true\n", role.replace('-', "_"))),
    );
    let plan = folder.plan().unwrap();
    reviewed("optional.txt", &optional.map(|role| of_role(&plan, role)).concat());
}

/// What works, and not as well as it looks.
#[test]
fn a_ceph_that_survives_less_than_it_could_is_a_warning() {
    let warned = |inventory: &str, globals: &str| {
        let folder = Folder::new(inventory);
        let before = std::fs::read_to_string(folder.path("globals.yml")).unwrap();
        let disks = "enable_ceph: true\nceph_osd_devices: [{ name: a, device: /dev/sdb }]\n";
        folder.write("globals.yml", &format!("{before}{disks}{globals}"));
        folder.plan().unwrap().doubts.into_iter().map(|doubt| doubt.message).collect::<Vec<_>>().join("\n")
    };
    let all = format!("{INVENTORY}[storage]\ncontrol[01:03]\n");
    assert_eq!(warned(&all, ""), "");
    assert!(warned(&all, "ceph_pool_size: 4\n").contains("each object lacks one"));
    let two = format!("{all}[ceph-mon]\ncontrol[01:02]\n");
    assert!(warned(&two, "").contains("an even number of monitors"));
}

/// `KOLLA_BLESS=1` writes the graph as it is now; read what changed in it.
fn reviewed(name: &str, text: &str) {
    let file = repository("tests/cases/plans").join(name);
    if std::env::var_os("KOLLA_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let changed: Vec<String> = similar::TextDiff::from_lines(&expected, text)
        .unified_diff()
        .context_radius(2)
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect();
    assert!(changed.is_empty(), "the plan changed:\n{}", changed.join("\n"));
}

#[test]
fn two_plans_of_one_site_are_the_same() {
    let folder = Folder::new(INVENTORY);
    assert_eq!(folder.plan().unwrap(), folder.plan().unwrap());
}

#[test]
fn units_of_hosts_take_turns_and_are_those_of_the_engine() {
    let folder = Folder::new("[control]\nc1\n[network]\nc1\n");
    folder.write(
        "roles/toy/role.yml",
        "about: A toy.\nhost:\n  - { packages: [one], serial: 2 }\n  - { unit: { name: toy }, serial: 0 }\n",
    );
    let gate = |plan: &Plan, id: &str| {
        let node = plan.nodes.iter().find(|node| node.id == id);
        node.unwrap_or_else(|| panic!("no {id}")).gate.as_ref().map(|gate| (gate.at_once, gate.on_create))
    };
    let plan = folder.plan().unwrap();
    assert_eq!(gate(&plan, "c1/unit docker"), Some((1, false)));
    assert_eq!(gate(&plan, "c1/packages docker.io docker-cli"), None);
    assert_eq!(gate(&plan, "c1/packages one"), Some((2, true)));
    assert_eq!(gate(&plan, "c1/unit toy"), None);
    let globals = "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\n";
    folder.write("globals.yml", &format!("{globals}kolla_container_engine: podman\n"));
    let plan = folder.plan().unwrap();
    assert_eq!(gate(&plan, "c1/packages podman socat"), None);
    assert_eq!(gate(&plan, "c1/unit podman.socket"), Some((1, false)));
    assert!(!ids(&plan).contains(&"c1/unit docker"));
}

#[test]
fn phases_select_what_they_say() {
    let folder = Folder::new(INVENTORY);
    let whole = folder.plan().unwrap();
    let select = |phase: &str, selection: &Selection| whole.select(named(phase).unwrap(), selection);
    let all = Selection::default();
    let kinds = |plan: &Plan| -> Vec<String> {
        let mut kinds: Vec<String> =
            plan.nodes.iter().filter_map(|node| node.op.as_ref()).map(|op| format!("{:?}", op.kind())).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&select("pull", &all)), ["Image"]);
    assert_eq!(kinds(&select("prechecks", &all)), ["Check"]);
    assert_eq!(kinds(&select("genconfig", &all)), ["FileSet"]);
    assert_eq!(kinds(&select("bootstrap-servers", &all)), ["HostFile", "Packages", "Sysctl", "Unit"]);
    assert_eq!(kinds(&select("destroy", &all)), ["Container", "FileSet", "Volume"]);

    // What was started last is stopped first, and waits for nobody that it does not serve.
    let reconfigure = select("reconfigure", &all);
    let containers = |plan: &Plan| -> Vec<String> {
        ids(plan).into_iter().filter(|id| id.contains("/container ")).map(str::to_owned).collect()
    };
    let mut turned = containers(&select("stop", &all));
    turned.reverse();
    assert_eq!(turned, containers(&reconfigure));

    let call = Call { role: "mariadb".into(), action: "recovery".into(), ..Call::default() };
    let recovery = folder.input(|input| Plan::action(input, &call)).unwrap();
    let recovery = recovery.select(folder.input(|input| call.phase(input.roles)).unwrap(), &all);
    assert_eq!(recovery.roles(), ["mariadb"]);
    assert!(ids(&recovery).contains(&"control01/cluster position of mariadb"));
    assert!(!ids(&select("deploy", &all)).contains(&"control01/cluster position of mariadb"));
    // What starts in it has the files of now.
    let position = recovery.nodes.iter().find(|node| node.id == "control02/cluster position of mariadb").unwrap();
    assert!(position.after.iter().any(|other| recovery.nodes[*other].id == "control02/files mariadb"));

    let narrow = Selection {
        hosts: Some(IndexSet::from(["control02".to_owned()])),
        tags: vec!["memcached".into(), "rabbitmq".into()],
        skip_tags: vec!["rabbitmq".into()],
    };
    let plan = select("deploy", &narrow);
    assert_eq!((plan.hosts(), plan.roles()), (vec!["control02".to_owned()], vec!["memcached".to_owned()]));
    // Whatever is left out, nobody waits for something that comes later.
    for phase in kolla::plan::phase::PHASES {
        for selection in [&all, &narrow] {
            let plan = whole.select(phase, selection);
            assert!(plan.nodes.iter().enumerate().all(|(at, node)| node.after.iter().all(|other| *other < at)));
        }
    }
}

/// Pointers to all mappings of a value.
fn mappings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.push(at.to_owned());
            for (key, inner) in map {
                mappings(inner, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| mappings(inner, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

/// The program itself says which keys a mapping may have: it is asked by a key that nobody knows. The schema says the
/// same.
#[test]
fn the_annotated_role_has_every_key() {
    let text = std::fs::read_to_string(repository("docs/role.yml")).unwrap();
    let folder = Folder::new("[control]\nc1\n[network]\nc1\n");
    folder.write("roles/example/templates/example.conf.j2", "[DEFAULT]\nport = {{ example_port }}\n");
    folder.write("roles/example/templates/example-api.conf.j2", "[api]\npeers = {{ example_peers | join(' ') }}\n");
    folder.write("roles/example/role.yml", &text);
    let plan = folder.plan().unwrap_or_else(|error| panic!("{}", kolla::report::text::error(&error, false)));
    assert!(ids(&plan).contains(&"c1/container example_api"));

    let document: Value = serde_yaml::from_str(&text).unwrap();
    let mut places = Vec::new();
    mappings(&document, "", &mut places);
    // By the keys that may be in it; each with those that are somewhere.
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let schema = kolla::role::schema::role().unwrap();
    for place in places {
        let mut changed = document.clone();
        let map = changed.pointer_mut(&place).unwrap().as_object_mut().unwrap();
        let used: Vec<String> = map.keys().cloned().collect();
        map.insert("qqqqqqqqqqqq".into(), 1.into());
        folder.write("roles/example/role.yml", &serde_json::to_string_pretty(&changed).unwrap());
        let errors = match folder.plan() {
            Err(Error::Input(errors)) => errors,
            _ => Vec::new(),
        };
        let mut hints = errors.iter().filter(|e| e.message.contains("unknown key")).filter_map(|e| e.hint.clone());
        let known = hints.find_map(|hint| hint.strip_prefix("known keys: ").map(str::to_owned));
        let keys = known.as_ref().map(|known| known.split(", ").map(str::to_owned).collect());
        assert_eq!(super::schemas::allowed(&schema, &place), keys, "the schema's keys at {place}");
        kinds.entry(known.unwrap_or_default()).or_default().extend(used);
    }
    kinds.remove("");
    assert!(kinds.len() >= 15, "only {} kinds of mappings were found", kinds.len());
    for (known, used) in kinds {
        let missing: Vec<&str> = known.split(", ").filter(|key| !used.iter().any(|other| other == key)).collect();
        assert!(missing.is_empty(), "docs/role.yml shows no {missing:?}, of the keys {known}");
    }
}

/// A plan of which nothing is there yet.
fn saved(plan: &Plan) -> Saved {
    let missing = || (Diff::Create(Vec::new()), Attributes::new());
    Saved::of(plan, plan.nodes.iter().map(|node| (node.id.clone(), Ok(missing()))).collect()).unwrap()
}

#[test]
fn a_saved_plan_is_compared_with_a_new_one() {
    let folder = Folder::new(INVENTORY);
    let text = serde_json::to_string(&saved(&folder.plan().unwrap())).unwrap();
    assert!(!text.contains("secret"), "a saved plan holds secrets");
    let before: Saved = serde_json::from_str(&text).unwrap();
    assert_eq!(before.moved(&saved(&folder.plan().unwrap())), [""; 0]);
    folder.write(
        "globals.yml",
        "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\nmemcached_max_memory: 99\n",
    );
    let found = before.moved(&saved(&folder.plan().unwrap()));
    assert_eq!(found.len(), 6, "{found:#?}");
    let other = "control01 container memcached is another one: the site, a role or this program changed";
    assert!(found.contains(&other.to_owned()), "{found:#?}");
    folder.write(
        "globals.yml",
        "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\nenable_memcached: false\n",
    );
    let found = before.moved(&saved(&folder.plan().unwrap()));
    assert!(found.contains(&"control01 container memcached is not in the plan any more".to_owned()), "{found:#?}");
    let found = saved(&folder.plan().unwrap()).moved(&before);
    assert!(found.contains(&"control01 container memcached is new".to_owned()), "{found:#?}");
}

#[test]
fn compute_hosts_and_agents_have_no_way_to_a_database() {
    let folder = Folder::new("[control]\nc1\nc2\n[network]\nc1\nc2\n[compute]\nn1\n[storage]\nc1\n[monitoring]\nc1\n");
    folder.write(
        "globals.yml",
        "kolla_internal_vip_address: 10.0.0.100\nneutron_external_interface: eth2\nglance_file_datadir_volume: /srv\n",
    );
    let plan = folder.plan().unwrap();
    let mut with: Vec<&str> = Vec::new();
    for node in &plan.nodes {
        let Some(Op::FileSet(set)) = &node.op else { continue };
        let text: String = set.files.iter().map(|file| String::from_utf8_lossy(&file.content).into_owned()).collect();
        if text.contains("mysql+pymysql://") {
            assert_ne!(node.host, "n1", "{} has a way to the database", node.id);
            with.push(&set.service);
        }
    }
    assert!(with.contains(&"nova-conductor") && with.contains(&"neutron-server"), "{with:?}");
    assert!(with.iter().all(|service| !service.ends_with("-agent") && *service != "nova-compute"), "{with:?}");
    // The first thing of OpenStack waits for the database, not for the message queue, which it does not need.
    let bootstrap = of_role(&plan, "keystone");
    assert!(bootstrap.contains("after mariadb/"), "{bootstrap}");
    assert!(!bootstrap.contains("after rabbitmq/"), "{bootstrap}");
}

#[test]
fn who_starts_a_cluster_is_chosen_for_one_run() {
    let folder = Folder::new(INVENTORY);
    let chosen = |extra: &[&str]| -> BTreeMap<String, Option<String>> {
        let plan = folder.input_with(extra, Plan::whole).unwrap();
        let galera = plan.nodes.into_iter().filter_map(|node| match node.op {
            Some(Op::Cluster(cluster)) => Some((node.id, cluster.chosen.clone())),
            _ => None,
        });
        galera.collect()
    };
    let (none, one) = (chosen(&[]), chosen(&["mariadb_recover_inventory_name=control02"]));
    assert_eq!((none.len(), one.len()), (6, 6));
    assert!(none.values().all(Option::is_none));
    assert!(one.values().all(|name| name.as_deref() == Some("control02")));
    folder.write("globals.d/choice.yml", "mariadb_recover_inventory_name: control02\n");
    assert!(folder.plan().is_err());
}

/// Names of queues for replies are made of the host's name and that of the process. Two services of a host with the same
/// one would take each other's replies.
#[test]
fn no_two_services_of_a_host_share_a_queue_for_replies() {
    let folder = Folder::new(&format!("{INVENTORY}[compute]\ncontrol[01:03]\n"));
    folder.write(
        "globals.yml",
        "kolla_internal_vip_address: 10.0.0.100\nneutron_external_interface: eth2\nglance_file_datadir_volume: /srv\n",
    );
    let plan = folder.plan().unwrap();
    let mut environments = BTreeMap::new();
    for node in &plan.nodes {
        if let Some(Op::Container(container)) = &node.op {
            environments.insert((node.host.as_str(), container.service.as_str()), &container.spec.env);
        }
    }
    let mut queues: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for node in &plan.nodes {
        let Some(Op::FileSet(set)) = &node.op else { continue };
        let texts: Vec<String> = set.files.iter().map(|file| String::from_utf8_lossy(&file.content).into()).collect();
        if !texts.iter().any(|text| text.contains("transport_url = ")) {
            continue;
        }
        let environment = environments[&(node.host.as_str(), set.service.as_str())];
        let line = |key: &str| texts.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix(key));
        // uwsgi fills in its environment, which goes before the file; else a process is called by its program.
        let process = match line("env = OS_OSLO_MESSAGING_RABBIT__PROCESSNAME=").or_else(|| line("processname = ")) {
            Some("$(KOLLA_SERVICE_NAME)") => environment["KOLLA_SERVICE_NAME"].clone(),
            Some(name) => name.to_owned(),
            None => {
                let config = set.files.iter().find(|file| file.name == "config.json").unwrap();
                let config: Value = serde_json::from_slice(&config.content).unwrap();
                let program = config["command"].as_str().unwrap().split(' ').next().unwrap();
                program.rsplit('/').next().unwrap().to_owned()
            }
        };
        queues.entry((node.host.as_str(), process)).or_default().push(&set.service);
    }
    let shared: Vec<_> = queues.iter().filter(|(_, services)| services.len() > 1).collect();
    assert!(shared.is_empty(), "{shared:#?}");
    for service in ["nova-api", "nova-metadata", "nova-conductor", "nova-compute", "neutron-server", "neutron-l3-agent"]
    {
        assert!(queues.contains_key(&("control01", service.to_owned())), "{service}: {:?}", queues.keys());
    }
}

#[test]
fn two_files_of_one_name_are_told_apart_by_what_the_operator_calls_them() {
    let folder = Folder::new("[control]\nc1\n");
    folder.write(
        "roles/toy/role.yml",
        "about: A toy.\nvars: { toy_kind: small }\nservices:\n  toy:\n    group: control\n    command: toy\n\
         \x20   image: toy-{{ toy_kind }}\n    files:\n      - { content: a, to: /etc/a/toy.conf }\n\
         \x20     - { content: b, to: /etc/b/toy.conf, override: b.conf }\n",
    );
    let plan = folder.plan().unwrap();
    assert!(ids(&plan).contains(&"c1/image kolla/toy-small:2025.1-debian-trixie"), "{:?}", ids(&plan));
    let set = plan.nodes.iter().find_map(|node| match &node.op {
        Some(Op::FileSet(set)) if set.service == "toy" => Some(set),
        _ => None,
    });
    let files: BTreeMap<&str, String> =
        set.unwrap().files.iter().map(|file| (&*file.name, String::from_utf8_lossy(&file.content).into())).collect();
    assert_eq!((&*files["toy.conf"], &*files["b.conf"]), ("a", "b"));
    let config: Value = serde_json::from_str(&files["config.json"]).unwrap();
    let places = config["config_files"].as_array().unwrap().iter().map(|file| (&file["source"], &file["dest"]));
    let places: Vec<String> =
        places.map(|(from, to)| format!("{} {}", from.as_str().unwrap(), to.as_str().unwrap())).collect();
    let folder = "/var/lib/kolla/config_files";
    assert_eq!(places, [format!("{folder}/toy.conf /etc/a/toy.conf"), format!("{folder}/b.conf /etc/b/toy.conf")]);
}

#[test]
fn images_of_all_enabled_roles_stay_on_all_hosts() {
    let folder = Folder::new("[control]\nc1\n[compute]\nn1\n");
    folder.write(
        "roles/toy/role.yml",
        "about: A toy.\nservices: { toy-api: { group: control }, toy-agent: { group: compute } }\n",
    );
    folder.write("roles/off/role.yml", "about: Off.\nenabled: false\nservices: { off-api: { group: control } }\n");
    let plan = folder.plan().unwrap().select(named("prune-images").unwrap(), &Selection::default());
    assert_eq!(plan.hosts(), ["c1", "n1"]);
    for node in &plan.nodes {
        let Some(Op::UnusedImages(unused)) = &node.op else { continue };
        let has = |name: &str| unused.needed.iter().any(|image| image.contains(&format!("/{name}:")));
        assert_eq!((has("toy-api"), has("toy-agent"), has("off-api")), (true, true, false), "{:?}", unused.needed);
    }
    assert_eq!(plan.operations(), 2);
}
