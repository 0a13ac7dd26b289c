//! What a terminal is shown.

use super::super::tests::finished;
use super::*;
use crate::error::{Error, HostCause};

fn begin(phase: &str, check: bool, hosts: &[&str]) -> Event {
    Event::Begin {
        phase: phase.into(),
        check,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        roles: ["common", "memcached", "mariadb", "glance"].map(String::from).into(),
        operations: 61,
    }
}

fn with_details(mut event: Event, lines: &[&str]) -> Event {
    if let Event::Finished { details, .. } = &mut event {
        *details = lines.iter().map(|line| (*line).to_owned()).collect();
    }
    event
}

fn told(verbose: bool, events: &[Event]) -> String {
    let (screen, out, err) = Screen::captured();
    let terminal = Terminal::new(screen, verbose);
    for event in events {
        terminal.event(event);
    }
    out.text() + &err.text()
}

fn a_deploy(check: bool) -> Vec<Event> {
    let waits = "waits for control02 container glance_api";
    vec![
        begin("deploy", check, &["control01", "control02", "control03"]),
        finished("control01", "memcached", "container memcached", Outcome::Same, "running", (0, 0)),
        with_details(
            finished("control01", "glance", "file glance-api.conf", Outcome::Updated, "2 lines", (5, 12)),
            &["@@ -1,2 +1,2 @@", "-workers = 1", "+workers = 2"],
        ),
        finished("control01", "glance", "container glance_api", Outcome::Replaced, "configuration", (20, 6_100)),
        finished("control02", "glance", "container glance_api", Outcome::Failed, "not ready after 60s", (20, 60_000)),
        finished("control03", "glance", "container glance_api", Outcome::Skipped, waits, (60_020, 0)),
        Event::End {
            summary: Summary { changed: 7, same: 50, failed: 1, skipped: 3 },
            took_ms: 72_000,
            requests: vec![("control01".into(), 2), ("control02".into(), 3)],
        },
    ]
}

#[test]
fn the_same_hunks_on_several_hosts_are_shown_once() {
    let file = |host: &str, workers: &str| {
        let event = finished(host, "glance", "files glance-api", Outcome::Updated, "", (5, 12));
        with_details(event, &["file glance-api.conf: update", "@@ -1 +1 @@", "-workers = 1", workers, "file x: new"])
    };
    let text = told(
        false,
        &[
            begin("deploy", true, &["control01", "control02", "control03"]),
            file("control01", "+workers = 2"),
            file("control02", "+workers = 2"),
            file("control03", "+workers = 3"),
        ],
    );
    let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
    let hunk = ["@@ -1 +1 @@", "-workers = 1"];
    let all = "file glance-api.conf: update";
    assert_eq!(lines[1..6], [all, hunk[0], hunk[1], "+workers = 2", "file x: new"]);
    assert_eq!(lines[7..9], ["file glance-api.conf: update, as on control01", "file x: new"]);
    assert_eq!(lines[10..14], [all, hunk[0], hunk[1], "+workers = 3"]);
}

#[test]
fn a_deploy_tells_what_changed_and_why() {
    assert_eq!(
        told(false, &a_deploy(false)),
        "\
deploy  control01 control02 control03  ·  4 roles, 61 operations
  glance     control01  file glance-api.conf    updated: 2 lines
      @@ -1,2 +1,2 @@
      -workers = 1
      +workers = 2
  glance     control01  container glance_api    replaced: configuration                 6.1s
  glance     control02  container glance_api    failed: not ready after 60s             1m00s
  glance     control03  container glance_api    skipped: waits for control02 container glance_api
changed 7, same 50, failed 1, skipped 3 in 1m12s
"
    );
}

#[test]
fn verbose_also_tells_what_is_the_same_and_the_requests() {
    let text = told(true, &a_deploy(false));
    assert!(text.contains("  memcached  control01  container memcached     same: running\n"), "{text}");
    assert!(text.contains("\nrequests  control01 2, control02 3\nchanged 7"), "{text}");
}

#[test]
fn a_check_tells_what_would_be() {
    let text = told(false, &a_deploy(true));
    assert!(text.starts_with("deploy (check)  control01 "), "{text}");
    assert!(text.contains("container glance_api    replace: configuration"), "{text}");
    assert!(text.ends_with("would change 7, same 50, failed 1, skipped 3 in 1m12s\n"), "{text}");
}

#[test]
fn a_run_without_changes_is_two_lines() {
    let events = [
        begin("deploy", false, &["a"]),
        finished("a", "memcached", "container memcached", Outcome::Same, "running", (0, 0)),
        Event::End { summary: Summary { same: 61, ..Summary::default() }, took_ms: 414, requests: Vec::new() },
    ];
    assert_eq!(told(false, &events), "deploy  a  ·  4 roles, 61 operations\nchanged 0, same 61 in 0.41s\n");
}

#[test]
fn an_image_is_named_without_its_registry() {
    assert_eq!(brief("image 10.0.0.1:4000/kolla/haproxy:2025.1"), "image haproxy:2025.1");
    assert_eq!(brief("file /etc/hosts"), "file /etc/hosts");
}

#[test]
fn prechecks_pass() {
    let events = [
        begin("prechecks", false, &["a"]),
        finished("a", "mariadb", "port 3306 free", Outcome::Same, "", (0, 0)),
        Event::End { summary: Summary { same: 1, ..Summary::default() }, took_ms: 50, requests: Vec::new() },
    ];
    let text = told(true, &events);
    assert!(text.contains("  mariadb    a  port 3306 free          passed\npassed 1 in 0.05s\n"), "{text}");
}

#[test]
fn many_hosts_are_abbreviated() {
    let hosts: Vec<String> = (1..=100).map(|number| format!("compute{number:03}")).collect();
    assert_eq!(some_hosts(&hosts), "compute001 compute002 compute003 compute004 compute005 ... compute100 (100 hosts)");
    assert_eq!(some_hosts(&hosts[..2]), "compute001 compute002");
}

#[test]
fn hosts_that_cannot_be_used_come_after_the_first_line() {
    let lost = |host: &str| Event::Host {
        host: host.into(),
        address: Some("10.0.0.12:22".into()),
        error: Some("connect: no answer within 10 s".into()),
        requests: 0,
        took_ms: 10_000,
    };
    let text = told(false, &[lost("control02"), begin("deploy", false, &["control01", "control02"])]);
    assert_eq!(
        text,
        "\
deploy  control01 control02  ·  4 roles, 61 operations
             control02  connection              failed: 10.0.0.12:22: connect: no answer within 10 s
"
    );
    let (screen, out, _) = Screen::captured();
    let terminal = Terminal::new(screen, false);
    terminal.event(&lost("control01"));
    terminal.event(&lost("control02"));
    let Error::Host(mut told) = Error::host("control01", "connect", HostCause::TimedOut(10)) else { unreachable!() };
    terminal.close(Some(&told));
    assert_eq!(out.text(), "  control02  failed: 10.0.0.12:22: connect: no answer within 10 s\n");
    let (screen, out, _) = Screen::captured();
    let terminal = Terminal::new(screen, false);
    for number in (1..=5).rev() {
        terminal.event(&lost(&format!("c{number}")));
    }
    terminal.close(Some(&told));
    let hosts = "c1 (10.0.0.12:22), c2 (10.0.0.12:22), c3 (10.0.0.12:22) and 2 more";
    assert_eq!(out.text(), format!("  {hosts}  failed: connect: no answer within 10 s\n"));
    // What the caller tells of several hosts is told of none of them.
    terminal.event(&lost("control01"));
    terminal.event(&lost("control02"));
    told.others.push(Target { host: "control02".into(), address: None });
    terminal.close(Some(&told));
    assert_eq!(out.text().lines().count(), 1);
}

#[test]
fn a_failure_that_scrolled_away_is_told_again() {
    let mut events = a_deploy(false);
    let last = events.pop().unwrap();
    events.extend((0..20).map(|n| finished("a", "r", &format!("file {n}"), Outcome::Created, "", (0, 0))));
    events.push(last);
    let text = told(false, &events);
    assert_eq!(text.matches("failed: not ready after 60s").count(), 2);
}

#[test]
fn warnings_name_their_host() {
    let event = Event::Warning { host: "a".into(), message: "clock is 3 s behind".into() };
    assert_eq!(told(false, &[event]), "warning: a: clock is 3 s behind\n");
}
