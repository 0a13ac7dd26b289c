//! `kolla config`: the files of a service as its container gets them, and where each line of them comes from.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde_json::{Value, json};

use super::{Exit, Invocation, complete};
use crate::app::config::{self, Request};
use crate::error::Result;
use crate::plan::{FileLine, ServiceFile};
use crate::report::paint::Paint;
use crate::report::{Table, columns};

/// Shows the configuration files of a service's container on a host, without connecting to the host.
#[derive(Debug, Args)]
pub struct Config {
    /// The host
    #[arg(add = ArgValueCandidates::new(complete::hosts))]
    pub host: String,
    /// The service, for example `glance-api`
    #[arg(add = ArgValueCandidates::new(complete::services))]
    pub service: String,
    /// A file, by its name or its path in the container; without it, the files are listed, or the only one is printed
    #[arg(add = ArgValueCandidates::new(complete::files))]
    pub file: Option<String>,
    /// Show which file and line each line comes from, and which override files are looked for
    #[arg(long)]
    pub explain: bool,
    /// Print secrets in plain text
    #[arg(long)]
    pub show_secrets: bool,
}

impl Config {
    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let Self { host, service, file, show_secrets: secrets, .. } = &self;
        let request = Request { host: host.clone(), service: service.clone(), file: file.clone(), secrets: *secrets };
        let config::Config { files, warnings } = config::config(&at.app, &request).await?;
        for warning in &warnings {
            at.warn(warning);
        }
        let paint = at.screen.paint;
        match files.as_slice() {
            _ if at.global.json() => {
                let single = files.len() == 1;
                let files: Value = files.iter().map(|file| self.json(file, single)).collect();
                at.screen.plain(&files.to_string());
            }
            [file] if self.explain && file.text => at.screen.plain(&explained(file, &self.host, paint)),
            [file] => at.screen.raw(file.content.as_bytes()),
            files => {
                let mut table = Table::new(["file", "in the container", "made of"]);
                for file in files {
                    let names = short_names(file);
                    let used = file.sources.iter().zip(names).filter(|(source, _)| source.used).map(|(_, name)| name);
                    table.row([file.name.clone(), file.to.clone(), used.collect::<Vec<_>>().join(" + ")]);
                }
                at.screen.out(&table.render());
            }
        }
        Ok(Exit::DONE)
    }

    /// A file as JSON; its content where it is the only one.
    fn json(&self, file: &ServiceFile, single: bool) -> Value {
        let mut value = json!(file);
        if single {
            value["content"] = file.text.then_some(file.content.as_str()).into();
            if self.explain {
                value["lines"] = json!(file.lines);
            }
        }
        value
    }
}

/// The file behind a margin that says where each line comes from; above it, the sources.
fn explained(file: &ServiceFile, host: &str, paint: Paint) -> String {
    let names = short_names(file);
    let mut text = format!("{} on {host}, of\n", paint.bold(&file.to));
    for source in &file.sources {
        let path = source.file.display().to_string();
        let line = match (source.used, source.there) {
            (true, _) => format!("  {path}"),
            (false, true) => paint.dim(&format!("  {path}  (a more specific one takes its place)")),
            (false, false) => paint.dim(&format!("  {path}  (not there)")),
        };
        text.extend([&line, "\n"]);
    }
    text.push('\n');
    let margin = |line: &FileLine| {
        let name = line.source.and_then(|source| names.get(source)).map_or("", String::as_str);
        line.line.map_or_else(|| name.to_owned(), |number| format!("{name}:{number}"))
    };
    let width = file.lines.iter().map(|line| columns::width(&margin(line))).max().unwrap_or(0);
    for line in &file.lines {
        let said = columns::padded(&margin(line), width);
        // What the operator wrote stands out of what the role did.
        let own = line.source.and_then(|source| file.sources.get(source)).is_some_and(|source| source.own);
        let said = if own { paint.cyan(&said) } else { paint.dim(&said) };
        text += format!("{said} {} {}", paint.dim("|"), line.text).trim_end();
        text.push('\n');
    }
    text
}

/// Each source's path from as far behind as tells it from the others.
fn short_names(file: &ServiceFile) -> Vec<String> {
    let parts = |at: usize| -> Vec<String> {
        file.sources[at].file.iter().map(|part| part.to_string_lossy().into_owned()).collect()
    };
    let end = |parts: &[String], count: usize| parts[parts.len().saturating_sub(count)..].join("/");
    let all: Vec<Vec<String>> = (0..file.sources.len()).map(parts).collect();
    all.iter()
        .enumerate()
        .map(|(index, own)| {
            let alone = |count: &usize| {
                let name = end(own, *count);
                all.iter().enumerate().all(|(at, other)| at == index || end(other, *count) != name)
            };
            end(own, (1..own.len()).find(alone).unwrap_or(own.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FileSource;

    fn file() -> ServiceFile {
        let source = |path: &str, own, used| FileSource { file: path.into(), own, there: used, used };
        let line = |text: &str, source, line| FileLine { text: text.into(), source, file: None, line };
        ServiceFile {
            to: "/etc/glance/glance-api.conf".into(),
            sources: vec![
                source("roles/glance/templates/glance-api.conf.j2", false, true),
                source("/nowhere/config/glance.conf", true, false),
                source("/nowhere/config/glance/c1/glance.conf", true, true),
            ],
            lines: vec![
                line("[DEFAULT]", Some(0), Some(1)),
                line("debug = true", Some(2), Some(12)),
                line("workers = 2", Some(0), None),
                line("", None, None),
            ],
            ..ServiceFile::default()
        }
    }

    #[test]
    fn a_margin_says_where_each_line_comes_from() {
        assert_eq!(
            explained(&file(), "c1", Paint(false)),
            "\
/etc/glance/glance-api.conf on c1, of
  roles/glance/templates/glance-api.conf.j2
  /nowhere/config/glance.conf  (not there)
  /nowhere/config/glance/c1/glance.conf

glance-api.conf.j2:1 | [DEFAULT]
c1/glance.conf:12    | debug = true
glance-api.conf.j2   | workers = 2
                     |
"
        );
    }
}
