//! How this machine reaches its Debian mirror, so that the lab's hosts reach it the same way.
//!
//! Taken over: the mirror's address, proxies and other transport settings, logins, and certificates where the
//! mirror is asked over TLS. Nothing of it goes into the host image: it is written into each host.

use std::path::Path;

use super::Options;
use super::engine::Entry;
use crate::error::{Error, Result};
use crate::host::local::Local;

/// The Debian release of a lab host.
pub(super) const SUITE: &str = "trixie";

/// Settings of apt that decide whether a mirror is reachable; others of this machine are its own affair.
const TRANSPORT: [&str; 8] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::ForceIPv",
    "Acquire::Retries",
    "Acquire::AllowInsecureRepositories",
    "APT::Get::AllowUnauthenticated",
];

/// What is needed to install Debian packages from where this machine gets its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Apt {
    /// Address of the archive, as it stands in sources.list.
    pub(super) archive: String,
    /// Whether the archive is trusted without signatures.
    pub(super) trusted: bool,
    /// Suites of the archive that exist there.
    suites: Vec<String>,
    /// Address of the security archive, where there is one for the release.
    security: Option<String>,
    /// Settings in the syntax of apt.conf.
    settings: String,
    /// Logins and certificates by path.
    files: Vec<(String, u32, Vec<u8>)>,
}

impl Apt {
    /// Reads this machine's setup and asks the mirror which suites it has.
    pub(super) async fn of_this_machine(options: &Options) -> Result<Self> {
        let mut apt = match &options.mirror {
            Some(archive) => Self { archive: archive.clone(), ..Self::default() },
            None => sources_here().ok_or_else(|| {
                Error::local("find a Debian mirror", "this machine's apt sources name none")
                    .with_hint("name one by `--mirror`, as in `--mirror http://mirror.example/debian`")
            })?,
        };
        // A machine without apt has a mirror by option and no settings to take over.
        let dump = Local::new(["apt-config", "dump"]).run().await.unwrap_or_default();
        apt.settings = transport_settings(&dump, &options.proxies);
        apt.collect_files(&dump);
        apt.ask_suites().await?;
        Ok(apt)
    }

    fn collect_files(&mut self, dump: &str) {
        let mut paths = vec!["/etc/apt/auth.conf".to_owned()];
        paths.extend(files_in("/etc/apt/auth.conf.d"));
        let mut keep = |path: String, mode: u32| {
            if let Ok(content) = std::fs::read(&path) {
                self.files.push((path, mode, content));
            }
        };
        for path in paths {
            keep(path, 0o600);
        }
        // Client certificates and authorities are named by settings such as Acquire::https::CaInfo.
        let named = settings(dump).filter(|(name, _)| is_transport(name)).map(|(_, value)| value);
        for path in named.filter(|value| value.starts_with('/') && Path::new(value).is_file()) {
            keep(path.to_owned(), 0o644);
        }
        if self.archive.starts_with("https:") || self.settings.contains("https://") {
            for path in files_in("/usr/local/share/ca-certificates") {
                keep(path, 0o644);
            }
        }
    }

    async fn ask_suites(&mut self) -> Result<()> {
        let updates = format!("{SUITE}-updates");
        let security = format!("{SUITE}-security");
        let (main, has_updates, has_security) = tokio::join!(
            has_suite(Some(&self.archive), SUITE),
            has_suite(Some(&self.archive), &updates),
            has_suite(self.security.as_deref(), &security),
        );
        if !main {
            return Err(Error::local("find a Debian mirror", format!("`{}` has no suite `{SUITE}`", self.archive))
                .with_hint("name another mirror by `--mirror`"));
        }
        self.suites = vec![SUITE.into()];
        if has_updates {
            self.suites.push(updates);
        }
        self.security = self.security.take().filter(|_| has_security);
        Ok(())
    }

    /// What reaches the mirror: settings, logins and certificates.
    pub(super) fn access(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::file("/etc/apt/apt.conf.d/90kolla-lab", 0o644, self.settings.clone())];
        entries.extend(self.files.iter().map(|(path, mode, content)| Entry::file(path, *mode, content.clone())));
        entries
    }

    /// The sources of a host, in the deb822 format.
    pub(super) fn sources(&self) -> Entry {
        let stanza = |uri: &str, suites: &str| {
            let trusted = if self.trusted { "Trusted: yes\n" } else { "" };
            format!(
                "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n{trusted}\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
            )
        };
        let mut text = stanza(&self.archive, &self.suites.join(" "));
        if let Some(uri) = &self.security {
            text.push_str(&stanza(uri, &format!("{SUITE}-security")));
        }
        Entry::file("/etc/apt/sources.list.d/debian.sources", 0o644, text)
    }

    /// Whether the hosts must learn certificate authorities.
    pub(super) fn has_authorities(&self) -> bool {
        self.files.iter().any(|(path, ..)| path.starts_with("/usr/local/share/ca-certificates/"))
    }
}

/// Asks with apt's own downloader, hence with its proxies, logins and certificates; `true` where it is not there.
async fn has_suite(archive: Option<&str>, suite: &str) -> bool {
    let Some(archive) = archive else { return false };
    let Ok(folder) = tempfile::tempdir() else { return true };
    let url = format!("{}/dists/{suite}/InRelease", archive.trim_end_matches('/'));
    let target = folder.path().join("InRelease").display().to_string();
    let asked = Local::new(["/usr/lib/apt/apt-helper", "download-file", &url, &target]).output().await;
    asked.map_or(true, |output| output.code == 0)
}

fn files_in(folder: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    let mut paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    paths.sort();
    paths
}

/// Name and value of each line of `apt-config dump`.
fn settings(dump: &str) -> impl Iterator<Item = (&str, &str)> {
    dump.lines().filter_map(|line| {
        let (name, value) = line.trim_end().strip_suffix("\";")?.split_once(" \"")?;
        Some((name, value))
    })
}

fn is_transport(name: &str) -> bool {
    // A script that finds a proxy is a program of this machine, which a host does not have.
    TRANSPORT.iter().any(|prefix| name.starts_with(prefix))
        && !name.replace('-', "").to_ascii_lowercase().contains("autodetect")
}

fn transport_settings(dump: &str, proxies: &[(String, String)]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("// How the machine of the lab reaches its mirror.\n");
    for (name, value) in settings(dump).filter(|(name, value)| is_transport(name) && !value.is_empty()) {
        let _ = writeln!(text, "{name} \"{value}\";");
    }
    for (variable, value) in proxies {
        let name = match variable.to_ascii_lowercase().as_str() {
            "http_proxy" => "Acquire::http::Proxy",
            "https_proxy" => "Acquire::https::Proxy",
            _ => continue,
        };
        if !text.contains(&format!("{name} ")) {
            let _ = writeln!(text, "{name} \"{value}\";");
        }
    }
    text
}

fn sources_here() -> Option<Apt> {
    let release = std::fs::read_to_string("/etc/os-release").ok()?;
    let field = |name: &str| release.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_matches('"')));
    if field("ID=")? != "debian" {
        return None;
    }
    let codename = field("VERSION_CODENAME=").unwrap_or(SUITE);
    let mut paths = vec!["/etc/apt/sources.list".to_owned()];
    paths.extend(files_in("/etc/apt/sources.list.d"));
    let texts = paths.into_iter().filter_map(|path| Some((std::fs::read_to_string(&path).ok()?, path)));
    let lines = texts.filter_map(|(text, path)| match Path::new(&path).extension()?.to_str()? {
        "sources" => Some(stanzas(&text)),
        "list" => Some(one_liners(&text)),
        _ => None,
    });
    choose(&lines.flatten().collect::<Vec<_>>(), codename)
}

/// One source: an address with its suites, of the component `main`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uri: String,
    suites: Vec<String>,
    trusted: bool,
}

fn stanzas(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in text.replace("\r\n", "\n").split("\n\n") {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let words = |name: &str| -> Vec<String> {
            let value = fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str());
            value.split_whitespace().map(str::to_owned).collect()
        };
        let is = |name: &str, word: &str| words(name).iter().any(|value| value == word);
        if is("types", "deb") && is("components", "main") && !is("enabled", "no") {
            let (suites, trusted) = (words("suites"), is("trusted", "yes"));
            let source = |uri: String| Source { uri, suites: suites.clone(), trusted };
            sources.extend(words("uris").into_iter().map(source));
        }
    }
    sources
}

fn one_liners(text: &str) -> Vec<Source> {
    let source = |line: &str| {
        let line = line.split('#').next()?.trim().strip_prefix("deb ")?.trim();
        let (options, rest) = match line.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", line),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        words.any(|component| component == "main").then(|| Source {
            uri: uri.to_owned(),
            suites: vec![suite.to_owned()],
            trusted: options.split_whitespace().any(|option| option == "trusted=yes"),
        })
    };
    text.lines().filter_map(source).collect()
}

/// The archive of the distribution among all sources: third parties use its code names too, so an address that also
/// serves `-updates`, or whose path ends in /debian, is preferred.
fn choose(sources: &[Source], codename: &str) -> Option<Apt> {
    let serves = |uri: &str, suite: &str| sources.iter().any(|s| s.uri == uri && s.suites.iter().any(|x| x == suite));
    let web = |source: &&Source| source.uri.starts_with("http://") || source.uri.starts_with("https://");
    let score = |source: &Source| {
        let updates = serves(&source.uri, &format!("{codename}-updates"));
        u8::from(updates) * 2 + u8::from(source.uri.trim_end_matches('/').ends_with("/debian"))
    };
    let own = sources.iter().filter(web).filter(|source| serves(&source.uri, codename));
    // The first of equals: max_by_key takes the last.
    let archive = own.rev().max_by_key(|source| score(source))?;
    let named = format!("{codename}-security");
    let security = sources.iter().filter(web).find(|source| serves(&source.uri, &named)).map(|s| s.uri.clone());
    Some(Apt { archive: archive.uri.clone(), trusted: archive.trusted, security, ..Apt::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_found_among_third_parties_in_both_formats() {
        let third = "deb [arch=amd64] http://vendor.example/linux bookworm main\n# deb http://no.example/debian bookworm main\n";
        let own = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n\n\
                   # note\nTypes: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n";
        let sources: Vec<Source> = one_liners(third).into_iter().chain(stanzas(own)).collect();
        let apt = choose(&sources, "bookworm").unwrap();
        assert_eq!(apt.archive, "http://mirror.example/debian");
        assert_eq!(apt.security.as_deref(), Some("http://mirror.example/debian-security"));
        let single = one_liners("deb [trusted=yes] https://cache.example/remote bookworm main contrib\n");
        assert!(choose(&single, "bookworm").unwrap().trusted);
        assert_eq!(choose(&single, "sid"), None);
    }

    #[test]
    fn proxies_and_leniency_are_taken_over_and_programs_are_not() {
        let dump = "Acquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::Check-Date \"false\";\n\
                    Acquire::http::Proxy-Auto-Detect \"/usr/bin/find-proxy\";\nAcquire::IndexTargets::deb \"\";\n\
                    Acquire::https::ProxyAutoDetect \"/usr/bin/find-proxy\";\nDPkg::Post-Invoke:: \"rm -f x\";\n";
        let proxies = [
            ("http_proxy".to_owned(), "http://other.example".to_owned()),
            ("HTTPS_PROXY".into(), "http://s.example".into()),
        ];
        assert_eq!(
            transport_settings(dump, &proxies),
            "// How the machine of the lab reaches its mirror.\nAcquire::http::Proxy \"http://proxy.example:3128\";\n\
             Acquire::Check-Date \"false\";\nAcquire::https::Proxy \"http://s.example\";\n"
        );
    }
}
