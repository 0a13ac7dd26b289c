//! The whole table: what members say, and what is decided.

use super::*;

/// `a:5 last`, `crashed a`, `crashed a, found a:5`; a position by itself is that of one that stopped in order.
fn member(words: &str) -> Member {
    let position = |text: &str| {
        let (cluster, seqno) = text.split_once(':').unwrap_or_else(|| panic!("no position: {text}"));
        Position { cluster: cluster.trim_matches('-').into(), seqno: seqno.parse().unwrap() }
    };
    let cluster = |text: &str| text.trim_matches('-').to_owned();
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["silent"] => Member::Silent,
        ["alive"] => Member::Alive,
        ["stopping"] => Member::Stopping,
        ["starting"] => Member::Starting,
        ["empty"] => Member::Empty,
        ["bare"] => Member::Bare,
        ["serving", of, size] => Member::Serving { cluster: cluster(of), size: size.parse().unwrap() },
        ["outside", of] => Member::Outside { cluster: cluster(of) },
        ["crashed", of] => Member::Crashed { cluster: cluster(of), found: None },
        ["crashed", of, at] => Member::Crashed { cluster: cluster(of), found: Some(position(at)) },
        [at] => Member::Stopped { position: position(at), last: false },
        [at, "last"] => Member::Stopped { position: position(at), last: true },
        _ => panic!("unknown words: {words}"),
    }
}

const WORDS: Words<'_> = Words { service: "db", recovery: "kolla do db recovery", choice: "db_choice" };

fn members(row: &str) -> Vec<(String, Member)> {
    row.split(", ").zip(1..).map(|(words, number)| (format!("m{number}"), member(words))).collect()
}

fn say(outcome: &Outcome) -> String {
    match outcome {
        Ok(Decision::Join { again, .. }) if again.is_empty() => "join".into(),
        Ok(Decision::Join { again, .. }) => format!("join, {} again", again.join(" ")),
        Ok(Decision::Start { host, history: History::Continued, why }) => format!("{host}: {why}"),
        Ok(Decision::Start { host, history: History::First, why }) => format!("{host} anew: {why}"),
        Ok(Decision::Start { host, history: History::Forked, why }) => format!("{host} forks: {why}"),
        Ok(Decision::Ask { whom, .. }) => format!("ask {}", whom.join(" ")),
        Err(Undecided::NotYet) => "wait".into(),
        Err(Undecided::Refused { why, .. }) => format!("no: {why}"),
    }
}

fn check(recover: bool, chosen: Option<&str>, waited: bool, table: &[(&str, &str)]) {
    for (row, expected) in table {
        let members = members(row);
        let outcome = decide(&Case { words: WORDS, members: &members, recover, chosen, waited });
        assert_eq!(&say(&outcome), expected, "[{row}], recovery {recover}, chosen {chosen:?}, waited {waited}");
        if let Err(Undecided::Refused { hint, .. }) = outcome {
            assert!(!hint.is_empty(), "[{row}]: no hint");
        }
    }
}

#[test]
fn what_a_deploy_decides() {
    let table = &[
        // Nobody has data.
        ("empty", "m1 anew: no member has data"),
        ("empty, empty, empty", "m1 anew: no member has data"),
        ("empty, silent, empty", "no: 0 of 1 member that may have data can be asked: m2 may be alive"),
        ("empty, silent, silent", "no: 0 of 2 members that may have data can be asked: m2, m3 may be alive"),
        // One alone has data: a restored backup, a first start that was cut off, volumes of all others wiped.
        ("empty, bare, empty", "m2 anew: it alone has data"),
        ("empty, crashed -, empty", "m2 anew: it alone has data"),
        ("empty, empty, crashed a", "m3: it alone has data"),
        ("empty, empty, a:5", "m3: it alone has data"),
        ("crashed a", "m1: it alone has data"),
        ("bare, bare, empty", "no: several members have data of no cluster: m1, m2"),
        // All stopped in order: the position decides, a mark among equals.
        ("a:5, a:6, a:7 last", "m3: it stopped last"),
        ("a:7, a:7, a:7 last", "m3: it stopped last"),
        ("a:7, a:7, a:7", "m1: its data got furthest, to 7"),
        ("empty, a:572, a:573", "m3: its data got furthest, to 573"),
        ("a:5 last, a:9, a:7", "m2: its data got furthest, to 9"),
        ("a:5 last, a:7 last, a:6 last", "m2: it stopped last"),
        // One of them was wiped.
        ("a:5, empty, a:7 last", "m3: it stopped last"),
        // Stopped last, but older: one that crashed may have more.
        ("a:5 last, crashed a, crashed a", "no: nobody knows how far the data of m2, m3 got: db crashed there"),
        ("a:5 last, a:4, crashed a", "no: nobody knows how far the data of m3 got: db crashed there"),
        // One in the middle of a copy or a change of tables: Galera's file names no cluster meanwhile.
        ("a:5, a:6 last, crashed -", "no: nobody knows how far the data of m3 got: db crashed there"),
        ("crashed -, crashed -, crashed -", "no: nobody knows how far the data of m1, m2, m3 got: db crashed there"),
        // All crashed.
        ("crashed a, crashed a, crashed a", "no: nobody knows how far the data of m1, m2, m3 got: db crashed there"),
        ("crashed a, empty, crashed a", "no: nobody knows how far the data of m1, m3 got: db crashed there"),
        // Data of several clusters.
        ("a:5, b:6 last, a:5", "no: the members' data are of different clusters: m1 of a, m2 of b, m3 of a"),
        ("a:5 last, crashed b, empty", "no: the members' data are of different clusters: m1 of a, m2 of b"),
        // A restored backup beside the data that it was restored for.
        ("bare, a:5, a:6 last", "no: m1 has data of no cluster beside others that have: a restored backup?"),
        // Some cannot be asked.
        ("a:5, a:6 last, silent", "no: cannot tell which db has the newest data: m3 cannot be asked"),
        ("a:6 last, silent, silent", "no: 1 of 3 members that may have data can be asked: m2, m3 may be alive"),
        ("a:6 last, empty, silent", "no: 1 of 2 members that may have data can be asked: m3 may be alive"),
        ("a:5, a:6 last, alive", "no: m3 cannot be asked, but its db answers other hosts: it may serve"),
        ("empty, empty, alive", "no: m3 cannot be asked, but its db answers other hosts: it may serve"),
        // A cluster serves.
        ("serving a 3, serving a 3, serving a 3", "join"),
        ("serving a 1, empty, empty", "join"),
        ("serving a 2, serving a 2, crashed a", "join"),
        ("serving a 2, serving a 2, silent", "join"),
        ("serving a 2, starting, stopping", "join"),
        ("serving a 2, serving a 2, bare", "join"),
        ("serving a 1, a:9, crashed -", "join"),
        ("serving - 1, a:9, empty", "join"),
        ("serving a 2, serving a 2, outside a", "join, m3 again"),
        ("serving a 2, outside -, outside a", "join, m2 m3 again"),
        // Others have data of another one, which they would lose as they join.
        (
            "serving a 1, b:5, empty",
            "no: data of another cluster than the one that runs on m1 would be lost: those of m2",
        ),
        (
            "serving a 2, serving a 2, crashed b",
            "no: data of another cluster than the one that runs on m1 would be lost: those of m3",
        ),
        (
            "serving a 2, serving a 2, outside b",
            "no: data of another cluster than the one that runs on m1 would be lost: those of m3",
        ),
        // Two clusters at once, of the same history too.
        (
            "serving a 2, serving a 2, serving b 1",
            "no: several clusters of db run at once: m1 in a with 2 members, m2 in a with 2 members, m3 in b with 1 member",
        ),
        (
            "serving a 1, serving a 2, serving a 2",
            "no: several clusters of db run at once: m1 in a with 1 member, m2 in a with 2 members, m3 in a with 2 members",
        ),
        // They run, and none serves.
        ("outside a, outside a, outside a", "no: db runs on m1, m2, m3, but no member is in a cluster with a majority"),
        ("outside a, a:9, a:9 last", "no: db runs on m1, but no member is in a cluster with a majority"),
        ("outside a, silent, silent", "no: db runs on m1, but no member is in a cluster with a majority"),
        ("starting, a:9, a:9 last", "no: db runs on m1, but no member is in a cluster with a majority"),
        ("starting, a:9, silent", "no: m1 starts and does not answer, and may be joining m3, which cannot be asked"),
    ];
    check(false, None, true, table);
    // A choice that was left over decides nothing.
    check(false, Some("m1"), true, table);
}

#[test]
fn what_may_settle_is_waited_for() {
    let table = &[
        ("outside a, outside a, outside a", "wait"),
        ("starting, a:9, silent", "wait"),
        ("stopping, a:9, a:8", "wait"),
        ("serving a 2, serving a 2, outside a", "wait"),
        ("serving a 1, serving a 2, serving a 2", "wait"),
        // Not these.
        ("serving a 2, serving a 2, starting", "join"),
        ("stopping, a:9, alive", "no: m3 cannot be asked, but its db answers other hosts: it may serve"),
        ("a:7, a:7, a:7 last", "m3: it stopped last"),
    ];
    check(false, None, false, table);
    check(true, None, false, table);
    check(true, Some("m1"), false, &table[..4]);
}

#[test]
fn what_a_recovery_decides() {
    check(
        true,
        None,
        true,
        &[
            ("empty, empty, empty", "no: no member of db has data to recover from"),
            ("empty, crashed a, empty", "m2: it alone has data"),
            ("empty, crashed -, empty", "m2 anew: it alone has data"),
            ("a:5, a:6, a:7 last", "m3: it stopped last"),
            // Crashed ones are asked first, and positions come before marks.
            ("crashed a, crashed a, crashed a", "ask m1 m2 m3"),
            ("a:5 last, crashed a, crashed a a:9", "ask m2"),
            ("a:5 last, crashed a a:9, crashed a a:8", "m2: its data got furthest, to 9"),
            ("a:9 last, crashed a a:9, crashed a a:8", "m1: it stopped last"),
            ("crashed a a:42, crashed a a:42, empty", "m1: its data got furthest, to 42"),
            // In the middle of a change of tables, and in that of a copy, which has no position of its own.
            ("a:5, crashed - a:9, a:6 last", "m2: its data got furthest, to 9"),
            ("a:5, crashed - -:-1, a:6 last", "m3: it stopped last"),
            ("crashed - -:-1, crashed - -:-1, empty", "no: several members have data of no cluster: m1, m2"),
            (
                "crashed a a:5, crashed - b:6, empty",
                "no: the members' data are of different clusters: m1 of a, m2 of b",
            ),
            (
                "bare, crashed a a:5, crashed a a:5",
                "no: m1 has data of no cluster beside others that have: a restored backup?",
            ),
            // Those that run outside of any cluster are stopped and asked.
            ("outside a, outside a, outside a", "ask m1 m2 m3"),
            ("outside a, a:9, crashed a", "ask m1 m3"),
            ("starting, a:9, a:9 last", "ask m1"),
            // Nothing is touched beside a cluster, or one that may be there.
            ("serving a 1, crashed a, crashed a", "join"),
            ("serving a 1, outside a, crashed a", "join, m2 again"),
            ("outside a, crashed a, alive", "no: m3 cannot be asked, but its db answers other hosts: it may serve"),
            (
                "starting, crashed a, silent",
                "no: m1 starts and does not answer, and may be joining m3, which cannot be asked",
            ),
            ("outside a, silent, silent", "no: 1 of 3 members that may have data can be asked: m2, m3 may be alive"),
            ("outside a, crashed a, silent", "no: cannot tell which db has the newest data: m3 cannot be asked"),
        ],
    );
}

#[test]
fn what_the_operator_may_choose() {
    check(
        true,
        Some("m1"),
        true,
        &[
            // What would be decided without a choice is done as it would be.
            ("a:9, a:8, empty", "m1: chosen by the operator"),
            ("crashed a, empty, empty", "m1: chosen by the operator"),
            ("crashed a a:9, crashed a a:8, empty", "m1: chosen by the operator"),
            // Otherwise it is a new history: rows that others have are lost, and they are not to go on as if they were not.
            ("a:8, a:9 last, empty", "m1 forks: chosen by the operator"),
            ("crashed a, crashed a, crashed a", "m1 forks: chosen by the operator"),
            ("a:5, b:6, b:6", "m1 forks: chosen by the operator"),
            ("a:9, a:8, silent", "m1 forks: chosen by the operator"),
            ("bare, a:8, a:9", "m1 anew: chosen by the operator"),
            ("bare, bare, empty", "m1 anew: chosen by the operator"),
            ("outside a, crashed a, silent", "ask m1"),
            ("a:9, outside a, silent", "ask m2"),
            // No choice overrides these.
            ("a:9, silent, silent", "no: 1 of 3 members that may have data can be asked: m2, m3 may be alive"),
            ("a:9, silent", "no: 1 of 2 members that may have data can be asked: m2 may be alive"),
            ("a:9, a:9, alive", "no: m3 cannot be asked, but its db answers other hosts: it may serve"),
            (
                "a:9, starting, silent",
                "no: m2 starts and does not answer, and may be joining m3, which cannot be asked",
            ),
            ("a:9, serving a 1, silent", "join"),
            ("a:9, serving b 1, crashed a", "join"),
            (
                "serving a 1, serving b 2, serving b 2",
                "no: several clusters of db run at once: m1 in a with 1 member, m2 in b with 2 members, m3 in b with 2 members",
            ),
            ("silent, a:9, a:9", "no: m1, which was chosen, cannot be asked"),
            ("empty, a:9, a:9", "no: m1, which was chosen, has no data"),
        ],
    );
    check(true, Some("m9"), true, &[("a:9, a:8, a:8", "no: `db_choice` is `m9`, which is no member")]);
}

/// What three members of Galera 26.4 wrote as they were stopped one after the other, as seen of real ones: each leave is
/// an event of its own, so that the last one is the furthest even where nothing was written.
#[test]
fn every_order_of_clean_stops_starts_from_the_last() {
    for (order, [first, second, third]) in [
        ([1, 2, 3], ["a:7", "a:9", "a:11 last"]),
        ([1, 3, 2], ["a:15", "a:19 last", "a:17"]),
        ([2, 1, 3], ["a:25", "a:23", "a:27 last"]),
        ([2, 3, 1], ["a:35 last", "a:31", "a:33"]),
        ([3, 1, 2], ["a:41", "a:43 last", "a:39"]),
        ([3, 2, 1], ["a:51 last", "a:49", "a:47"]),
    ] {
        let members = members(&[first, second, third].join(", "));
        for recover in [false, true] {
            let outcome = decide(&Case { words: WORDS, members: &members, recover, chosen: None, waited: true });
            assert_eq!(say(&outcome), format!("m{}: it stopped last", order[2]), "{order:?}");
        }
    }
}

/// Every three members in every state: never a start beside one that may be alive, never from older data, and always an
/// answer.
#[test]
fn the_two_rules_hold_whatever_members_say() {
    let all = [
        "silent",
        "alive",
        "stopping",
        "starting",
        "serving a 1",
        "serving a 3",
        "serving b 1",
        "outside a",
        "outside -",
        "empty",
        "bare",
        "a:5",
        "a:5 last",
        "a:7",
        "b:6",
        "crashed a",
        "crashed -",
        "crashed a a:5",
        "crashed a a:9",
        "crashed - -:-1",
        "crashed - b:6",
    ];
    let mut starts = 0;
    for one in all {
        for two in all {
            for three in all {
                let members = members(&[one, two, three].join(", "));
                for (recover, chosen, waited) in [
                    (false, None, false),
                    (false, None, true),
                    (false, Some("m1"), true),
                    (true, None, false),
                    (true, None, true),
                    (true, Some("m1"), true),
                ] {
                    let case = Case { words: WORDS, members: &members, recover, chosen, waited };
                    let Ok(Decision::Start { host, history, .. }) = decide(&case) else { continue };
                    starts += 1;
                    let told =
                        format!("{one}, {two}, {three}, recovery {recover}, chosen {chosen:?}: {host} {history:?}");
                    let has = |of: &dyn Fn(&Member) -> bool| members.iter().filter(|(_, member)| of(member)).count();
                    assert_eq!(
                        has(&|member| member.runs() || matches!(member, Member::Serving { .. } | Member::Alive)),
                        0,
                        "{told}"
                    );
                    let (silent, empty) = (has(&|it| *it == Member::Silent), has(&|it| *it == Member::Empty));
                    assert!(silent == 0 || recover && chosen.is_some() && 2 * silent < 3 - empty, "{told}");
                    if silent > 0 {
                        assert_ne!(history, History::Continued, "{told}");
                    }
                    if history == History::Continued && empty < 2 {
                        let progress = |member: &Member| member.progress().map(|(seqno, _)| seqno);
                        let (_, started) = members.iter().find(|(name, _)| *name == host).unwrap();
                        for (_, other) in &members {
                            assert!(!matches!(other, Member::Crashed { found: None, .. } | Member::Bare), "{told}");
                            assert!(progress(other) <= progress(started), "{told}");
                            assert!(other.cluster().is_none_or(|other| Some(other) == started.cluster()), "{told}");
                        }
                    }
                }
            }
        }
    }
    assert!(starts > 500, "only {starts} starts: the table tries too little");
}
