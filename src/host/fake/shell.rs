//! The few plain commands whose effect on a host in memory is worth having, so that operations that use them
//! can be tested twice in a row: files, links, folders, kernel parameters, packages.
//!
//! Not a shell: no variables, no conditions, no pipes. Lines it does not know are passed over.

use super::world::{FakeFile, World};

/// Applies each command of a script that is known.
pub(super) fn run(world: &mut World, script: &str) {
    for words in commands(script) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((program, rest)) = words.split_first() else { continue };
        let plain: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-')).collect();
        let flag = |letter: char| {
            rest.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
        };
        match (*program, plain.as_slice()) {
            ("mkdir" | "install", paths) if *program == "mkdir" || flag('d') => {
                let (options, paths) = with_options(rest, if *program == "mkdir" { "m" } else { "mog" }, paths);
                folders(world, &options, &paths);
            }
            ("ln", [to, path]) if flag('s') => world.put(path, FakeFile::link(to)),
            ("rm", paths) => {
                for path in paths {
                    let inside = format!("{path}/");
                    world.files.retain(|known, _| known != path && !(flag('r') && known.starts_with(&inside)));
                }
            }
            ("mv", [from, to]) => rename(world, from, to),
            ("chmod", [mode, paths @ ..]) => {
                for path in paths {
                    if let (Some(file), Ok(mode)) = (world.files.get_mut(*path), u32::from_str_radix(mode, 8)) {
                        file.mode = mode;
                    }
                }
            }
            ("chown", [owner, paths @ ..]) => {
                for path in paths {
                    if let Some(file) = world.files.get_mut(*path) {
                        (*owner).clone_into(&mut file.owner);
                    }
                }
            }
            ("sysctl", settings) => {
                for (name, value) in settings.iter().filter_map(|setting| setting.split_once('=')) {
                    world.sysctls.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
            ("apt-get" | "dnf" | "yum", ["install", packages @ ..]) => {
                for package in packages {
                    world.packages.entry((*package).to_owned()).or_insert_with(|| "1.0".to_owned());
                }
            }
            ("apt-get" | "dnf" | "yum", ["remove" | "purge", packages @ ..]) => {
                for package in packages {
                    world.packages.remove(*package);
                }
            }
            _ => {}
        }
    }
}

/// Values of one-letter options, and the plain words that are not such values.
fn with_options<'a>(rest: &[&'a str], letters: &str, plain: &[&'a str]) -> (Vec<(char, &'a str)>, Vec<&'a str>) {
    let mut options = Vec::new();
    for pair in rest.windows(2) {
        let letter =
            pair[0].strip_prefix('-').filter(|flag| !flag.starts_with('-')).and_then(|flag| flag.chars().last());
        if let Some(letter) = letter.filter(|letter| letters.contains(*letter)) {
            options.push((letter, pair[1]));
        }
    }
    let paths = plain.iter().copied().filter(|word| !options.iter().any(|(_, value)| value == word)).collect();
    (options, paths)
}

fn folders(world: &mut World, options: &[(char, &str)], paths: &[&str]) {
    let value = |letter| options.iter().find(|(known, _)| *known == letter).map(|(_, value)| *value);
    let mode = value('m').and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let owner = format!("{}:{}", value('o').unwrap_or("root"), value('g').unwrap_or("root"));
    for path in paths {
        world.make_folders(path);
        let folder = FakeFile::folder(mode.unwrap_or(0o755), &owner);
        let known = world.files.entry((*path).to_owned()).or_insert_with(|| folder.clone());
        // `install -d` sets mode and owner of one that is there; `mkdir -p` does not.
        if value('o').is_some() || value('g').is_some() {
            *known = folder;
        }
    }
}

fn rename(world: &mut World, from: &str, to: &str) {
    let inside = format!("{from}/");
    let moved: Vec<String> =
        world.files.keys().filter(|path| *path == from || path.starts_with(&inside)).cloned().collect();
    for path in moved {
        if let Some(file) = world.files.remove(&path) {
            world.files.insert(format!("{to}{}", &path[from.len()..]), file);
        }
    }
}

/// The words of each simple command: split at newlines, `;` and `&&`, quotes removed.
fn commands(script: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word, mut some, mut quote) = (Vec::new(), Vec::new(), String::new(), false, None);
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.push(c),
            (_, '\\') => match chars.next() {
                Some('\n') | None => {}
                Some(next) => {
                    word.push(next);
                    some = true;
                }
            },
            (None, '\'' | '"') => {
                quote = Some(c);
                some = true;
            }
            (None, c) if c.is_whitespace() || c == ';' || c == '&' => {
                if some || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                some = false;
                if c == '\n' || c == ';' || c == '&' {
                    all.push(std::mem::take(&mut words));
                }
            }
            (_, c) => word.push(c),
        }
    }
    if some || !word.is_empty() {
        words.push(word);
    }
    all.push(words);
    all.into_iter().filter(|words| !words.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(
            commands("mkdir -p '/a b' && ln -sfn \"x y\" /c; rm -f it\\'s \\\n /d\nend ''"),
            [
                vec!["mkdir", "-p", "/a b"],
                vec!["ln", "-sfn", "x y", "/c"],
                vec!["rm", "-f", "it's", "/d"],
                vec!["end", ""]
            ]
        );
    }
}
