//! Actions of roles, and the commands that some of them have, through the program itself: `kolla ALIAS` is
//! `kolla do ROLE ACTION`.

use kolla::op::Op;
use kolla::plan::{Asked, Call, Plan, Selection};

use super::folder::Folder;

const ROLE: &str = "\
about: A toy.
services: { toy: { group: control, command: toy } }
actions:
  wind:
    about: Winds it up.
    alias: toy-wind
    service: toy
    on: host
    arguments: { turns: '[0-9]+' }
    command: 'toy wind {{ arguments.turns }}'
    loses_data: true
";

fn site() -> Folder {
    // Nobody listens at this port.
    let folder = Folder::new("[control]\nc01 ansible_host=127.0.0.1 ansible_port=1\n");
    folder.write("roles/toy/role.yml", ROLE);
    folder
}

/// What a command line says, with its exit code.
#[allow(clippy::disallowed_types)]
fn said(folder: &Folder, line: &str) -> (String, i32) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
        .args(line.split_whitespace())
        .current_dir(folder.path(""))
        .env_clear()
        .env("HOME", folder.path(""))
        .env("KOLLA_CONFIG_PATH", folder.path(""))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    // Records of runs have times in their names.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("timeline:")).collect();
    (
        lines.join(
            "
",
        ),
        output.status.code().unwrap(),
    )
}

#[test]
fn an_alias_is_its_action_with_all_options_on_both_sides() {
    let folder = site();
    for (before, after, expected) in [
        ("", "turns=7 --to c01", "`kolla do toy wind` loses data"),
        ("", "--to c01 --check", "wind wants the argument `turns`"),
        ("", "turns=many --to c01 -C", "`turns` is `many`"),
        ("-C", "turns=7", "wind is for one host"),
        ("--check --limit c09", "turns=7 --to c01", "c09"),
        ("-l c01 -C", "turns=7 --to c01", "127.0.0.1"),
        ("", "turns=7 --to c01 --yes-i-really-really-mean-it", "127.0.0.1"),
        ("", "turns=7 --too c01", "unknown option `--too`"),
        ("", "turns", "`turns` is no argument: write NAME=VALUE"),
    ] {
        let [alias, action] =
            ["toy-wind", "do toy wind"].map(|name| said(&folder, &format!("{before} {name} {after}")));
        assert!(alias.0.contains(expected) && alias.1 != 0, "{before} toy-wind {after}: {alias:?}");
        assert_eq!(alias, action, "{before} toy-wind {after}");
    }
}

#[test]
fn an_alias_is_found_where_commands_are_listed() {
    let folder = site();
    let (help, _) = said(&folder, "--help");
    assert!(help.lines().any(|line| line.contains("toy-wind") && line.contains("Winds it up")), "{help}");
    assert!(help.contains("rabbitmq-reset-state"), "{help}");
    let (help, code) = said(&folder, "toy-wind --help");
    assert!(help.contains("The same as `kolla do toy wind`") && code == 0, "{help}");
    let (listed, _) = said(&folder, "do toy");
    assert!(listed.contains("wind turns=VALUE --to HOST  toy-wind  Winds it up."), "{listed}");
    let (json, _) = said(&folder, "do toy --output json");
    assert!(json.contains("\"alias\":\"toy-wind\""), "{json}");
    let (mistake, code) = said(&folder, "toy-wnd");
    assert!(mistake.contains("hint: did you mean `toy-wind`?") && code == 2, "{mistake}");
    said(&folder, "docs man pages");
    let page = std::fs::read_to_string(folder.path("pages/kolla-toy-wind.1")).unwrap();
    assert!(page.contains("Winds it up"), "{page}");
}

#[test]
fn a_command_that_may_be_that_of_a_broken_role_tells_what_is_wrong_with_the_role() {
    let folder = site();
    folder.write("roles/toy/role.yml", &ROLE.replace("on: host", "on: moon"));
    let (text, code) = said(&folder, "toy-wind turns=7");
    assert!(text.contains("roles/toy/role.yml") && text.contains("moon") && code == 2, "{text}");
    let (help, code) = said(&folder, "--help");
    assert!(help.contains("deploy") && code == 0, "{help}");
    // One that clashes would take a command away.
    folder.write("roles/toy/role.yml", &ROLE.replace("toy-wind", "deploy"));
    for line in ["deploy", "validate", "toy-wind"] {
        let (text, code) = said(&folder, line);
        assert!(text.contains("cannot have the alias `deploy`") && code == 2, "{line}: {text}");
    }
}

#[test]
fn a_message_queue_is_reset_on_all_members_from_one_of_them() {
    let folder = Folder::new("[control]\nc01\nc02\nc03\n[rabbitmq:children]\ncontrol\n");
    let call = Call { role: "rabbitmq".into(), action: "reset-state".into(), ..Call::default() };
    let plan = folder.input(|input| Plan::action(input, &call)).unwrap();
    // A run takes the first one of those whose containers run.
    let [Some(Op::Action(action)), _, _] = plan.nodes.iter().map(|node| node.op.as_ref()).collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", plan.nodes)
    };
    let members = action.command.last().unwrap();
    assert_eq!(members.trim(), "rabbit@c01 rabbit@c02 rabbit@c03");
    let [guard, done] =
        [&action.guard, &action.done].map(|probe| serde_json::to_value(probe).unwrap()["ask"].to_string());
    assert!(guard.contains(members) && done.contains("\"3\",\"openstack\""), "{guard} {done}");
}

#[test]
fn who_uses_a_service_is_asked_of_what_stops_and_where() {
    let folder = Folder::new("[control]\nc01\nc02\nc03\n");
    let role = "\
about: A toy.
services: { toy: { group: control, command: toy } }
in_use: { service: toy, command: 'toy users {{ stopping.roles | join(\",\") }} {{ stopping.hosts | join(\",\") }}' }
status:
  - { about: springs, table: { service: toy, command: 'toy springs of {{ inventory_hostname }}' } }
";
    folder.write("roles/toy/role.yml", role);
    let asked = |tags: &[&str], hosts: Option<&[&str]>| {
        let selection = Selection {
            hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
            tags: tags.iter().map(ToString::to_string).collect(),
            skip_tags: Vec::new(),
        };
        let asked = folder.input(|input| Plan::users(input, &selection)).unwrap();
        let of_toy = asked.into_iter().find(|(role, _)| role == "toy");
        of_toy.map(|(_, places)| places.iter().map(|place| place.program.argv().join(" ")).collect::<Vec<_>>())
    };
    // Any of its containers may know, whichever of them stop.
    assert_eq!(asked(&["toy", "cron"], Some(&["c02"])), Some(vec!["toy users cron,toy c02".to_owned(); 3]));
    assert_eq!(asked(&["toy"], None), Some(vec!["toy users toy c01,c02,c03".to_owned(); 3]));
    assert_eq!(asked(&["cron"], None), None);

    let plan = folder.input(Plan::whole).unwrap();
    let springs = plan.questions.iter().find(|question| question.about == "springs").unwrap();
    let Asked::Table(places) = &springs.ask else { panic!("{springs:?}") };
    assert_eq!(places[1].program.argv(), ["toy", "springs", "of", "c02"]);
}
