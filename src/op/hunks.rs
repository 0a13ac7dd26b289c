//! What a changed file shows of itself: its hunks, without the secrets of either text.
//!
//! Those of the new text are known to the mask. Those of the old one are known to nobody on the control machine: they
//! are noted beside a set of files when it is written, as places, under the digest of the file that they are in. So of a
//! file with such a note all can be told apart. Of one without it (an older version of this program, another one or
//! somebody's hands wrote it) a line that is gone shows only those words that the new file has, too.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;

use similar::{ChangeTag, TextDiff};

use super::View;
use super::file::{OneFile, digest_of};
use crate::error::Result;
use crate::host::FileState;
use crate::shell::{Mask, hide_spans};

/// The file of a set that tells where in the others secrets stand.
pub const NOTE: &str = ".secrets";
/// Lines of a hunk around what changed.
const AROUND: usize = 2;

/// Places of secrets by the digest of the file that they are in.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Vec<Range<usize>>>);

impl Places {
    /// Those in new files.
    pub(super) fn of(files: &[OneFile], mask: &Mask) -> Self {
        let places = |file: &OneFile| {
            let text = std::str::from_utf8(&file.content).ok()?;
            Some((file.digest.clone(), mask.spans_of_file(text)))
        };
        Self(files.iter().filter_map(places).collect())
    }

    /// A line a file: its digest, and the first byte and the one after the last of each place.
    pub(super) fn note(&self) -> String {
        self.0.iter().fold(String::new(), |mut note, (digest, spans)| {
            note.push_str(digest);
            for span in spans {
                // Writing to a String cannot fail.
                let _ = write!(note, " {}-{}", span.start, span.end);
            }
            note + "\n"
        })
    }

    /// Takes what was noted. A line that makes no sense is as if it was not there.
    pub(super) fn read(&mut self, note: &str) {
        let span = |word: &str| {
            let (start, end) = word.split_once('-')?;
            Some(start.parse().ok()?..end.parse().ok()?)
        };
        self.0.extend(note.lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.map(span).collect::<Option<Vec<_>>>()?))
        }));
    }

    /// Those in an old file; none where nothing was noted of it.
    fn in_text(&self, content: &[u8], text: &str) -> Option<Vec<Range<usize>>> {
        let spans = self.0.get(&digest_of(content))?;
        spans.iter().all(|span| text.get(span.clone()).is_some()).then(|| spans.clone())
    }
}

/// How a file of the host itself becomes another one: a line, and its hunks where they are wanted. Nothing is noted of such
/// files; what everybody there may read is shown.
pub(super) async fn of_host(file: &OneFile, state: &FileState, at: &View) -> Result<Vec<String>> {
    let mut details = vec![format!("file {}: update", file.name)];
    if at.shared.hunks {
        let old = at.host().read(&file.name).await?.unwrap_or_default();
        let open = u32::from_str_radix(&state.mode, 8).is_ok_and(|mode| mode & 0o004 != 0);
        details.extend(hunks(&old, &file.content, &Places::default(), open, &at.shared.mask));
    }
    Ok(details)
}

/// The hunks between two contents of a file. `open`: everybody on the host may read the old one, so that nothing in it is
/// a secret but what is known as one.
pub(super) fn hunks(old: &[u8], new: &[u8], noted: &Places, open: bool, mask: &Mask) -> Vec<String> {
    let (Ok(old_text), Ok(new_text)) = (std::str::from_utf8(old), std::str::from_utf8(new)) else {
        return vec![format!("not text: {} bytes -> {} bytes", old.len(), new.len())];
    };
    let places = noted.in_text(old, old_text);
    for place in places.iter().flatten() {
        // It may be still in force, and stand in what others say.
        mask.learn(&old_text[place.clone()]);
    }
    let whole = places.is_some() || open;
    let mut spans = mask.spans_of_file(old_text);
    spans.extend(places.into_iter().flatten());
    let new_hidden = hide_spans(new_text, mask.spans_of_file(new_text));
    let old_hidden = hide_spans(old_text, spans);
    let known = Known::of(new_text, &new_hidden);
    let old_lines: Vec<String> = old_hidden.lines().map(|line| known.shown(line, whole)).collect();
    let new_lines: Vec<&str> = new_hidden.lines().collect();

    let diff = TextDiff::from_lines(old_text, new_text);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
        lines.push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let line = match (change.tag(), change.old_index(), change.new_index()) {
                (ChangeTag::Delete, Some(index), _) => old_lines.get(index).map(String::as_str),
                (_, _, Some(index)) => new_lines.get(index).copied(),
                _ => None,
            };
            lines.push(format!("{}{}", change.tag(), line.unwrap_or_default()));
            if change.missing_newline() {
                lines.push("\\ No newline at end of file".to_owned());
            }
        }
    }
    lines
}

/// What the new text says, against which lines of the old one are held.
struct Known<'a> {
    /// Beginnings of lines that hold a secret, up to the sign before the value.
    kept: HashSet<&'a str>,
    /// Words that are no secrets.
    words: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(text: &'a str, hidden: &'a str) -> Self {
        let (mut kept, mut words) = (HashSet::new(), HashSet::new());
        for (plain, shown) in text.lines().zip(hidden.lines()) {
            if plain == shown {
                words.extend(shown.split_whitespace());
            } else {
                kept.extend(before_value(shown));
                words.extend(shown.split_whitespace().filter(|word| !word.contains("***")));
            }
        }
        Self { kept, words }
    }

    /// A line of the old text, with what it may show.
    fn shown(&self, line: &str, whole: bool) -> String {
        // What is a secret now was one before, whether it was known as one or not.
        if let Some(before) = before_value(line).filter(|before| self.kept.contains(before)) {
            return format!("{before} ***");
        }
        if whole {
            return line.to_owned();
        }
        line.split_inclusive(char::is_whitespace)
            .map(|part| {
                let word = part.trim_end();
                let known = word.is_empty() || self.words.contains(word);
                if known { part.to_owned() } else { format!("***{}", &part[word.len()..]) }
            })
            .collect()
    }
}

/// A line up to the sign before its value.
fn before_value(line: &str) -> Option<&str> {
    line.find(['=', ':']).map(|at| &line[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str, noted: bool, secrets: [&str; 2]) -> Vec<String> {
        let mut places = Places::default();
        if noted {
            let old = OneFile::new("x", old, 0o600);
            places.read(&Places::of(&[old], &Mask::new([secrets[0].to_owned()])).note());
        }
        hunks(old.as_bytes(), new.as_bytes(), &places, false, &Mask::new([secrets[1].to_owned()]))
    }

    #[test]
    fn neither_secret_is_shown_and_options_are() {
        let old = "workers = 1\nstats auth me:old-one\nlog = /var/log\n";
        let new = "workers = 2\nstats auth me:new-one\nlog = /var/log\n";
        assert_eq!(
            shown(old, new, true, ["old-one", "new-one"]),
            [
                "@@ -1,3 +1,3 @@",
                "-workers = 1",
                "-stats auth me: ***",
                "+workers = 2",
                "+stats auth me:***",
                " log = /var/log"
            ]
        );
    }

    #[test]
    fn what_is_no_text_shows_its_size() {
        let shown = hunks(b"secret\n", &[0xff, 0], &Places::default(), true, &Mask::new([]));
        assert_eq!(shown, ["not text: 7 bytes -> 2 bytes"]);
    }

    #[test]
    fn of_what_nobody_noted_only_words_of_the_new_file_are_shown() {
        let old = "workers = 1\nmember old-one\nlevel = debug\n";
        let new = "workers = 2\nmember new-one\nother = debug\n";
        assert_eq!(
            shown(old, new, false, ["old-one", "new-one"]),
            [
                "@@ -1,3 +1,3 @@",
                "-workers = ***",
                "-member ***",
                "-*** = debug",
                "+workers = 2",
                "+member ***",
                "+other = debug"
            ]
        );
    }

    #[test]
    fn a_file_that_is_nothing_but_a_secret_shows_nothing() {
        for noted in [true, false] {
            let lines = shown("old-cookie", "new-cookie", noted, ["old-cookie", "new-cookie"]);
            let end = "\\ No newline at end of file";
            assert_eq!(lines, ["@@ -1 +1 @@", "-***", end, "+***", end]);
        }
    }

    #[test]
    fn a_line_that_holds_a_secret_now_held_one_before() {
        // Somebody took a secret for an ordinary value, and it is noted as one.
        let lines = shown("peer = old-one\n", "peer = new-one\n", true, ["something else", "new-one"]);
        assert_eq!(lines, ["@@ -1 +1 @@", "-peer = ***", "+peer = ***"]);
    }

    #[test]
    fn a_damaged_note_is_none() {
        let mut places = Places::default();
        places.read("abc 1-x\n\nabd\n");
        places.read(&format!("{} 1-900\n", digest_of(b"old-one")));
        assert_eq!(places.in_text(b"old-one", "old-one"), None);
        assert_eq!(hunks(b"old-one", b"new", &places, false, &Mask::default())[1], "-***");
    }
}
