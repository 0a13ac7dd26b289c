//! The ways that a container may go, each to be gone with a fault at every order.

use serde_json::{Value, json};

/// A way that a container may go, from how it is to how it is wanted.
pub(super) struct Path {
    pub(super) name: &'static str,
    /// The table that has its base.
    pub(super) table: &'static str,
    /// What was applied before, one after the other.
    pub(super) given: Vec<Value>,
    /// Acts on containers since: `stop web`.
    pub(super) acts: &'static [&'static str],
    /// What is being applied when the fault happens.
    pub(super) op: Value,
    /// What the run after it wants; the same where it is absent.
    pub(super) then: Option<Value>,
    /// The second image is no good, and a process refuses the second files.
    pub(super) bad: bool,
    /// In the end: state and image of the container, none where it is gone.
    pub(super) ends: Option<(&'static str, &'static str)>,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            name: "",
            table: "container.yml",
            given: vec![json!({})],
            acts: &[],
            op: json!({}),
            then: None,
            bad: false,
            ends: Some(("running", "v2")),
        }
    }
}

/// The name of what a container takes over from.
pub(super) const SEED: &str = "web_seed";

/// What the load balancer was told, and what it says.
fn balanced(judge: bool) -> Value {
    let mut balanced = json!({
        "container": "haproxy", "ask": ["ask"], "tell": ["tell"], "others": true, "backend": "web", "server": "control01",
    });
    if judge {
        balanced["judge"] = "judge".into();
    }
    balanced
}

fn v2() -> Value {
    json!({ "spec": { "image": "reg/web:2" } })
}

fn with(mut base: Value, key: &str, value: Value) -> Value {
    base[key] = value;
    base
}

fn reloaded() -> Value {
    json!({ "configuration": "bbbbbbbbbbbb", "reload": { "set": "/etc/kolla/.sets/web-bbbbbbbbbbbb", "files": { "web.conf": "b" } } })
}

/// All of them.
pub(super) fn paths() -> Vec<Path> {
    let named = |name, path: Path| Path { name, ..path };
    let balance = |judge: bool, base: Value| with(base, "balanced", balanced(judge));
    let seeded = |base: Value| with(base, "takes_over_from", SEED.into());
    let seed = json!({ "spec": { "name": SEED, "restart": false } });
    let remove = json!({ "want": "absent", "before_remove": ["touch", "/ended"] });
    let stop = json!({ "want": "stopped" });
    let reload_v2 = || with(reloaded(), "spec", json!({ "image": "reg/web:2" }));
    let first = |path: Path| Path { given: Vec::new(), ..path };
    let of_reload = |path: Path| Path { table: "reload.yml", ..path };
    vec![
        named("first create", first(Path { ends: Some(("running", "v1")), ..Path::default() })),
        named("first create, then another one wanted", first(Path { then: Some(v2()), ..Path::default() })),
        named("start", Path { acts: &["stop web"], ends: Some(("running", "v1")), ..Path::default() }),
        named("replace", Path { op: v2(), ..Path::default() }),
        named(
            "replace, then the old one wanted",
            Path { op: v2(), then: Some(json!({})), ends: Some(("running", "v1")), ..Path::default() },
        ),
        named(
            "replace, then a third one wanted",
            Path {
                op: v2(),
                then: Some(json!({ "spec": { "image": "reg/web:2", "env": { "A": "3" } } })),
                ..Path::default()
            },
        ),
        named(
            "replace by one that is no good",
            Path { op: v2(), bad: true, ends: Some(("running", "v1")), ..Path::default() },
        ),
        named(
            "replace by one that is no good, then the old one wanted",
            Path { op: v2(), then: Some(json!({})), bad: true, ends: Some(("running", "v1")), ..Path::default() },
        ),
        named("replace one that starts over and over", Path { op: v2(), acts: &["crash web"], ..Path::default() }),
        named(
            "replace one that starts over and over by one that is no good",
            Path { op: v2(), acts: &["crash web"], bad: true, ends: Some(("running", "v1")), ..Path::default() },
        ),
        named("replace one that was stopped", Path { op: v2(), acts: &["stop web"], ..Path::default() }),
        named(
            "replace, then stop",
            Path { op: v2(), then: Some(stop.clone()), ends: Some(("exited", "")), ..Path::default() },
        ),
        named("replace, then destroy", Path { op: v2(), then: Some(remove.clone()), ends: None, ..Path::default() }),
        named("reload", of_reload(Path { op: reloaded(), ends: Some(("running", "v1")), ..Path::default() })),
        named(
            "reload, then the old files wanted",
            of_reload(Path { op: reloaded(), then: Some(json!({})), ends: Some(("running", "v1")), ..Path::default() }),
        ),
        named(
            "reload that fails",
            of_reload(Path { op: reloaded(), bad: true, ends: Some(("running", "v1")), ..Path::default() }),
        ),
        named(
            "reload that fails, then the old files wanted",
            of_reload(Path {
                op: reloaded(),
                then: Some(json!({})),
                bad: true,
                ends: Some(("running", "v1")),
                ..Path::default()
            }),
        ),
        named("replace one that reloads", of_reload(Path { op: reload_v2(), ..Path::default() })),
        named(
            "replace one that reloads by one that is no good",
            of_reload(Path { op: reload_v2(), bad: true, ends: Some(("running", "v1")), ..Path::default() }),
        ),
        named(
            "start one that reloads, with new files",
            of_reload(Path { op: reloaded(), acts: &["stop web"], ends: Some(("running", "v1")), ..Path::default() }),
        ),
        named("balanced", Path { given: vec![balance(false, json!({}))], op: balance(false, v2()), ..Path::default() }),
        named(
            "balanced, by one that is no good",
            Path {
                given: vec![balance(false, json!({}))],
                op: balance(false, v2()),
                bad: true,
                ends: Some(("running", "v1")),
                ..Path::default()
            },
        ),
        named(
            "balanced, then the old one wanted",
            Path {
                given: vec![balance(false, json!({}))],
                op: balance(false, v2()),
                then: Some(balance(false, json!({}))),
                ends: Some(("running", "v1")),
                ..Path::default()
            },
        ),
        named(
            "judged",
            Path {
                given: vec![json!({ "spec": { "name": "judge" } }), balance(true, json!({}))],
                op: balance(true, v2()),
                ..Path::default()
            },
        ),
        named(
            "judge",
            Path {
                given: vec![json!({ "spec": { "name": "judge" } }), balance(true, json!({}))],
                op: json!({ "spec": { "name": "judge", "image": "reg/web:2" } }),
                ends: Some(("running", "v1")),
                ..Path::default()
            },
        ),
        named(
            "take over, a first one",
            Path { given: vec![seed.clone()], op: seeded(json!({})), ends: Some(("running", "v1")), ..Path::default() },
        ),
        named(
            "take over by one that is stopped",
            Path {
                given: vec![json!({}), seed.clone()],
                op: seeded(json!({})),
                acts: &["stop web", "start web_seed"],
                ends: Some(("running", "v1")),
                ..Path::default()
            },
        ),
        named(
            "take over by a new one",
            Path {
                given: vec![json!({}), seed.clone()],
                op: seeded(v2()),
                acts: &["stop web", "start web_seed"],
                ..Path::default()
            },
        ),
        named(
            "take over by a new one that is no good",
            Path {
                given: vec![json!({}), seed.clone()],
                op: seeded(v2()),
                acts: &["stop web", "start web_seed"],
                bad: true,
                ends: Some(("", "v1")),
                ..Path::default()
            },
        ),
        named("stop", Path { op: stop.clone(), ends: Some(("exited", "v1")), ..Path::default() }),
        named(
            "stop, then deploy",
            Path { op: stop.clone(), then: Some(json!({})), ends: Some(("running", "v1")), ..Path::default() },
        ),
        named("stop, then deploy another one", Path { op: stop.clone(), then: Some(v2()), ..Path::default() }),
        named("stop, then destroy", Path { op: stop, then: Some(remove.clone()), ends: None, ..Path::default() }),
        named("destroy", Path { op: remove.clone(), ends: None, ..Path::default() }),
        named(
            "destroy one that was stopped",
            Path { op: remove.clone(), acts: &["stop web"], ends: None, ..Path::default() },
        ),
        named("destroy, then deploy another one", Path { op: remove, then: Some(v2()), ..Path::default() }),
    ]
}
