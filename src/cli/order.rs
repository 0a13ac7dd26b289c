//! Options before the command, as in `kolla -i multinode deploy`, moved behind it.
//!
//! The parser takes options on both sides, but keeps only one side's values of an option that may be repeated.
//! An inventory that is silently forgotten is too dangerous for that.

use std::ffi::OsString;

use clap::{Arg, Command};

/// The same command line with the words of the command first. What is not understood is left as it stands, for
/// the parser to tell.
pub(super) fn options_last(root: &Command, arguments: &[OsString]) -> Vec<OsString> {
    let mut root = root.clone();
    root.build();
    let mut command = &root;
    let (mut words, mut options) = (Vec::new(), Vec::new());
    let mut rest = arguments;
    if let Some((program, after)) = rest.split_first() {
        words.push(program.clone());
        rest = after;
    }
    while let Some(word) = rest.first().and_then(|word| word.to_str()) {
        let taken = if word.len() > 1 && word.starts_with('-') {
            let Some(taken) = length(command, word, Arg::is_global_set).filter(|&taken| taken <= rest.len()) else {
                break;
            };
            options.extend_from_slice(&rest[..taken]);
            taken
        } else {
            let Some(inner) = command.find_subcommand(word) else { break };
            command = inner;
            words.push(rest[0].clone());
            1
        };
        rest = &rest[taken..];
    }
    words.into_iter().chain(options).chain(rest.iter().cloned()).collect()
}

/// Where the words stand that are no options: the program, the command and what it is given.
pub(super) fn no_options(root: &Command, words: &[String]) -> Vec<usize> {
    let mut root = root.clone();
    root.build();
    let mut command = &root;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word.len() > 1 && word.starts_with('-') {
            at += length(command, word, |_| true).unwrap_or(1);
        } else {
            command = command.find_subcommand(word).unwrap_or(command);
            found.push(at);
            at += 1;
        }
    }
    found
}

/// Whether the line names one of the commands of `root`.
pub(super) fn named(root: &Command, arguments: &[OsString]) -> bool {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    no_options(root, &words).get(1).is_some_and(|at| root.find_subcommand(&words[*at]).is_some())
}

/// How many words an option takes, if it is one of those that count.
fn length(command: &Command, word: &str, counts: impl Fn(&Arg) -> bool) -> Option<usize> {
    let find =
        |matches: &dyn Fn(&Arg) -> bool| command.get_arguments().find(|argument| counts(argument) && matches(argument));
    if let Some(long) = word.strip_prefix("--") {
        let (name, attached) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
        let takes = find(&|argument| argument.get_long() == Some(name))?.get_action().takes_values();
        return Some(if takes && !attached { 2 } else { 1 });
    }
    let mut letters = word.chars().skip(1);
    while let Some(letter) = letters.next() {
        if find(&|argument| argument.get_short() == Some(letter))?.get_action().takes_values() {
            return Some(if letters.next().is_none() { 2 } else { 1 });
        }
    }
    Some(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    fn read(words: &str) -> Cli {
        let words: Vec<OsString> = words.split(' ').map(Into::into).collect();
        Cli::try_parse_from(options_last(&Cli::command(), &words)).unwrap()
    }

    #[test]
    fn options_count_before_and_after_the_command() {
        for words in [
            "kolla -i a -i b -vC deploy -t x,y -v",
            "kolla deploy -i a -i b -t x -t y --check -vv",
            "kolla -v -i a deploy -ib -t x --tags=y -Cv",
            "kolla --inventory=a -vvt x lab -i b status -t y -C",
        ] {
            let global = read(words).global;
            assert_eq!(global.inventory, [Path::new("a"), Path::new("b")], "{words}");
            assert_eq!(global.tags, ["x", "y"], "{words}");
            assert_eq!((global.check, global.verbose), (true, 2), "{words}");
        }
    }

    #[test]
    fn what_is_not_an_option_of_every_command_stays() {
        for words in
            ["kolla", "kolla -h", "kolla depoly -i a", "kolla -i", "kolla exec a b -- ls -i", "kolla -x deploy"]
        {
            let words: Vec<OsString> = words.split(' ').map(Into::into).collect();
            assert_eq!(options_last(&Cli::command(), &words), words);
        }
    }
}
