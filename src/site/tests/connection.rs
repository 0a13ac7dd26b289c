//! How hosts are reached.

use std::path::PathBuf;

use super::super::{HostSpec, LoginPassword, SiteOptions};
use super::Folder;
use crate::shell::Secret;

const KEYS: &[&str] = &["/home/me/.ssh/id_ed25519", "/home/me/.ssh/id_ecdsa", "/home/me/.ssh/id_rsa"];
const KNOWN: &[&str] = &["/home/me/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"];

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

#[test]
fn connection_variables_mean_what_they_mean_in_ansible() {
    let text = "[control]\nc1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=kolla\nc2 ansible_connection=local\n\
                c3 ansible_user=root kolla_container_engine=podman\nc4 ansible_become=no\n\
                c5 ansible_ssh_private_key_file=~/keys/lab\n\
                c6 ansible_ssh_common_args='-o ProxyJump=j@bastion:22 -o UserKnownHostsFile=~/kh -i /k'\n\
                c7 kolla_ssh_jump=bastion ansible_host=\"{{ 'fd00::' ~ 7 }}\"\n\
                c8 ansible_host=1.1.1.1 ansible_ssh_host=10.0.0.8 ansible_ssh_port=2200 ansible_ssh_user=joe\n\
                c9 ansible_password=\"{{ one }}\" ansible_ssh_pass=b ansible_become_password=c ansible_sudo_pass='d e' one=a\n\
                d1 ansible_password=\"{{ 'a' ~ 1 }}\" ansible_become_pass=2 kolla_ssh_jump=bastion\n";
    let folder = Folder::new(&[("hosts", text)]);
    let site = folder.load();
    let base = |name: &str| HostSpec {
        name: name.into(),
        address: name.into(),
        port: 22,
        user: "me".into(),
        password: None,
        become_root: true,
        become_password: None,
        key_files: paths(KEYS),
        known_hosts: paths(KNOWN),
        local: false,
        jump: None,
        engine_socket: "/var/run/docker.sock".into(),
    };
    let file = folder.path("hosts");
    let given = |text: &str, from: &str| {
        let from = from.replace("hosts", &file.to_string_lossy());
        Some(LoginPassword { secret: Secret::new(text), from })
    };
    let bastion = |user: &str, keys: &[&str], known: &[&str]| {
        let (key_files, known_hosts) = (paths(keys), paths(known));
        Some(Box::new(HostSpec { user: user.into(), key_files, known_hosts, ..HostSpec::new("bastion", "bastion") }))
    };
    let a1 = given("a1", "from `ansible_password` (hosts:11)");
    for expected in [
        HostSpec { address: "10.0.0.1".into(), port: 2222, user: "kolla".into(), ..base("c1") },
        HostSpec { local: true, ..base("c2") },
        HostSpec {
            user: "root".into(),
            become_root: false,
            engine_socket: "/run/podman/podman.sock".into(),
            ..base("c3")
        },
        HostSpec { become_root: false, ..base("c4") },
        HostSpec { key_files: vec!["/home/me/keys/lab".into()], ..base("c5") },
        HostSpec {
            key_files: vec!["/k".into()],
            known_hosts: vec!["/home/me/kh".into()],
            jump: bastion("j", &["/k"], &["/home/me/kh"]),
            ..base("c6")
        },
        HostSpec { address: "fd00::7".into(), jump: bastion("me", KEYS, KNOWN), ..base("c7") },
        HostSpec { address: "10.0.0.8".into(), port: 2200, user: "joe".into(), ..base("c8") },
        HostSpec {
            password: given("b", "from `ansible_ssh_pass` (hosts:10)"),
            become_password: given("d e", "from `ansible_sudo_pass` (hosts:10)"),
            ..base("c9")
        },
        HostSpec {
            password: a1.clone(),
            become_password: given("2", "from `ansible_become_pass` (hosts:11)"),
            jump: bastion("me", KEYS, KNOWN).map(|jump| Box::new(HostSpec { password: a1.clone(), ..*jump })),
            ..base("d1")
        },
    ] {
        assert_eq!(site.hosts[&expected.name], expected);
    }
    assert_eq!(site.mask.hide("d e and a1"), "*** and ***");
    // What was typed is for hosts that have none.
    let folder = Folder::new(&[("hosts", "c1 ansible_password=a\nc2 ansible_become_pass=b\n")]);
    let typed = |options: &mut SiteOptions| {
        (options.password, options.become_password) = (given("x", "typed"), given("y", "typed"));
    };
    let site = folder.load_with(typed).unwrap();
    let text = |password: &Option<LoginPassword>| password.as_ref().map(|password| password.secret.reveal().to_owned());
    let passwords = |name: &str| (text(&site.hosts[name].password), text(&site.hosts[name].become_password));
    assert_eq!(
        [passwords("c1"), passwords("c2")],
        [("a", "y"), ("x", "b")].map(|(login, sudo)| (Some(login.to_owned()), Some(sudo.to_owned())))
    );
}

#[test]
fn wrong_connection_variables_are_input_errors() {
    let text = "[control]\nc1 ansible_port=ssh\nc2 ansible_connection=ssl\nc3 ansible_become=maybe\n\
                c4 ansible_ssh_common_args='-o ProxyCommand=\"nc %h %p\"'\nc5 ansible_host='{{ addres }}'\n\
                c6 ansible_host='{{ addres }}'\nc7 kolla_ssh_jump=me@bastion:ssh\n[control:vars]\naddress=x\n";
    assert_eq!(
        Folder::new(&[("hosts", text)]).errors(),
        [
            "hosts:2:17: `ansible_port` of c1 must be a port, found `ssh` (use a number from 1 to 65535)",
            "hosts:3:23: unknown connection `ssl` of c2 (did you mean `ssh`?)",
            "hosts:4:19: `ansible_become` of c3 must be true or false, found `maybe`",
            "hosts:5:28: `ProxyCommand` of c4 is no jump through ssh (use `-o ProxyJump=user@host`)",
            "hosts:6:21: undefined variable `addres` (`address` is defined in hosts:10)",
            "hosts:7:21: undefined variable `addres` (`address` is defined in hosts:10)",
            "hosts:8:19: `me@bastion:ssh` is no jump host of c7 (write it as `user@host:port`)",
        ]
    );
}
