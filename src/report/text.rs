//! Errors as an operator reads them: what, where, why, what to do next.

use super::columns::width;
use super::paint::{Paint, clean};
use crate::error::{Error, HostCause, HostError, InputError, OperationError, Place, numbered};
use crate::shell::sets_a_secret;

/// Longest part of a source line that is shown.
const EXCERPT: usize = 110;
/// Lines of a command's stderr that are shown.
const STDERR_LINES: usize = 10;

/// The whole text of an error, each line ended by a newline.
pub fn error(error: &Error, color: bool) -> String {
    let mut text = Text { paint: Paint(color), lines: Vec::new() };
    match error {
        Error::Input(errors) => text.inputs(errors),
        Error::Host(error) => text.host(error),
        Error::Operation(error) => text.operation(error),
        Error::Local { act, cause, hint } => {
            text.error(&format!("{act}: {cause}"));
            text.hint(hint.as_deref());
        }
        Error::Interrupted => text.error("interrupted"),
    }
    text.lines.push(String::new());
    text.lines.join("\n")
}

/// A warning in the same look.
pub fn warning(message: &str, color: bool) -> String {
    format!("{} {}\n", Paint(color).yellow("warning:"), clean(message))
}

struct Text {
    paint: Paint,
    lines: Vec<String>,
}

impl Text {
    fn inputs(&mut self, errors: &[InputError]) {
        for error in errors {
            if !self.lines.is_empty() {
                self.lines.push(String::new());
            }
            self.input(error);
        }
        if errors.len() > 1 {
            self.lines.push(String::new());
            self.error(&format!("{}, nothing was touched", numbered(errors.len(), "input error")));
        }
    }

    fn input(&mut self, error: &InputError) {
        self.error(&error.message);
        if let Some(place) = &error.place {
            self.lines.push(format!("  {} {place}", self.paint.cyan("-->")));
            self.excerpt(place);
        }
        if let Some(user) = &error.used_by {
            self.lines.push(format!("   (as {})", clean(user)));
        }
        self.causes(&error.causes);
        self.hint(error.hint.as_deref());
    }

    /// The source line with carets under the word that is meant; never of a file of passwords, whose lines are secrets,
    /// nor one that sets what is called a secret.
    fn excerpt(&mut self, place: &Place) {
        let secret = place.file.file_name().is_some_and(|name| name.to_string_lossy().contains("password"));
        let shown = |line: &&str| !secret && !line.trim().is_empty() && !sets_a_secret(line);
        let Some(line) = place.excerpt.as_deref().filter(shown) else { return };
        let mut before: Vec<char> = line.chars().collect();
        let at = place.column.saturating_sub(1).min(before.len());
        let after = before.split_off(at);
        // A long line is cut so that the place stays in sight.
        let start = at.saturating_sub(EXCERPT / 2);
        let before = clean(&before[start..].iter().collect::<String>());
        let after = clean(&after.into_iter().take(EXCERPT - (at - start)).collect::<String>());
        let bar = self.paint.cyan("|");
        // Indentation says nothing here, unless the caret stands in it.
        let cut = if after.is_empty() { 0 } else { before.len() - before.trim_start().len() };
        let before = &before[cut..];
        self.lines.push(format!("   {bar} {}", format!("{before}{after}").trim_end()));
        if place.column > 0 {
            let meant: String = after.trim_end().chars().take(place.end().saturating_sub(place.column)).collect();
            let carets = "^".repeat(width(&meant).max(1));
            self.lines.push(format!("   {bar} {}{}", " ".repeat(width(before)), self.paint.red(&carets)));
        }
    }

    fn host(&mut self, error: &HostError) {
        self.error(&error.to_string());
        if let HostCause::Exit { stderr, .. } = &error.cause {
            let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
            if lines.len() > 1 {
                self.lines.push("  last lines of stderr:".into());
                let first = lines.len().saturating_sub(STDERR_LINES);
                self.quoted(&lines[first..]);
            }
        }
        self.hint(error.hint.clone().or_else(|| error.cause.hint()).as_deref());
    }

    fn operation(&mut self, error: &OperationError) {
        self.error(&error.message);
        self.causes(&error.causes);
        if let Some(name) = &error.log_of {
            if error.log.is_empty() {
                self.lines.push(format!("  {name} wrote no log"));
            } else {
                self.lines.push(format!("  last log lines of {name}:"));
                self.quoted(&error.log.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        self.hint(error.hint.as_deref());
    }

    fn error(&mut self, message: &str) {
        let mut lines = message.lines().map(clean);
        let first = lines.next().unwrap_or_default();
        self.lines.push(format!("{} {}", self.paint.red("error:"), self.paint.bold(&first)));
        self.lines.extend(lines.map(|line| format!("  {line}")));
    }

    fn causes(&mut self, causes: &[String]) {
        for cause in causes {
            let mut lines = cause.lines().map(clean);
            self.lines.push(format!("caused by: {}", lines.next().unwrap_or_default()));
            self.lines.extend(lines.map(|line| format!("  {line}")));
        }
    }

    fn quoted(&mut self, lines: &[&str]) {
        self.lines.extend(lines.iter().map(|line| format!("    {}", clean(line).trim_end())));
    }

    fn hint(&mut self, hint: Option<&str>) {
        if let Some(hint) = hint {
            self.lines.push(format!("{} {}", self.paint.cyan("hint:"), clean(hint)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undefined() -> InputError {
        let source = "[DEFAULT]\n\n  bind_port = {{ glance_api_prot }}\n";
        let mut error = InputError::new("undefined variable `glance_api_prot`")
            .at(Place::within("roles/glance/templates/glance-api.conf.j2", source, 3, 18))
            .hint("`glance_api_port` is defined in roles/glance/role.yml:6");
        error.used_by = Some("used by file glance-api.conf on control01".into());
        error
    }

    #[test]
    fn an_input_error_shows_the_place() {
        assert_eq!(
            error(&undefined().into(), false),
            "\
error: undefined variable `glance_api_prot`
  --> roles/glance/templates/glance-api.conf.j2:3:18
   | bind_port = {{ glance_api_prot }}
   |                ^^^^^^^^^^^^^^^
   (as used by file glance-api.conf on control01)
hint: `glance_api_port` is defined in roles/glance/role.yml:6
"
        );
    }

    #[test]
    fn carets_stand_under_what_is_meant_after_wide_letters() {
        let place = Place::within("f", "計算: {{ nme }}\n", 1, 8);
        let text = error(&InputError::new("undefined").at(place).into(), false);
        assert_eq!(text, "error: undefined\n  --> f:1:8\n   | 計算: {{ nme }}\n   |          ^^^\n");
    }

    #[test]
    fn several_input_errors_come_together() {
        let mut second = InputError::new("cannot read the file").at(Place::file("/etc/kolla/globals.yml"));
        second.causes.push("permission denied".into());
        let errors = Error::Input(vec![InputError::new("host `a` is named twice"), second]);
        assert_eq!(
            error(&errors, false),
            "\
error: host `a` is named twice

error: cannot read the file
  --> /etc/kolla/globals.yml
caused by: permission denied

error: 2 input errors, nothing was touched
"
        );
    }

    #[test]
    fn a_line_of_a_password_file_is_not_shown() {
        let place = Place::within("/etc/kolla/passwords.yml", "database_password: 'hunter22\n", 1, 20);
        let text = error(&InputError::new("unclosed quote").at(place).into(), false);
        assert_eq!(text, "error: unclosed quote\n  --> /etc/kolla/passwords.yml:1:20\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let text = error(&InputError::new("no").at(Place::within("f", &line, 1, 501)).into(), false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].chars().count() < 120);
        assert_eq!(lines[2].find('X'), lines[3].find('^'));
    }

    #[test]
    fn a_failed_operation_brings_its_log() {
        let failed = Error::Operation(Box::new(OperationError {
            message: "control02: container glance_api is not ready after 60s".into(),
            causes: vec!["GET http://10.0.0.12:9292/healthcheck: connection refused".into()],
            log_of: Some("glance_api".into()),
            log: vec!["ERROR glance.db \x1b[31mAccess denied for user 'glance'@'10.0.0.12'\x1b[0m".into()],
            hint: Some("rerun only this with `kolla deploy --tags glance --limit control02`".into()),
        }));
        assert_eq!(
            error(&failed, false),
            "\
error: control02: container glance_api is not ready after 60s
caused by: GET http://10.0.0.12:9292/healthcheck: connection refused
  last log lines of glance_api:
    ERROR glance.db Access denied for user 'glance'@'10.0.0.12'
hint: rerun only this with `kolla deploy --tags glance --limit control02`
"
        );
    }

    #[test]
    fn a_host_error_names_address_act_and_remedy() {
        let mut failed = HostError {
            host: "control02".into(),
            address: Some("10.0.0.12:22".into()),
            act: "connect".into(),
            cause: HostCause::TimedOut(10),
            hint: None,
            others: Vec::new(),
        };
        let text = |failed: &HostError| error(&Error::Host(Box::new(failed.clone())), false);
        assert_eq!(
            text(&failed),
            "\
error: control02 (10.0.0.12:22): connect: no answer within 10 s
hint: see what holds it up there (load, disk, a lock), then run the same again
"
        );
        failed.cause = HostCause::NoSudo("a password is required".into());
        assert_eq!(
            text(&failed),
            "\
error: control02 (10.0.0.12:22): connect: `sudo -n` refused: a password is required
hint: give its password by `ansible_become_password` or `--ask-become-pass`, allow sudo without one, or log in as root
"
        );
        failed.cause = HostCause::Exit { code: 100, stderr: "Reading lists\nE: no such package\n".into() };
        assert_eq!(
            text(&failed),
            "\
error: control02 (10.0.0.12:22): connect: exit code 100: E: no such package
  last lines of stderr:
    Reading lists
    E: no such package
"
        );
    }

    #[test]
    fn colour_changes_no_word() {
        let colored = error(&undefined().into(), true);
        assert!(colored.starts_with("\x1b[1;31merror:\x1b[0m "));
        let bare: String = colored.lines().map(|line| clean(line) + "\n").collect();
        assert_eq!(bare, error(&undefined().into(), false));
    }
}
