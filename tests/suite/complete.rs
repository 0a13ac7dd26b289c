//! What a shell offers where the cursor stands, through the program itself.

use super::folder::Folder;

/// The words that are offered for the last one.
#[allow(clippy::disallowed_types)]
fn offered(folder: &Folder, words: &[&str]) -> Vec<String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kolla"))
        .arg("--")
        .args(words)
        .current_dir(folder.path(""))
        .env_clear()
        .env("KOLLA_COMPLETE", "fish")
        .env("HOME", folder.path(""))
        .env("KOLLA_CONFIG_PATH", folder.path(""))
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn names_of_the_site_are_offered() {
    let folder = Folder::new("[control]\nc01\nc02\n[network:children]\ncontrol\n");
    folder.write("other", "[control]\nelsewhere\n");
    folder.write("roles/toy/role.yml", "about: A toy.\nservices: { toy-api: { group: control } }\n");
    for (words, expected) in [
        (&["kolla", "vars", "c"][..], &["c01", "c02"][..]),
        (&["kolla", "-i", "other", "vars", "e"], &["elsewhere"]),
        (&["kolla", "vars", "--inventory=other", "e"], &["elsewhere"]),
        (&["kolla", "deploy", "--limit", "control,!c0"], &["control,!c01", "control,!c02"]),
        (&["kolla", "deploy", "-l", "net"], &["network"]),
        (&["kolla", "deploy", "-t", "mariadb,to"], &["mariadb,toy"]),
        (&["kolla", "config", "c01", "toy"], &["toy-api"]),
        (&["kolla", "config", "c01", "mariadb", "c"], &["client.cnf", "config.json"]),
        (&["kolla", "plan", "reco"], &["reconfigure"]),
        (&["kolla", "docs", "eve"], &["events"]),
        (&["kolla", "validate", "--ro"], &["--role", "--roles"]),
    ] {
        assert_eq!(offered(&folder, words), expected, "{words:?}");
    }
    // A line that is being written is not disturbed, also not by a role that is.
    folder.write("roles/other/role.yml", "about: [\n");
    assert_eq!(offered(&folder, &["kolla", "config", "c01", "toy"]), ["toy-api"]);
    folder.write("inventory", "[control\n");
    assert_eq!(offered(&folder, &["kolla", "vars", "c"]), [""; 0]);
}

#[test]
fn actions_and_their_commands_are_offered() {
    let folder = Folder::new("[control]\nc01\nc02\n");
    folder.write(
        "roles/toy/role.yml",
        "\
about: A toy.
services: { toy: { group: control, command: toy } }
actions:
  polish: { about: Polishes it., service: toy, command: toy polish }
  wind:
    about: Winds it up.
    alias: toy-wind
    service: toy
    arguments: { turns: '[0-9]+', way: left|right }
    command: toy wind
",
    );
    for (words, expected) in [
        (&["kolla", "do", "to"][..], &["toy"][..]),
        // Not the actions of a group that is named like another role.
        (&["kolla", "do", "-l", "rabbitmq", "toy", "w"], &["wind"]),
        (&["kolla", "-C", "do", "toy", "p"], &["polish"]),
        (&["kolla", "do", "toy", "wind", "t"], &["turns="]),
        (&["kolla", "do", "toy", "wind", "turns"], &["turns="]),
        (&["kolla", "do", "toy", "wind", "turns=7", "t"], &[]),
        // As bash splits it.
        (&["kolla", "do", "toy", "wind", "turns", "=", "7", "w"], &["way="]),
        (&["kolla", "do", "toy", "polish", "t"], &[]),
        (&["kolla", "do", "toy", "wind", "--to", "c"], &["c01", "c02"]),
        (&["kolla", "toy"], &["toy-wind"]),
        (&["kolla", "rabbitmq-r"], &["rabbitmq-reset-state"]),
        (&["kolla", "toy-wind", "w"], &["way="]),
        (&["kolla", "-C", "toy-wind", "turns=7", "--to", "c02"], &["c02"]),
        (&["kolla", "toy-wind", "--yes"], &["--yes-i-really-really-mean-it"]),
    ] {
        assert_eq!(offered(&folder, words), expected, "{words:?}");
    }
}
