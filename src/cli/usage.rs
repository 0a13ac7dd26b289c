//! Mistakes on the command line in the look of all other errors.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::{Error, InputError, Kind, nearest};

/// What the parser answered.
pub(super) enum Answer {
    /// Help or a version, for stdout.
    Help(String),
    /// No command was given: help, for stderr.
    Missing(String),
    /// A mistake.
    Mistake(Error),
}

/// The parser's answer in our words.
pub(super) fn answer(error: &clap::Error, root: &Command, color: bool) -> Answer {
    let rendered = || if color { error.render().ansi().to_string() } else { error.render().to_string() };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Answer::Help(rendered()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Answer::Missing(rendered()),
        _ => Answer::Mistake(mistake(error, root)),
    }
}

fn mistake(error: &clap::Error, root: &Command) -> Error {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let first = |kind| texts(kind).into_iter().next();
    let argument = first(ContextKind::InvalidArg).unwrap_or_default();
    let value = first(ContextKind::InvalidValue).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => format!("unknown option `{argument}`"),
        ErrorKind::UnknownArgument => format!("`{argument}` is one word too many"),
        ErrorKind::InvalidSubcommand => {
            format!("unknown command `{}`", first(ContextKind::InvalidSubcommand).unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => {
            format!(
                "missing {}",
                texts(ContextKind::InvalidArg).iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )
        }
        ErrorKind::MissingSubcommand => "a command is missing".to_owned(),
        ErrorKind::InvalidValue if value.is_empty() => format!("`{argument}` needs a value"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default();
            format!("`{value}` is no value for `{argument}`{why}")
        }
        ErrorKind::ArgumentConflict => match first(ContextKind::PriorArg) {
            Some(other) if other == argument => format!("`{argument}` is given twice"),
            Some(other) => format!("`{argument}` cannot be used with `{other}`"),
            None => format!("`{argument}` cannot be used here"),
        },
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).replace('\'', "`")
        }
    };
    let suggestion = if error.kind() == ErrorKind::InvalidSubcommand {
        let word = first(ContextKind::InvalidSubcommand).unwrap_or_default();
        // The parser's own suggestions are broad; `destroy` must not be one for `depoly`.
        nearest(&word, root.get_subcommands().map(Command::get_name)).map(str::to_owned)
    } else {
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue].into_iter().find_map(first)
    };
    let values = texts(ContextKind::ValidValue);
    let hint = match suggestion {
        Some(near) => format!("did you mean `{near}`?"),
        None if !values.is_empty() => format!("use one of: {}", values.join(", ")),
        None => "`--help` lists what can be given".to_owned(),
    };
    InputError::new(message).of(Kind::Usage).hint(hint).into()
}

/// The command line as it is recorded: values of `-e` can be secrets that no file knows, so only names stay.
pub fn recorded(arguments: &[OsString]) -> String {
    let mut words = vec!["kolla".to_owned()];
    let mut vars = false;
    let mut rest = false;
    for argument in arguments.iter().skip(1) {
        let word = argument.to_string_lossy();
        if rest {
            words.push(word.into_owned());
        } else if std::mem::take(&mut vars) {
            words.push(only_name(&word));
        } else if let Some(value) = word.strip_prefix("--extra-vars=") {
            words.push(format!("--extra-vars={}", only_name(value)));
        } else if word.starts_with("-e") && word.len() > 2 {
            words.push(format!("-e{}", only_name(&word[2..])));
        } else {
            vars = word == "-e" || word == "--extra-vars";
            rest = word == "--";
            words.push(word.into_owned());
        }
    }
    crate::shell::join(words)
}

fn only_name(vars: &str) -> String {
    if vars.starts_with('@') {
        return vars.to_owned();
    }
    match vars.split_once('=') {
        Some((name, _)) if !name.contains(['{', '"', ' ']) => format!("{name}=***"),
        _ => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::report::text;

    fn told(words: &str) -> String {
        let root = Cli::command();
        let error = root.clone().try_get_matches_from(words.split(' ')).unwrap_err();
        match answer(&error, &root, false) {
            Answer::Mistake(error) => text::error(&error, false),
            Answer::Help(text) | Answer::Missing(text) => text,
        }
    }

    #[test]
    fn mistakes_look_like_all_other_errors() {
        for (words, expected) in [
            ("kolla depoly", "error: unknown command `depoly`\nhint: did you mean `deploy`?\n"),
            ("kolla deploy --chekc", "error: unknown option `--chekc`\nhint: did you mean `--check`?\n"),
            ("kolla deploy now", "error: `now` is one word too many\nhint: `--help` lists what can be given\n"),
            ("kolla vars", "error: missing `<HOST>`\nhint: `--help` lists what can be given\n"),
            (
                "kolla deploy --output yaml",
                "error: `yaml` is no value for `--output <FORM>`\nhint: use one of: text, json\n",
            ),
            ("kolla deploy -i", "error: `--inventory <FILE>` needs a value\nhint: `--help` lists what can be given\n"),
            (
                "kolla deploy -f 0",
                "error: `0` is no value for `--forks <N>`: 0 is not in 1..=65535\nhint: `--help` lists what can be given\n",
            ),
        ] {
            assert_eq!(told(words), expected, "{words}");
        }
    }

    #[test]
    fn the_recorded_command_holds_no_value_of_a_variable() {
        let words = [
            "./kolla",
            "deploy",
            "-e",
            "a=hunter22",
            "-eb=hunter22",
            "--extra-vars={\"c\": \"hunter22\"}",
            "-e",
            "@f.yml",
        ];
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        assert_eq!(recorded(&words), "kolla deploy -e 'a=***' '-eb=***' '--extra-vars=***' -e @f.yml");
    }
}
