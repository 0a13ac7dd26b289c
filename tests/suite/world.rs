//! What hosts in memory have to answer so that operations can be tried twice in a row: the effect of the scripts
//! that operations send, a database, a message queue, and programs in containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use kolla::host::fake::{Fake, FakeFile, World};
use kolla::host::{HttpAnswer, HttpAsk, Output, sysctl_path};
use regex::Regex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The id that a published image of this content has.
pub(super) fn image_id(content: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(format!("id of {content}"))))
}

/// Teaches a host all of it.
pub(super) fn teach(fake: &Fake) {
    fake.on_run(|world, script, _| script_effect(world, script).then(Output::default));
    fake.on_run(|world, script, _| systemd(world, script));
    let database = Mutex::new(Database::default());
    let made = Mutex::new(BTreeSet::new());
    fake.on_exec(move |_, _, argv, stdin| {
        if argv.first().is_some_and(|program| program == "mariadb") {
            let statements = format!("{}{}", String::from_utf8_lossy(stdin), argv.join(" "));
            return Some(database.lock().unwrap().answer(&statements));
        }
        match argv.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["touch", path] => {
                made.lock().unwrap().insert(path.to_owned());
                Some(Output::default())
            }
            ["test", "-e", path] => {
                Some(Output { code: u32::from(!made.lock().unwrap().contains(path)), ..Output::default() })
            }
            ["false"] => Some(Output { code: 1, stderr: "it is broken\n".into(), ..Output::default() }),
            _ => None,
        }
    });
    let queue = Arc::new(Mutex::new(Queue::default()));
    fake.on_http(move |world, ask| {
        (ask.port == 15672 && world.running("rabbitmq")).then(|| queue.lock().unwrap().answer(ask))
    });
}

/// Keystone, as it is asked at a port of its own.
pub(super) fn keystone(fake: &Fake) -> Arc<Mutex<Keystone>> {
    let keystone = Arc::new(Mutex::new(Keystone::default()));
    let answers = keystone.clone();
    fake.on_http(move |_, ask| (ask.port == 5000).then(|| answers.lock().unwrap().answer(ask)));
    keystone
}

fn unquoted(word: &str) -> String {
    word.replace('\'', "")
}

/// Scripts beyond the plain commands that a host in memory understands by itself.
fn script_effect(world: &mut World, script: &str) -> bool {
    if script.contains("/proc/sys/") {
        let setting = Regex::new(r"\|\| echo (.+) > (\S+)").unwrap();
        for found in setting.captures_iter(script) {
            let path = unquoted(&found[2]);
            let path = path.trim_start_matches("/proc/sys/");
            // A parameter that the kernel does not have is passed over.
            if let Some((_, value)) = world.sysctls.iter_mut().find(|(name, _)| sysctl_path(name) == path) {
                *value = unquoted(&found[1]);
            }
        }
        return true;
    }
    if let Some(found) = Regex::new("force-confold install (.+)").unwrap().captures(script) {
        for name in found[1].split_whitespace().map(unquoted) {
            world.packages.insert(name, "1.0".into());
        }
        return true;
    }
    if let Some(found) = Regex::new(r"(?s)^cp -p (\S+) \S+ && printf %s '(.*)' > \S+ && sync").unwrap().captures(script)
    {
        world.put(&unquoted(&found[1]), FakeFile::new(found[2].as_bytes(), 0o660, "root:root"));
        return true;
    }
    if script.contains("cp -p") {
        let named = |pattern: &str| unquoted(&Regex::new(pattern).unwrap().captures(script).unwrap()[1]);
        let (to, from) = (named(r"mkdir -p (\S+)"), named(r"cd (\S+)"));
        let inside = format!("{to}/");
        world.files.retain(|path, _| !path.starts_with(&inside));
        for name in named("for f in (.*?); do cp").split_whitespace() {
            if let Some(file) = world.files.get(&format!("{from}/{name}")).cloned() {
                world.put(&format!("{to}/{name}"), file);
            }
        }
        return true;
    }
    if script.starts_with("rm -rf") && script.contains("[0-9a-f]") {
        let first = script.lines().next().unwrap_or_default();
        for word in first.split_whitespace().skip(2).map(unquoted) {
            let pattern = regex::escape(&word).replace(r"\[0\-9a\-f\]", "[0-9a-f]");
            let pattern = Regex::new(&format!("^{pattern}(/.*)?$")).unwrap();
            world.files.retain(|path, _| !pattern.is_match(path));
        }
        return true;
    }
    false
}

/// systemd with an engine: that does not start with a file that says `broken`, and finds one that says `invalid` to be so.
fn systemd(world: &mut World, script: &str) -> Option<Output> {
    let named = |pattern: &str| Regex::new(pattern).unwrap().captures(script).map(|found| unquoted(&found[1]));
    let says = |world: &World, path: &str, word: &str| {
        String::from_utf8_lossy(&world.content(path).unwrap_or_default()).contains(word)
    };
    let failed = |stderr: String| Output { code: 1, stderr, ..Output::default() };
    if let Some(path) = named(r"^dockerd --validate --config-file (\S+)") {
        let invalid = says(world, &path, "invalid");
        let folder = named(r"rm -rf -- (\S+)").unwrap();
        world.files.retain(|path, _| !path.starts_with(&folder));
        return Some(if invalid { failed(format!("the file {path} is not valid\n")) } else { Output::default() });
    }
    if let Some(name) = named(r"systemctl restart (\S+)") {
        let broken = says(world, "/etc/docker/daemon.json", "broken");
        // Who failed too often has to be forgiven first.
        let forgiven = script.find("reset-failed").is_some_and(|at| script[at..].contains(&name));
        let down = broken || !forgiven;
        world.facts.engine = !down;
        world.units.insert(name, if down { "failed" } else { "active" }.into());
        return Some(if down { failed("Job for docker.service failed.\n".into()) } else { Output::default() });
    }
    script.starts_with("journalctl").then(|| Output { stdout: b"no such option\n".to_vec(), ..Output::default() })
}

/// As much of a database as steps can see.
#[derive(Default)]
struct Database {
    schemas: BTreeSet<String>,
    users: BTreeSet<String>,
    receipts: BTreeMap<String, String>,
    /// The schema of receipts is there.
    noted: bool,
    /// It undid a change once.
    undid: bool,
}

impl Database {
    fn answer(&mut self, statements: &str) -> Output {
        let all = |pattern: &str| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.captures_iter(statements).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        };
        if statements.contains("wsrep_cluster_status") {
            let size = "wsrep_cluster_size\t3\nwsrep_cluster_state_uuid\ta-b\n";
            return rows(format!("wsrep_cluster_status\tPrimary\n{size}"));
        }
        if statements.contains("SELECT 'schema'") {
            let mut text = String::new();
            for name in &self.schemas {
                let _ = writeln!(text, "schema\t{name}");
            }
            for name in &self.users {
                let _ = writeln!(text, "user\t{name}");
            }
            for (step, digest) in &self.receipts {
                let _ = writeln!(text, "receipt\t{step}\t{digest}");
            }
            return rows(text);
        }
        if !std::mem::replace(&mut self.undid, true) {
            return refusal(
                "ERROR 1213 (40001) at line 2: Deadlock found when trying to get lock; try restarting transaction",
            );
        }
        self.noted |= statements.contains("CREATE DATABASE IF NOT EXISTS kolla;");
        if statements.contains("kolla.receipt") && !self.noted {
            return refusal("ERROR 1049 (42000) at line 1: Unknown database 'kolla'");
        }
        self.schemas.extend(all("CREATE DATABASE IF NOT EXISTS `([^`]+)`"));
        self.users.extend(all("CREATE USER IF NOT EXISTS '([^']+)'@'%'"));
        let receipt = Regex::new(r"REPLACE INTO kolla.receipt .* VALUES \('([^']+)', '([^']+)'\)").unwrap();
        self.receipts.extend(receipt.captures_iter(statements).map(|found| (found[1].to_owned(), found[2].to_owned())));
        Output::default()
    }
}

fn refusal(text: &str) -> Output {
    Output { code: 1, stderr: format!("{text}\n"), ..Output::default() }
}

fn rows(text: String) -> Output {
    Output { stdout: text.into_bytes(), ..Output::default() }
}

/// As much of a message queue's management as steps can see.
#[derive(Default)]
struct Queue {
    vhosts: BTreeSet<String>,
    users: BTreeMap<String, Value>,
    permissions: BTreeMap<(String, String), Value>,
}

impl Queue {
    fn answer(&mut self, ask: &HttpAsk) -> HttpAnswer {
        let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
        let path = ask.path.replace("%2F", "/");
        if ask.method == "GET" {
            let found = match path.trim_start_matches("/api/").split_once('/') {
                None => Some(json!({
                    "vhosts": self.vhosts.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
                    "users": self.users.values().collect::<Vec<_>>(),
                    "permissions": self.permissions.values().collect::<Vec<_>>(),
                })),
                Some(("vhosts", name)) => self.vhosts.get(name).map(|name| json!({ "name": name })),
                Some(("users", name)) => self.users.get(name).cloned(),
                Some((_, rest)) => {
                    let id = rest.rsplit_once('/').map(|(vhost, user)| (vhost.to_owned(), user.to_owned()));
                    id.and_then(|id| self.permissions.get(&id).cloned())
                }
            };
            let status = if found.is_some() { 200 } else { 404 };
            let body = found.map(|found| found.to_string().into_bytes()).unwrap_or_default();
            return HttpAnswer { status, body, ..HttpAnswer::default() };
        }
        if let Some(vhost) = path.strip_prefix("/api/vhosts/") {
            self.vhosts.insert(vhost.to_owned());
        } else if let Some(user) = path.strip_prefix("/api/users/") {
            let salt = *b"salt";
            let password = body["password"].as_str().unwrap_or_default();
            let digest = Sha256::digest([salt.as_slice(), password.as_bytes()].concat());
            let hash = base64::engine::general_purpose::STANDARD.encode([salt.as_slice(), digest.as_slice()].concat());
            let tags: Vec<&str> = body["tags"].as_str().unwrap_or_default().split(',').collect();
            let known = json!({ "name": user, "password_hash": hash, "tags": tags });
            self.users.insert(user.to_owned(), known);
        } else if let Some((vhost, user)) = path.strip_prefix("/api/permissions/").and_then(|p| p.rsplit_once('/')) {
            let mut known = body.clone();
            known["vhost"] = vhost.into();
            known["user"] = user.into();
            self.permissions.insert((vhost.to_owned(), user.to_owned()), known);
        }
        HttpAnswer { status: 204, ..HttpAnswer::default() }
    }
}

/// As much of Keystone as steps can see: objects by kind, each with an id, and who has which role where.
#[derive(Default)]
pub(super) struct Keystone {
    pub(super) objects: BTreeMap<String, Vec<Value>>,
    pub(super) granted: BTreeSet<String>,
    /// Kinds of objects of which another service makes the next one just before.
    pub(super) rivals: BTreeSet<String>,
    /// Answers to changes that get lost on their way, in turns.
    pub(super) loses: bool,
    lost: bool,
}

impl Keystone {
    fn answer(&mut self, ask: &HttpAsk) -> HttpAnswer {
        let answer = self.answered(ask);
        self.lost = self.loses && !self.lost && !ask.path.ends_with("/auth/tokens");
        if self.lost { HttpAnswer { status: 502, ..HttpAnswer::default() } } else { answer }
    }

    fn answered(&mut self, ask: &HttpAsk) -> HttpAnswer {
        let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
        let json =
            |status, value: Value| HttpAnswer { status, body: value.to_string().into_bytes(), ..HttpAnswer::default() };
        let path = ask.path.trim_start_matches("/v3/");
        if path == "auth/tokens" {
            let headers = BTreeMap::from([("x-subject-token".to_owned(), "token".to_owned())]);
            // Another service, whose objects are with those of Keystone.
            let endpoint =
                json!({ "interface": "internal", "region_id": "RegionOne", "url": "http://10.0.0.250:5000/v3" });
            let catalog = json!([{ "type": "volumev3", "name": "cinderv3", "endpoints": [endpoint] }]);
            let body = json!({ "token": { "project": { "id": "p" }, "catalog": catalog } }).to_string().into_bytes();
            return HttpAnswer { status: 201, headers, body };
        }
        if !ask.headers.contains(&("x-auth-token".into(), "token".into())) {
            return json(401, Value::Null);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some((grants, role)) = path.rsplit_once("/roles").filter(|(grants, _)| !grants.is_empty()) {
            if ask.method == "PUT" {
                self.granted.insert(format!("{grants}{role}"));
                return HttpAnswer { status: 204, ..HttpAnswer::default() };
            }
            let ids = self.granted.iter().filter_map(|grant| grant.strip_prefix(&format!("{grants}/")));
            return json(200, json!({ "roles": ids.map(|id| json!({ "id": id })).collect::<Vec<_>>() }));
        }
        let (kind, id) = path.split_once('/').unwrap_or((path, ""));
        let objects = self.objects.entry(kind.to_owned()).or_default();
        let inner = body.as_object().and_then(|body| body.values().next().cloned()).unwrap_or_default();
        match ask.method.as_str() {
            "POST" => {
                let mut made = inner;
                made["id"] = format!("{kind}{}", objects.len()).into();
                objects.push(made.clone());
                if self.rivals.remove(kind) {
                    return json(409, json!({ "error": { "message": "duplicate entry" } }));
                }
                json(201, json!({ "made": made }))
            }
            "PATCH" => {
                let found = objects.iter_mut().find(|object| object["id"] == id).unwrap();
                found.as_object_mut().unwrap().extend(inner.as_object().unwrap().clone());
                json(200, json!({ "changed": found }))
            }
            _ => {
                let wanted: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
                let fits = |object: &&Value| wanted.iter().all(|(key, value)| object[*key] == *value);
                json(200, json!({ "links": {}, kind: objects.iter().filter(fits).collect::<Vec<_>>() }))
            }
        }
    }
}
