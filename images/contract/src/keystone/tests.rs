use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use super::folder::{Change, Held, Keys};
use super::secret::{Key, is_key};
use super::*;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCD";
const NOW: u64 = 20370 * 86400 + 5;

fn secret(text: &str) -> Secret {
    serde_json::from_value(json!(text)).unwrap()
}

fn rotation(interval: u64, lifetime: u64) -> Rotation {
    serde_json::from_value(json!({"folder": "/none", "interval": interval, "lifetime": lifetime})).unwrap()
}

/// A key that does not come from the secret.
fn foreign(number: u8) -> Key {
    secret(&format!("{SECRET}{number}")).fernet(0).unwrap()
}

fn foreign_keys(numbers: impl IntoIterator<Item = u64>) -> Keys {
    numbers.into_iter().map(|n| (n, Held { key: foreign(u8::try_from(n % 256).unwrap()), written: 7 })).collect()
}

fn change(keys: &mut Keys, change: &Change, now: u64) {
    match change {
        Change::Write(number, key, _) => drop(keys.insert(*number, Held { key: key.clone(), written: now })),
        Change::Remove(number) => drop(keys.remove(number).unwrap()),
    }
}

/// Rounds until nothing is left. `see` gets what Keystone may see after each change: it listed the folder before the
/// round or just now, and reads what has those names now.
fn settle(rotation: &Rotation, from: &str, keys: &mut Keys, now: u64, mut see: impl FnMut(&Keys)) {
    for round in 0.. {
        assert!(round < 5, "it does not come to an end");
        let changes = rotation.changes(&secret(from), keys, now).unwrap();
        if changes.is_empty() {
            return;
        }
        let listed = keys.clone();
        for one in changes {
            change(keys, &one, now);
            see(keys);
            see(&keys.iter().filter(|(n, _)| listed.contains_key(n)).map(|(n, held)| (*n, held.clone())).collect());
        }
    }
}

fn primary(keys: &Keys) -> Key {
    keys.last_key_value().unwrap().1.key.clone()
}

fn has(keys: &Keys, key: &Key) -> bool {
    keys.values().any(|held| held.key == *key)
}

/// Hosts whose clocks differ. Each issues tokens with every primary it ever has, and must know those of all others.
struct World {
    rotation: Rotation,
    lifetime: u64,
    now: u64,
    /// How far each host's clock is ahead, and its folder.
    hosts: Vec<(u64, Keys)>,
    /// When each key last encrypted a token.
    tokens: BTreeMap<Key, u64>,
}

impl World {
    fn new(interval: u64, lifetime: u64, ahead: &[u64]) -> Self {
        let hosts = ahead.iter().map(|ahead| (*ahead, Keys::new())).collect();
        let mut world =
            Self { rotation: rotation(interval, lifetime), lifetime, now: 100_000, hosts, tokens: BTreeMap::new() };
        (0..ahead.len()).for_each(|host| world.join(host));
        world
    }

    /// A host without keys gets all of them before its Keystone starts.
    fn join(&mut self, host: usize) {
        let (ahead, keys) = &mut self.hosts[host];
        settle(&self.rotation, SECRET, keys, self.now + *ahead, |_| {});
        self.see(host, None);
    }

    fn see(&mut self, host: usize, listed: Option<&Keys>) {
        let (_, keys) = &self.hosts[host];
        let seen: Vec<&Key> = keys
            .iter()
            .filter(|(number, _)| listed.is_none_or(|listed| listed.contains_key(number)))
            .map(|(_, held)| &held.key)
            .collect();
        self.tokens.insert((*seen.last().unwrap()).clone(), self.now);
        for (key, issued) in &self.tokens {
            let alive = issued + self.lifetime >= self.now;
            assert!(!alive || seen.contains(&key), "host {host} at {} lacks a key of {issued}", self.now);
        }
    }

    /// One second, one round a host. The first host ends after `survives` changes of it.
    fn second(&mut self, survives: usize) {
        self.now += 1;
        for host in 0..self.hosts.len() {
            let (ahead, keys) = &self.hosts[host];
            let (clock, listed) = (self.now + ahead, keys.clone());
            let changes = self.rotation.changes(&secret(SECRET), keys, clock).unwrap();
            for one in changes.iter().take(if host == 0 { survives } else { usize::MAX }) {
                change(&mut self.hosts[host].1, one, clock);
                self.see(host, None);
                self.see(host, Some(&listed));
            }
            self.see(host, None);
        }
    }
}

/// Folders of one host.
struct Case {
    root: TempDir,
    settings: Settings,
}

impl Case {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (fernet, credential) = (root.path().join("fernet"), root.path().join("credential"));
        fs::create_dir(&fernet).unwrap();
        fs::create_dir(&credential).unwrap();
        let fernet = json!({"folder": fernet, "interval": 86400, "lifetime": 86400});
        let settings = json!({"secret": SECRET, "fernet": fernet, "credential": {"folder": credential}});
        Self { root, settings: serde_json::from_value(settings).unwrap() }
    }

    fn settle(&self, now: u64) {
        let rounds = (0..5).take_while(|_| self.settings.round(now).unwrap()).count();
        assert!(rounds < 5, "it does not come to an end");
    }

    fn files(&self, folder: &str) -> BTreeMap<String, String> {
        let entries = fs::read_dir(self.root.path().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        entries.filter(|path| path.is_file()).map(|p| (name(&p), fs::read_to_string(&p).unwrap())).collect()
    }
}

#[test]
fn keys_are_those_that_another_program_derives() {
    // Made with Python's `hmac` and `hashlib`, by RFC 5869.
    let secret = secret(SECRET);
    let text = |key: Result<Key>| String::from_utf8(key.unwrap()).unwrap();
    assert_eq!(text(secret.fernet(20370)), "KBlolM6v0LnTrg41OWmHWeDEuNjcrZYMwNFtPwbWTb8=");
    assert_eq!(text(secret.fernet(20371)), "GmM7ZpDYAKQP6IK8Wo8eebpOmSQdOuuXo14J_9cr-Cc=");
    assert_eq!(text(secret.credential(0)), "lOs0zv2VOm7adRFKwQxs2OBQz4Clv1Ie19FXo0s7wVo=");
    assert_eq!(text(secret.credential(1)), "RVLWpiUIJaTyJ9UyvPGb6SqDhMHPZeFQkR9Zq8kf-zI=");
    assert!((0..100).all(|epoch| is_key(&secret.fernet(epoch).unwrap())));
    assert!(!is_key(b"") && !is_key(b"KBlolM6v") && !is_key(&[b'A'; 43]));
}

#[test]
fn a_new_host_has_a_staged_a_primary_and_secondary_keys_that_only_it_can_read() {
    let case = Case::new();
    case.settle(NOW);
    let files = case.files("fernet");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["0", "20368", "20369", "20370"]);
    assert_eq!(files["20370"], "KBlolM6v0LnTrg41OWmHWeDEuNjcrZYMwNFtPwbWTb8=");
    assert_eq!(files["0"], "GmM7ZpDYAKQP6IK8Wo8eebpOmSQdOuuXo14J_9cr-Cc=");
    for name in ["fernet/0", "fernet/20370", "credential/0", "credential/1"] {
        assert_eq!(fs::metadata(case.root.path().join(name)).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    assert_eq!(fs::read_dir(case.root.path().join("fernet/.kolla-new")).unwrap().count(), 0);
    assert!(!case.settings.round(NOW + 60).unwrap());
}

#[test]
fn hosts_have_equal_keys_at_the_same_time() {
    let (one, other, late) = (Case::new(), Case::new(), Case::new());
    for day in 0..5 {
        one.settle(NOW + day * 86400);
        other.settle(NOW + day * 86400 + 1000);
        assert_eq!(one.files("fernet"), other.files("fernet"));
    }
    late.settle(NOW + 4 * 86400);
    assert_eq!(one.files("fernet"), late.files("fernet"));
    assert_eq!(one.files("credential"), late.files("credential"));
}

#[test]
fn a_token_is_valid_on_every_host_for_its_whole_life() {
    for (interval, lifetime) in [(20, 0), (20, 7), (20, 20), (20, 50), (50, 20)] {
        // The first of them by less than an interval: two rounds take two seconds.
        for ahead in [[0, 0, 0], [0, 1, 2], [0, interval / 2, interval - 3], [interval - 3, 0, 1]] {
            let mut world = World::new(interval, lifetime, &ahead);
            (0..200).for_each(|_| world.second(usize::MAX));
            world.hosts[1].1.clear();
            world.join(1);
            (0..100).for_each(|_| world.second(usize::MAX));
        }
    }
}

#[test]
fn a_host_that_dies_between_any_two_changes_has_all_keys_in_use() {
    for survives in 0..4 {
        for ahead in [[0, 16], [16, 0]] {
            let mut world = World::new(20, 50, &ahead);
            for second in 0..200 {
                world.second(if second % 2 == 0 { survives } else { usize::MAX });
            }
        }
    }
}

#[test]
fn a_host_that_was_away_knows_all_keys_again_at_once() {
    let mut world = World::new(20, 50, &[0, 5]);
    let old = world.hosts[0].1.clone();
    for away in [30, 100, 1000] {
        (0..away).for_each(|_| world.second(usize::MAX));
        world.hosts[0].1 = old.clone();
        world.join(0);
    }
}

#[test]
fn foreign_keys_stay_for_one_lifetime() {
    let day = 86400;
    for lifetime in [3600, day, 3 * day] {
        let rotation = rotation(day, lifetime);
        let mut keys = foreign_keys([0, 3, 4, 5]);
        let before = keys.clone();
        let all = |keys: &Keys| before.values().all(|held| has(keys, &held.key));
        let ours = secret(SECRET).fernet(20370).unwrap();
        settle(&rotation, SECRET, &mut keys, NOW, |keys| assert!(all(keys)));
        assert_eq!(primary(&keys), ours);
        let mut now = NOW;
        while now < NOW + lifetime {
            settle(&rotation, SECRET, &mut keys, now, |keys| assert!(all(keys)));
            assert!(all(&keys), "after {} s", now - NOW);
            now += 1800;
        }
        settle(&rotation, SECRET, &mut keys, NOW + lifetime + day, |_| {});
        assert!(before.values().all(|held| !has(&keys, &held.key)));
        let mut fresh = Keys::new();
        settle(&rotation, SECRET, &mut fresh, NOW + lifetime + day, |_| {});
        assert!(fresh.iter().all(|(number, held)| keys[number].key == held.key));
    }
}

#[test]
fn a_takeover_that_dies_after_any_change_goes_on_with_all_keys() {
    let rotation = rotation(86400, 86400);
    let before = foreign_keys([0, 1, 2]);
    for survives in 0..6 {
        let mut keys = before.clone();
        let changes = rotation.changes(&secret(SECRET), &keys, NOW).unwrap();
        changes.iter().take(survives).for_each(|one| change(&mut keys, one, NOW));
        let first = if survives == 0 { foreign(2) } else { secret(SECRET).fernet(20370).unwrap() };
        assert_eq!(primary(&keys), first);
        // Found again within the lifetime, in the next epoch.
        settle(&rotation, SECRET, &mut keys, NOW + 80000, |_| {});
        settle(&rotation, SECRET, &mut keys, NOW + 86399, |_| {});
        assert!(before.values().all(|held| has(&keys, &held.key)));
        assert!(survives == 0 || has(&keys, &first));
    }
}

#[test]
fn keys_above_or_in_place_of_ours_go_on_as_secondary() {
    let day = rotation(86400, 86400);
    let mut hourly = Keys::new();
    settle(&rotation(3600, 86400), SECRET, &mut hourly, NOW, |_| {});
    let mut other_secret = Keys::new();
    settle(&day, &SECRET.to_uppercase(), &mut other_secret, NOW, |_| {});
    let mut tomorrow = Keys::new();
    settle(&day, SECRET, &mut tomorrow, NOW + 3 * 86400, |_| {});
    for mut keys in [hourly, other_secret, tomorrow, foreign_keys([0, 1, 20369, 20370, 99_999])] {
        let before = keys.clone();
        let all = |keys: &Keys| before.values().all(|held| has(keys, &held.key));
        settle(&day, SECRET, &mut keys, NOW, |keys| assert!(all(keys)));
        settle(&day, SECRET, &mut keys, NOW + 86400, |keys| assert!(all(keys)));
        assert_eq!(primary(&keys), secret(SECRET).fernet(20371).unwrap());
        settle(&day, SECRET, &mut keys, NOW + 3 * 86400, |_| {});
        assert_eq!(keys.keys().copied().collect::<Vec<_>>(), [0, 20371, 20372, 20373]);
    }
}

#[test]
fn a_key_that_is_set_aside_later_stays_for_a_lifetime_too() {
    let rotation = rotation(3600, 86400);
    let mut keys = Keys::new();
    // After days of rotation someone rotates by hand.
    (0..72).for_each(|hour| settle(&rotation, SECRET, &mut keys, NOW + hour * 3600, |_| {}));
    let now = NOW + 71 * 3600 + 60;
    keys.insert(NOW / 3600 + 80, Held { key: foreign(1), written: now });
    settle(&rotation, SECRET, &mut keys, now, |keys| assert!(has(keys, &foreign(1))));
    settle(&rotation, SECRET, &mut keys, now + 86400, |keys| assert!(has(keys, &foreign(1))));
    assert_eq!(primary(&keys), secret(SECRET).fernet((now + 86400) / 3600).unwrap());
    settle(&rotation, SECRET, &mut keys, now + 86400 + 3600, |_| {});
    assert!(!has(&keys, &foreign(1)));
}

#[test]
fn what_is_no_key_is_not_kept() {
    let mut keys = Keys::from([(0, Held { key: Key::new(), written: NOW })]);
    settle(&rotation(86400, 86400), SECRET, &mut keys, NOW, |_| {});
    assert_eq!(keys.keys().copied().collect::<Vec<_>>(), [0, 20368, 20369, 20370]);
    assert!(keys.values().all(|held| is_key(&held.key)));
}

#[test]
fn credential_keys_are_never_replaced() {
    let (empty, theirs, cut) = (Case::new(), Case::new(), Case::new());
    empty.settle(NOW);
    let ours = empty.files("credential");
    assert_eq!(ours.keys().collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(ours["1"].as_bytes(), secret(SECRET).credential(1).unwrap());
    let first = credential::changes(&secret(SECRET), &Keys::new()).unwrap().remove(0);
    assert!(matches!(first, Change::Write(1, ..)));
    fs::write(theirs.root.path().join("credential/1"), "theirs").unwrap();
    theirs.settle(NOW);
    assert_eq!(theirs.files("credential"), BTreeMap::from([("1".to_owned(), "theirs".to_owned())]));
    // Killed between the two.
    fs::write(cut.root.path().join("credential/1"), &ours["1"]).unwrap();
    cut.settle(NOW);
    assert_eq!(cut.files("credential"), ours);
    empty.settle(NOW + 1000 * 86400);
    assert_eq!(empty.files("credential"), ours);
}

#[test]
fn files_that_are_no_numbers_are_left_alone() {
    let case = Case::new();
    for name in ["README", "007", "-1", "20370.bak"] {
        fs::write(case.root.path().join("fernet").join(name), "theirs").unwrap();
    }
    case.settle(NOW);
    assert_eq!(case.files("fernet").values().filter(|text| *text == "theirs").count(), 4);
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error_with_its_cause() {
    let case = Case::new();
    fs::write(case.root.path().join("fernet/.kolla-new"), "in the way").unwrap();
    let failure = case.settings.round(NOW).unwrap_err();
    assert!(failure.message.contains("fernet/20370: File exists"), "{}", failure.message);
    fs::remove_dir(case.root.path().join("credential")).unwrap();
    fs::remove_file(case.root.path().join("fernet/.kolla-new")).unwrap();
    let failure = case.settings.round(NOW).unwrap_err();
    assert!(failure.message.contains("credential: No such file"), "{}", failure.message);
    assert_eq!(failure.code, 1);
    assert!(case.settings.round(86400).unwrap_err().message.contains("the clock cannot be right"));
}

#[test]
fn mistakes_in_the_settings_do_not_show_the_secret() {
    let folder = json!({"folder": "/f"});
    let fernet = json!({"folder": "/f", "interval": 1, "lifetime": 1});
    for (settings, says) in [
        (json!({"secret": 1_234_567, "fernet": fernet, "credential": folder}), "`secret` must be a text"),
        (json!({"secret": "short-1234567", "fernet": fernet, "credential": folder}), "at least 32"),
        (json!({"secret": SECRET, "fernet": folder, "credential": folder}), "missing field `interval`"),
        (json!({"secret": SECRET, "fernet": fernet, "credential": folder, "more": 1}), "unknown field `more`"),
        (
            json!({"secret": SECRET, "credential": folder, "fernet": {"folder": "/f", "interval": 0, "lifetime": 1}}),
            "expected a nonzero",
        ),
    ] {
        let error = serde_json::from_str::<Settings>(&settings.to_string()).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("1234567") && !error.contains("defghi"), "{error}");
    }
}

#[test]
fn it_wakes_when_the_next_key_is_due() {
    let rotation = rotation(86400, 86400);
    assert_eq!(rotation.left(Duration::from_hours(24)), Duration::from_hours(24));
    assert_eq!(rotation.left(Duration::from_millis(86_399_999)), Duration::from_millis(1));
}
