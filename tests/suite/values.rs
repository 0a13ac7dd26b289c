//! Values that the built-in roles cannot do with, told where they are written.

use kolla::error::{Error, InputError};
use kolla::op::{Op, probe};

use super::folder::Folder;

const GLOBALS: &str = "kolla_internal_vip_address: 10.0.0.100\n";

/// A whole cloud with this in globals.yml.
fn cloud(text: &str) -> Folder {
    let folder = Folder::new("[control]\nc1\nc2\n[network]\nc1\n[compute]\nw1\n");
    folder.write("globals.yml", &format!("{GLOBALS}{text}"));
    folder
}

/// What is told of it, each with its place.
fn told(text: &str) -> Vec<String> {
    let errors = match cloud(text).plan() {
        Err(Error::Input(errors)) => errors,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    };
    let line = |error: &InputError| {
        let place = error.place.as_ref().map(|place| format!("{}:", place.line)).unwrap_or_default();
        format!("{place}{}: {}", error.message, error.hint.as_deref().unwrap_or_default())
    };
    errors.iter().map(line).collect()
}

#[test]
fn nothing_is_said_to_be_reached_by_https() {
    let variables = [
        "keystone_internal_url",
        "keystone_public_url",
        "glance_internal_endpoint",
        "glance_public_endpoint",
        "neutron_internal_endpoint",
        "neutron_public_endpoint",
        "nova_internal_endpoint",
        "nova_public_endpoint",
        "nova_novncproxy_url",
        "placement_internal_endpoint",
        "placement_public_endpoint",
    ];
    for name in variables {
        let told = told(&format!("{name}: https://cloud.example.org:1234/x\n"));
        let expected = format!(
            "2:`{name}` must be a URL by HTTP, as `http://192.0.2.10:8099`: `https://cloud.example.org:1234/x`: nothing here \
             serves TLS yet: write it with `http://`, or leave `{name}` out"
        );
        assert_eq!(told, [expected]);
    }
    // What follows from a wrong protocol is not told beside it.
    for name in ["internal_protocol", "public_protocol"] {
        let told = told(&format!("{name}: https\n"));
        let hint = format!("other values are not supported yet: remove `{name}`");
        assert_eq!(told, [format!("2:`{name}` must be http: `https`: {hint}")]);
    }
    assert_eq!(told("glance_public_endpoint: http://cloud.example.org\n"), [""; 0]);
}

#[test]
fn interfaces_are_put_into_bridges_in_their_order() {
    let text = "neutron_external_interface: eth1, eth2\nneutron_bridge_name: br-ex1 ,br-ex2\n";
    let plan = cloud(text).plan().unwrap();
    let file = |host: &str, name: &str| {
        let sets = plan.nodes.iter().filter(|node| node.host == host).filter_map(|node| match &node.op {
            Some(Op::FileSet(set)) => set.files.iter().find(|file| file.name == name),
            _ => None,
        });
        sets.map(|file| String::from_utf8_lossy(&file.content).into_owned()).next().unwrap()
    };
    let has = |text: &str, parts: &[&str]| parts.iter().all(|part| text.contains(part));
    let mappings = "bridge_mappings = physnet1:br-ex1,physnet2:br-ex2\n";
    assert!(file("c1", "openvswitch_agent.ini").contains(mappings));
    assert!(!file("w1", "openvswitch_agent.ini").contains("bridge_mappings"));
    assert!(file("c1", "ml2_conf.ini").contains("flat_networks = physnet1,physnet2\n"));
    let script = file("c1", "start-vswitchd");
    assert!(has(&script, &["add-br br-ex1 ", "add-port br-ex1 eth1\n", "add-br br-ex2 ", "add-port br-ex2 eth2"]));
    let checked: Vec<&str> =
        plan.nodes.iter().filter(|node| node.id.contains("check interfaces")).map(|node| &*node.id).collect();
    assert_eq!(checked, ["c1/check interfaces eth1 eth2"]);
}

#[test]
fn the_physical_network_is_at_eth1_unless_the_operator_says_otherwise() {
    let checked = |text: &str| {
        let plan = cloud(text).plan().unwrap();
        let found = plan.nodes.iter().filter(|node| node.id.contains("check interfaces")).map(|node| node.id.clone());
        found.collect::<Vec<_>>()
    };
    assert_eq!(checked(""), ["c1/check interfaces eth1"]);
    assert_eq!(checked("neutron_external_interface: \"\"\n"), [""; 0]);
    assert_eq!(checked("neutron_external_interface:\n"), [""; 0]);
    assert_eq!(checked("enable_neutron: false\nenable_nova: false\n"), [""; 0]);
    let [told] = <[String; 1]>::try_from(told("kolla_external_vip_interface: eth1\n")).unwrap();
    assert!(
        told.contains("`neutron_external_interface` names an interface that is also that of another network: `eth1`")
    );
    assert!(told.ends_with("or set it to `\"\"` if no host is in a physical network"), "{told}");
}

#[test]
fn without_a_load_balancer_the_dashboard_is_at_its_public_port() {
    for (text, port) in [("", 8080), ("enable_haproxy: false\n", 80), ("enable_haproxy: no\nhorizon_port: 81\n", 81)] {
        let plan = cloud(text).plan().unwrap();
        let set = plan.nodes.iter().find_map(|node| match &node.op {
            Some(Op::FileSet(set)) if set.service == "horizon" => Some(set),
            _ => None,
        });
        let file = set.unwrap().files.iter().find(|file| file.name == "horizon-uwsgi.ini").unwrap();
        let listens = format!("http-socket = 10.0.0.1:{port}\n");
        assert!(String::from_utf8_lossy(&file.content).contains(&listens), "{text}");
    }
}

#[test]
fn images_that_no_registry_has_are_a_warning_at_their_line() {
    let doubts = |text: &str| {
        let plan = cloud(text).plan().unwrap();
        let line = |doubt: &InputError| {
            assert!(doubt.kind.is_warning() && doubt.hint.is_some());
            format!("{}:{}", doubt.place.as_ref().unwrap().line, doubt.message)
        };
        plan.doubts.iter().map(line).collect::<Vec<_>>()
    };
    let kolla = "docker_registry: quay.io\ndocker_namespace: openstack.kolla\n";
    for (text, line, name, value) in [
        ("kolla_base_distro: ubuntu\n".to_owned(), 2, "kolla_base_distro", "ubuntu"),
        ("kolla_base_distro: centos\n".to_owned(), 2, "kolla_base_distro", "centos"),
        ("openstack_tag: 2025.1-rocky-9\n".to_owned(), 2, "openstack_tag", "2025.1-rocky-9"),
    ] {
        let expected = format!("{line}:`{name}` leads to images that no registry has which is named here: `{value}`");
        assert_eq!(doubts(&text), [expected]);
    }
    for (text, line, name, value) in [
        (format!("{kolla}kolla_base_distro: centos\n"), 4, "kolla_base_distro", "centos"),
        (kolla.to_owned(), 3, "docker_namespace", "openstack.kolla"),
        (format!("{kolla}openstack_tag: 2025.1-debian-trixie\n"), 4, "openstack_tag", "2025.1-debian-trixie"),
    ] {
        assert_eq!(doubts(&text), [format!("{line}:`{name}` leads to images that Kolla does not publish: `{value}`")]);
    }
    for right in [
        "",
        "kolla_base_distro: centos\ndocker_registry: registry.example:5000\n",
        "kolla_base_distro: rocky\ndocker_namespace: ours\n",
        "kolla_base_distro: centos\ndocker_image_url: registry.example/kolla/\n",
        "openstack_tag: ours-1\n",
        &format!("{kolla}kolla_base_distro: ubuntu\n"),
        &format!("{kolla}kolla_base_distro_version: bookworm\nopenstack_tag_suffix: -aarch64\n"),
    ] {
        assert_eq!(doubts(right), [""; 0], "{right}");
    }
}

#[test]
fn an_address_of_two_names_is_told_at_its_line() {
    let same = "api_address: 10.9.9.9\n";
    let expected = "2:c1 and c2 have the same address 10.9.9.9 (`api_address`): give each host an address of its own";
    assert_eq!(told(same), [expected]);
    // With the addresses of asked hosts.
    let folder = cloud("");
    folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.2\n");
    let Err(Error::Input(errors)) = folder.plan() else { panic!("it was taken") };
    let message = "`kolla_internal_vip_address` is the address of a host: `10.0.0.2`";
    assert_eq!(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(), [message]);
    folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.2\nenable_keepalived: false\n");
    folder.plan().unwrap();
}

#[test]
fn with_one_virtual_address_the_external_name_is_the_internal_one() {
    let name = |text: &str| {
        let folder = cloud(text);
        let found = folder.input(|input| Ok(input.scopes.host("c1").get("kolla_external_fqdn")?.to_string()));
        found.unwrap()
    };
    assert_eq!(name("kolla_internal_fqdn: cloud.example.test\n"), "cloud.example.test");
    let two = "kolla_internal_fqdn: cloud.example.test\nkolla_external_vip_address: 203.0.113.5\n";
    assert_eq!(name(two), "203.0.113.5");
}

#[test]
fn a_message_queue_that_is_elsewhere_is_enough() {
    let told = told("enable_rabbitmq: no\n");
    assert_eq!(told.len(), 1, "{told:#?}");
    let hint = "globals.yml:2:18; or say with `rpc_transport_url` where there is one";
    assert!(told[0].contains("role rabbitmq is not enabled, which neutron, nova need"), "{told:?}");
    assert!(told[0].ends_with(hint), "{told:?}");

    let url = "rabbit://kolla:pa%3A5@mq1.example.org:5673,kolla:pa%3A5@mq2.example.org:5673//?ssl=1";
    let plan = cloud(&format!("enable_rabbitmq: no\nrpc_transport_url: {url}\n")).plan().unwrap();
    assert!(plan.nodes.iter().all(|node| node.role != "rabbitmq"));
    let (mut files, mut ports, mut cells) = (0, 0, None);
    for op in plan.nodes.iter().filter_map(|node| node.op.as_ref()) {
        match op {
            Op::FileSet(set) => {
                let texts = set.files.iter().map(|file| String::from_utf8_lossy(&file.content).into_owned());
                files += texts.filter(|text| text.contains(&format!("transport_url = {url}\n"))).count();
            }
            // Ready is who is connected to it.
            Op::Container(container) => {
                if let probe::ProbeKind::Exec { argv } = &container.ready.ask
                    && argv.argv()[0] == "healthcheck_port"
                {
                    assert_eq!(argv.argv()[2], "5673");
                    ports += 1;
                }
            }
            Op::Task(task) => cells = cells.or_else(|| task.spec.env.get("TRANSPORT").cloned()),
            _ => {}
        }
    }
    assert!(files >= 8 && ports >= 8, "{files} {ports}");
    let each = |number| format!("{{username{number}}}:{{password{number}}}@{{hostname{number}}}:{{port{number}}}");
    assert_eq!(cells.unwrap(), format!("{{scheme}}://{},{}/{{path}}?{{query}}", each(1), each(2)));
}
