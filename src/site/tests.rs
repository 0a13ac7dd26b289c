mod connection;
mod examples;
mod misread;
mod secrets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::json;

use super::{Site, SiteOptions, groups};
use crate::error::{Error, InputError};
use crate::source::Document;
use crate::template::Layer;

/// A folder with files, and the options that read a site from it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in [("globals.yml", "---\n"), ("passwords.yml", "database_password: hunter2\n")] {
            folder.write(name, text);
        }
        for (name, text) in files {
            folder.write(name, text);
        }
        fs::set_permissions(folder.path("passwords.yml"), fs::Permissions::from_mode(0o600)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn options(&self) -> SiteOptions {
        SiteOptions {
            config_dir: self.0.path().to_owned(),
            inventories: vec![self.path("hosts")],
            user: "me".into(),
            home: Some("/home/me".into()),
            ..SiteOptions::default()
        }
    }

    fn load_with(&self, change: impl FnOnce(&mut SiteOptions)) -> Result<Site, Vec<InputError>> {
        let mut options = self.options();
        change(&mut options);
        let text = "api_interface: eth0\nwho: role\nmariadb_port: 3306\n\
                    url: 'http://{{ kolla_internal_vip_address }}:{{ mariadb_port }}'\n";
        let role = Layer::of("role site", Document::parse("roles/site/role.yml", text).unwrap(), false).unwrap();
        match Site::load(&options, vec![role]) {
            Ok(site) => Ok(site),
            Err(Error::Input(errors)) => Err(errors),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn load(&self) -> Site {
        self.load_with(|_| {}).unwrap_or_else(|errors| panic!("{}", self.show(&errors).join("\n")))
    }

    fn errors(&self) -> Vec<String> {
        self.show(&self.load_with(|_| {}).unwrap_err())
    }

    /// `file:line:column: message (hint)`, without the folder's name.
    fn show(&self, errors: &[InputError]) -> Vec<String> {
        let line = |error: &InputError| {
            let place = error.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
            let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.strip(&format!("{place}{}{hint}", error.message))
        };
        errors.iter().map(line).collect()
    }

    fn strip(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "").replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn get(site: &Site, host: &str, name: &str) -> String {
    site.scopes(IndexMap::new()).host(host).get(name).unwrap().to_string()
}

const THREE: &str = "[control]\nc1\nc2\n[compute]\nn1\n";

#[test]
fn the_more_specific_layer_wins() {
    // Each step adds one layer over the ones before it.
    let steps: &[(&str, &str, &str)] = &[
        ("globals.yml", "who: globals\n", "globals"),
        ("globals.d/10.yml", "who: ten\n", "ten"),
        ("globals.d/20.json", "{\"who\": \"twenty\"}", "twenty"),
        ("hosts", "[control]\nc1\n[west:children]\ncontrol\n[all:vars]\nwho=all\n", "all"),
        ("group_vars/all.yml", "who: all file\n", "all file"),
        ("group_vars/west", "who: west\n", "west"),
        ("group_vars/control/a.yml", "who: control\n", "control"),
        ("group_vars/control/b.yaml", "who: control b\n", "control b"),
        ("hosts", "[control]\nc1 who=inline\n[west:children]\ncontrol\n[all:vars]\nwho=all\n", "inline"),
        ("host_vars/c1.yml", "who: host\n", "host"),
        ("passwords.yml", "who: secret\n", "secret"),
    ];
    let folder = Folder::new(&[("hosts", "[control]\nc1\n")]);
    assert_eq!(get(&folder.load(), "c1", "who"), "role");
    for (file, text, expected) in steps {
        folder.write(file, text);
        assert_eq!(get(&folder.load(), "c1", "who"), *expected, "{file}");
    }
    folder.write("extra.yml", "who: extra file\n");
    let at_file = format!("@{}", folder.path("extra.yml").display());
    for (extra, expected) in [
        (vec!["who=extra"], "extra"),
        (vec!["who=extra", at_file.as_str()], "extra file"),
        (vec![at_file.as_str(), "{who: last}"], "last"),
    ] {
        let site = folder.load_with(|options| options.extra_vars = extra.iter().map(ToString::to_string).collect());
        assert_eq!(get(&site.unwrap(), "c1", "who"), expected);
    }
    let scopes = folder.load().scopes(IndexMap::new());
    let origins = scopes.host("c1").explain("who");
    let layers: Vec<&str> = origins.iter().map(|origin| origin.layer.as_str()).collect();
    assert_eq!(
        layers,
        [
            "passwords.yml",
            "host c1",
            "host c1",
            "group control",
            "group control",
            "group west",
            "group all",
            "group all",
            "globals.d/20.json",
            "globals.d/10.yml",
            "globals.yml",
            "role site",
        ]
    );
    assert!(origins.iter().all(|origin| origin.text == "***"), "a name in passwords.yml is secret everywhere");
}

#[test]
fn extra_values_are_text_unless_they_are_json() {
    let folder = Folder::new(&[("hosts", THREE)]);
    let extra = ["a=1 b='x y'", "{\"c\": 1, \"d\": [true]}"].map(str::to_owned).to_vec();
    let site = folder.load_with(|options| options.extra_vars = extra).unwrap();
    let scopes = site.scopes(IndexMap::new());
    let value = |name| serde_json::to_value(scopes.host("c1").get(name).unwrap()).unwrap();
    assert_eq!((value("a"), value("b"), value("c"), value("d")), (json!("1"), json!("x y"), json!(1), json!([true])));
    for (extra, message) in [
        (
            "oops",
            "-e:1:1: expected `name=value`, found `oops` (quote values with spaces, as in `-e \"name='a value'\"`)",
        ),
        ("", "-e:1:1: empty `-e` (write `-e name=value` or `-e @file`)"),
        (
            "@nowhere.yml",
            "cannot read nowhere.yml: no such file (`-e @FILE` reads variables from a file: correct its path)",
        ),
        ("[1]", "-e:1:1: expected a mapping, found a list"),
        ("a='b", "-e:1:3: a quotation is not closed"),
    ] {
        let errors = folder.load_with(|options| options.extra_vars = vec![extra.into()]).unwrap_err();
        assert_eq!(folder.show(&errors), [message], "{extra}");
    }
}

#[test]
fn inventory_lines() {
    let text = "# comment\nlonely\n\n[control]\nc[01:03] port_number=22 text=0660 flag=True list='[1, 2]' # c\n\
                c02 name=\"a b\"\n; comment\n[compute]\nn[a:b]:2222\n  indented ansible_host=10.0.0.9\n[fd00::7]:23\n\
                [west:children]\ncontrol # all of it\n[west:vars]\nnumber = 22\nquoted='x y'  # c\nhash=a#b\n\
                [control]\nlate\n";
    let site = Folder::new(&[("hosts", text)]).load();
    let names: Vec<&String> = site.hosts.keys().collect();
    assert_eq!(names, ["lonely", "c01", "c02", "c03", "na", "nb", "indented", "fd00::7", "late"]);
    assert_eq!(site.group("west"), ["c01", "c02", "c03", "late"]);
    assert_eq!(site.group("ungrouped"), ["lonely"]);
    assert_eq!(site.groups_of("c02"), ["control", "west"]);
    assert_eq!(site.hosts["na"].port, 2222);
    assert_eq!((site.hosts["fd00::7"].address.as_str(), site.hosts["fd00::7"].port), ("fd00::7", 23));
    assert_eq!(site.hosts["indented"].address, "10.0.0.9");
    let scopes = site.scopes(IndexMap::new());
    let value = |host, name| serde_json::to_value(scopes.host(host).get(name).unwrap()).unwrap();
    for (host, name, expected) in [
        ("c01", "port_number", json!(22)),
        ("c01", "text", json!("0660")),
        ("c01", "flag", json!(true)),
        ("c01", "list", json!([1, 2])),
        ("c02", "name", json!("a b")),
        ("c02", "number", json!(22)),
        ("c02", "quoted", json!("x y")),
        ("c02", "hash", json!("a#b")),
    ] {
        assert_eq!(value(host, name), expected, "{host} {name}");
    }
}

#[test]
fn inventories_merge_in_order() {
    let folder = Folder::new(&[
        ("hosts", "[control]\nc1 a=1 b=1\n[west:children]\ncontrol\n"),
        ("more/10-hosts", "[control]\nc1 b=2\nc2\n[compute]\nn1\n"),
        ("more/20-hosts", "[west]\nn1\n"),
        ("more/notes.md", "not an inventory"),
        ("more/host_vars/n1.yml", "a: 7\n"),
    ]);
    let site = folder.load_with(|options| options.inventories.push(folder.path("more"))).unwrap();
    assert_eq!(site.group("west"), ["n1", "c1", "c2"]);
    assert_eq!(
        (get(&site, "c1", "a"), get(&site, "c1", "b"), get(&site, "n1", "a")),
        ("1".into(), "2".into(), "7".into())
    );
}

#[test]
fn every_mistake_of_an_inventory_has_its_place() {
    let text = "[control\n[west:child]\nx\n[east:children]\ncontrl\n[control]\nc1 port = 22\nc2 a='b\nc[3:1]\n\
                [north:vars]\nx=1\nno value\n[loop:children]\npool\n[pool:children]\nloop\n[a b]\nc4 oops\n";
    let folder = Folder::new(&[("hosts", text)]);
    assert_eq!(
        folder.errors(),
        [
            "hosts:1:1: section `[control` lacks its `]`",
            "hosts:2:1: unknown kind of section `[west:child]` (did you mean `[west:children]`?)",
            "hosts:7:4: expected `key=value`, found `port` (write no spaces around `=`)",
            "hosts:8:6: a quotation is not closed",
            "hosts:9:1: range `[3:1]` ends before it begins (write ranges as `[01:20]` or `[a:f]`)",
            "hosts:12:1: expected `key = value`, found `no value` (hosts stand under `[group]`, groups under `[group:children]`)",
            "hosts:17:1: `a b` is no group name (use a word without spaces)",
            "hosts:18:4: expected `key=value`, found `oops` (list one host a line; quote values with spaces)",
            "hosts:5:1: group `contrl` has no section (did you mean `control`?)",
            "hosts:10:1: group `north` has no section (add a section `[north]`, empty if need be)",
            "hosts:16:1: groups contain each other: loop -> pool -> loop",
        ]
    );
}

#[test]
fn mistakes_of_all_files_come_together() {
    let folder = Folder::new(&[
        ("hosts", "[control]\nc1 =\n"),
        ("globals.yml", "a: 1\na: 2\n"),
        ("globals.d/x.yml", "- 1\n"),
        ("group_vars/all.yml", "a: [\n"),
        ("passwords.yml", "database_password: hunter2\nother password: x\n"),
    ]);
    let errors = folder.errors();
    assert_eq!(errors.len(), 5, "{errors:#?}");
    for (error, start) in errors.iter().zip([
        "hosts:2:4: expected `key=value`",
        "group_vars/all.yml:",
        "globals.d/x.yml:1:1: expected a mapping, found a list",
        "passwords.yml:2:1: `other password` is no variable name",
        "globals.yml:2:1: duplicate",
    ]) {
        assert!(error.starts_with(start), "{error}");
    }
    // No line of passwords.yml is shown.
    let found = folder.load_with(|_| {}).unwrap_err();
    assert_eq!(found[3].place.as_ref().unwrap().excerpt, None);
}

#[test]
fn what_is_missing_is_said() {
    let folder = Folder::new(&[("hosts", "# nobody\n")]);
    assert_eq!(
        folder.errors(),
        ["hosts: the inventory names no host (list hosts under `[control]`; inventory/ has examples)"]
    );
    fs::remove_file(folder.path("hosts")).unwrap();
    fs::remove_file(folder.path("globals.yml")).unwrap();
    fs::remove_file(folder.path("passwords.yml")).unwrap();
    assert_eq!(
        folder.errors(),
        [
            "cannot read hosts: no such file (name the inventory with `-i FILE`)",
            "there is no globals.yml in DIR (copy etc/globals.yml there, or name another folder with `--configdir`)",
            "there is no passwords.yml in DIR (copy etc/passwords.yml there and run `kolla genpwd`, or name one with `--passwords`)",
        ]
    );
    let folder =
        Folder::new(&[("hosts", "all:\n  hosts:\n    c1:\n"), ("inv.yml", "all: {}\n"), ("script", "#!/bin/sh\n")]);
    let errors = folder
        .load_with(|options| options.inventories = vec![folder.path("inv.yml"), folder.path("script")])
        .unwrap_err();
    assert_eq!(
        folder.show(&errors),
        ["script: the inventory script is not executable (make it so with `chmod +x script`)"]
    );
    folder.write("hosts", "$ANSIBLE_VAULT;1.1;AES256\n61\n");
    assert!(folder.errors()[0].starts_with("hosts: an encrypted inventory is not read"));
}

#[test]
fn templates_are_checked_when_loading() {
    let folder = Folder::new(&[("hosts", THREE), ("globals.yml", "ok: '{{ 1 }}'\nbad: '{{ 1 + }}'\n")]);
    let errors = folder.errors();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("globals.yml:2:") && errors[0].contains("template syntax"), "{}", errors[0]);
}

#[test]
fn service_groups_that_are_missing_fall_back_to_kollas() {
    let folder = Folder::new(&[("hosts", "[control]\nc1\nc2\n[network]\nn1\n[compute]\nw1\n[mariadb]\nc2\n[nova]\n")]);
    let site = folder.load();
    for (group, hosts) in [
        ("mariadb", "c2"),
        ("rabbitmq", "c1 c2"),
        ("loadbalancer", "n1"),
        ("glance-api", "c1 c2"),
        ("nova-api", ""),
        ("neutron-ovn-agent", "w1 n1"),
        ("prometheus", ""),
        ("baremetal", "c1 c2 n1 w1"),
        ("nonsense", ""),
    ] {
        assert_eq!(site.group(group).join(" "), hosts, "{group}");
    }
    let scopes = site.scopes(IndexMap::new());
    let text = "{{ groups['rabbitmq'] | join(',') }} {{ groups.all | length }} {{ groups['nonsense'] is defined }} {{ group_names }}";
    assert_eq!(scopes.host("c2").render(Path::new("t"), text).unwrap(), "c1,c2 4 False ['control', 'mariadb']");
}

/// The tree of Kolla-Ansible's own inventory, all groups spelled out.
fn upstream_inventory() -> String {
    let mut text =
        "[control]\ncontrol[01:03]\n[network]\nnetwork01\n[compute]\ncompute01\n[monitoring]\nmonitoring01\n\
                    [storage]\nstorage01\n[deployment]\nlocalhost ansible_connection=local\n"
            .to_owned();
    for (group, parents) in groups::tree() {
        text.extend(["\n# ", group, "\n[", group, ":children]\n", &parents.join("\n"), "\n"]);
    }
    text
}

#[test]
fn an_inventory_that_spells_out_all_groups_means_the_same() {
    let text = upstream_inventory();
    assert!(text.lines().count() > 600, "{}", text.lines().count());
    let full = Folder::new(&[("hosts", &text)]).load();
    let coarse: String = text.split("\n#").next().unwrap().to_owned();
    let coarse = Folder::new(&[("hosts", &coarse)]).load();
    for (group, _) in groups::tree() {
        let sorted = |mut hosts: Vec<&str>| {
            hosts.sort_unstable();
            hosts.join(" ")
        };
        assert_eq!(sorted(full.group(group)), sorted(coarse.group(group)), "{group}");
    }
    assert_eq!(full.group("openvswitch"), ["network01", "compute01"]);
    assert!(full.hosts["localhost"].local);
}

#[test]
fn patterns() {
    let site = Folder::new(&[("hosts", "[control]\nc[1:3]\n[compute]\nn1\nn2\n[west]\nc1\nn1\nfd00::1\n")]).load();
    for (limit, hosts) in [
        ("", "c1 c2 c3 n1 n2 fd00::1"),
        ("all", "c1 c2 c3 n1 n2 fd00::1"),
        ("c2", "c2"),
        ("n2,c1", "c1 n2"),
        ("control:n1", "c1 c2 c3 n1"),
        ("control:&west", "c1"),
        ("control:!c2", "c1 c3"),
        ("!control", "n1 n2 fd00::1"),
        ("n*", "n1 n2"),
        ("c[12]*", "c1 c2"),
        ("c*[0:1]", "c1 c2"),
        ("co*:!compute", "c1 c2 c3"),
        ("~c[23]$", "c2 c3"),
        ("control[0]", "c1"),
        ("control[-1]", "c3"),
        ("control[1:2]", "c2 c3"),
        ("control[1:]", "c2 c3"),
        ("mariadb", "c1 c2 c3"),
        ("fd00::1", "fd00::1"),
        ("*:!west", "c2 c3 n2"),
    ] {
        let limit: Vec<String> = Some(limit.to_owned()).filter(|limit| !limit.is_empty()).into_iter().collect();
        let found: Vec<String> =
            site.select(&limit).unwrap_or_else(|e| panic!("{limit:?} {e:?}")).into_iter().collect();
        assert_eq!(found.join(" "), hosts, "{limit:?}");
    }
    for (limit, expected) in [
        ("contrl", "`contrl` is no host and no group; did you mean `control`?"),
        ("x*", "`x*` matches no host and no group; list the hosts with `kolla inventory`"),
        ("c1:!c1", "`c1:!c1` leaves no host; list the hosts with `kolla inventory`"),
        ("~(", "`(` is no regular expression"),
        (
            "c[12]",
            "`c` is no host and no group; `[...]` at the end counts hosts; write `c[12]*` for one of several letters",
        ),
        (
            "control[7]",
            "`control[7]` selects nothing: `control` has 3 hosts; \
             write `group[0]` for its first host, `group[0:2]` for its first three",
        ),
    ] {
        let Err(Error::Input(errors)) = site.select(&[limit.to_owned()]) else { panic!("{limit}") };
        let shown = errors
            .iter()
            .map(|e| [Some(e.message.clone()), e.hint.clone()].into_iter().flatten().collect::<Vec<_>>().join("; "));
        assert_eq!(shown.collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn warnings_name_what_changed_its_meaning_and_files_of_nobody() {
    let folder = Folder::new(&[
        (
            "hosts",
            "[control]\nc1 api_interface=em1\nc2 api_interface=eth0\n[netwrok]\nc1\n[gpu]\nc2\n[mariabd]\nc1\n[prod]\nc1\n[nova1]\nc1\n[kolla_logs]\nc1\n[storage]\nprod\n",
        ),
        ("globals.yml", "api_interface: eth0\n"),
        ("group_vars/contrl.yml", "a: 1\n"),
        ("group_vars/glance.yml", "a: 1\n"),
        ("host_vars/c3.yml", "a: 1\n"),
        ("host_vars/c4.yml", "a: 1\n"),
        ("host_vars/c02.yml", "a: 1\n"),
    ]);
    fs::set_permissions(folder.path("passwords.yml"), fs::Permissions::from_mode(0o644)).unwrap();
    let warnings: Vec<String> =
        folder.load().warnings().iter().map(|warning| folder.strip(&warning.to_string())).collect();
    assert_eq!(
        warnings,
        [
            "`api_interface` is set in globals.yml:1 and for host c1 in hosts:2: the more specific one wins, unlike in Kolla-Ansible",
            "`prod` is a group and also a host; a section that lists groups is called `[NAME:children]`",
            "no service runs on the inventory's group `netwrok`; did you mean `network`?",
            "no service runs on the inventory's group `mariabd`; did you mean `mariadb`?",
            "group_vars/glance.yml: the inventory has no group `glance`; add a section for it to the inventory",
            "group_vars/contrl.yml: the inventory has no group `contrl`; did you mean `control`?",
            "host_vars/c02.yml: the inventory has no host `c02`; did you mean `c2`?",
            "host_vars: the inventory has no hosts `c3`, `c4`",
            "passwords.yml can be read by others: run `chmod 600 passwords.yml`",
        ]
    );
}
