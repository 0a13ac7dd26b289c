//! What a fuzzer found, and what was made to take all time or memory, is answered at once, and with a message.
//!
//! `tests/fuzz/run TARGET` fuzzes; a folder of `tests/cases/fuzz` is of one target, and `messages.yml` there says what is
//! told of those files whose message matters, and which act is proposed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use targets::{TARGETS, Verdict};

#[allow(unreachable_pub)]
#[path = "../fuzz/targets.rs"]
mod targets;

/// For one file; the slowest take a hundredth of it where nothing else runs.
const LONGEST: Duration = Duration::from_secs(30);

#[test]
fn what_a_fuzzer_found_is_answered() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/fuzz");
    let messages = fs::read_to_string(cases.join("messages.yml")).unwrap();
    let messages = kolla::source::Document::parse("messages.yml", &messages).unwrap().root.to_json();
    let mut messages: BTreeMap<String, (String, String)> = serde_json::from_value(messages).unwrap();
    let mut wrong = Vec::new();
    for (target, run) in TARGETS.iter().copied() {
        let mut counted = (0, 0);
        let mut files: Vec<_> = fs::read_dir(cases.join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let name = format!("{target}/{}", file.file_name().unwrap().display());
            let bytes = fs::read(&file).unwrap();
            let (said, heard) = mpsc::channel();
            // What hangs goes on until the test ends.
            thread::spawn(move || said.send(run(&bytes)));
            let Ok(verdict) = heard.recv_timeout(LONGEST) else {
                wrong.push(format!("{name} has no answer after {LONGEST:?}, or a panic"));
                continue;
            };
            match &verdict {
                Verdict::Accepted => counted.0 += 1,
                Verdict::Refused(_) => counted.1 += 1,
                Verdict::Passed => wrong.push(format!("{name} is passed over")),
            }
            let Some((message, hint)) = messages.remove(&name) else { continue };
            let told = matches!(&verdict, Verdict::Refused(text)
                if text.starts_with(&format!("error: {message}\n"))
                && (hint.is_empty() || text.contains(&format!("\nhint: {hint}\n"))));
            if !told {
                wrong.push(format!("{name}: {verdict:?}"));
            }
        }
        assert!(counted.0 > 0 && counted.1 > 1, "{target}: {counted:?} are accepted and refused");
    }
    wrong.extend(messages.into_keys().map(|name| format!("{name} is not there")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
