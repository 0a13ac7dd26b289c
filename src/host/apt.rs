//! How this machine reaches its Debian mirror, so that image builds and the lab's hosts reach it the same way.
//!
//! Taken over: the mirror's address, proxies and other transport settings, logins, and certificates where the
//! mirror is asked over TLS. Who uses it decides what of it may stay where.

use std::path::{Path, PathBuf};

use super::local::Local;
use crate::error::{Error, Result};
use crate::shell;

/// The Debian release of images and of lab hosts.
pub const SUITE: &str = "trixie";

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

/// The mode of files that hold a login.
const SECRET: u32 = 0o600;

/// Where the transport settings go.
const SETTINGS: &str = "/etc/apt/apt.conf.d/90kolla";

/// A file that belongs to the setup of apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptFile {
    /// Absolute path.
    pub path: String,
    /// Permissions.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

impl AptFile {
    fn new(path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, content: content.into() }
    }
}

/// What is needed to install Debian packages from where this machine gets its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apt {
    /// Address of the archive, as it stands in sources.list.
    pub archive: String,
    /// Whether the archive is trusted without signatures.
    pub trusted: bool,
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
    ///
    /// # Errors
    /// When there is no mirror with the release, or none can be found.
    pub async fn of_this_machine(mirror: Option<&str>, proxies: &[(String, String)]) -> Result<Self> {
        let mut apt = match mirror {
            Some(archive) => Self { archive: archive.to_owned(), ..Self::default() },
            None => sources_here().ok_or_else(|| {
                Error::local("find a Debian mirror", "this machine's apt sources name none")
                    .with_hint("name one by `--mirror`, as in `--mirror http://mirror.example/debian`")
            })?,
        };
        // A machine without apt has a mirror by option and no settings to take over.
        let dump = Local::new(["apt-config", "dump"]).run().await.unwrap_or_default();
        apt.settings = transport_settings(&dump, proxies);
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
            keep(path, SECRET);
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
    pub fn access(&self) -> Vec<AptFile> {
        let mut entries = vec![AptFile::new(SETTINGS, 0o644, self.settings.clone())];
        entries.extend(self.files.iter().map(|(path, mode, content)| AptFile::new(path, *mode, content.clone())));
        entries
    }

    /// The sources of a host, in the deb822 format.
    pub fn sources(&self) -> AptFile {
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
        AptFile::new("/etc/apt/sources.list.d/debian.sources", 0o644, text)
    }

    /// What may stay in an image that others get: no login, and no proxy, which may hold one.
    pub fn public_access(&self) -> Vec<AptFile> {
        let lines = self.settings.lines().filter(|line| !line.split(' ').next().unwrap_or("").ends_with("::Proxy"));
        let settings: String = lines.flat_map(|line| [line, "\n"]).collect();
        let files = self.access().into_iter().skip(1).filter(|file| file.mode != SECRET);
        std::iter::once(AptFile::new(SETTINGS, 0o644, settings)).chain(files).collect()
    }

    /// The proxies as variables of an environment: name and address.
    pub fn proxies(&self) -> Vec<(String, String)> {
        let named = |setting: &str, variable: &str| {
            let (_, value) = settings(&self.settings).find(|(name, _)| *name == setting)?;
            (value != "DIRECT").then(|| (variable.to_owned(), value.to_owned()))
        };
        let found = [named("Acquire::http::Proxy", "http_proxy"), named("Acquire::https::Proxy", "https_proxy")];
        found.into_iter().flatten().collect()
    }

    /// Whether the archive is one of those that this machine logs in to.
    pub fn needs_login(&self) -> bool {
        let machine = self.archive.split("://").nth(1).unwrap_or_default().split(['/', ':']).next().unwrap_or_default();
        let texts = self.files.iter().filter(|(_, mode, _)| *mode == SECRET);
        let mut words = texts.flat_map(|(_, _, text)| {
            let text = String::from_utf8_lossy(text).into_owned();
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        });
        words.any(|word| word.split("://").last().unwrap_or_default().split('/').next() == Some(machine))
    }

    /// Makes a file system of Debian in `folder` and gives the path of its tar file. `recipe` holds options of
    /// mmdebstrap; `tree` is a tar archive that is laid over it at the end.
    ///
    /// # Errors
    /// When mmdebstrap fails.
    pub async fn bootstrap(&self, recipe: Vec<String>, tree: &[u8], folder: &Path) -> Result<PathBuf> {
        let place = |name: &str| folder.join(name);
        let write = |name: &str, content: &[u8]| {
            let path = place(name);
            std::fs::write(&path, content).map_err(|error| Error::local(format!("write {}", path.display()), error))?;
            Ok::<_, Error>(shell::quote(&path.display().to_string()))
        };
        let access = write("access.tar", &archive(&self.access())?)?;
        let tree = write("tree.tar", tree)?;
        let root = place("root.tar");
        let mut argv = vec!["mmdebstrap".to_owned(), "--quiet".into()];
        argv.extend(recipe);
        // How the mirror is reached is needed here and does not stay, unless it is in the tree.
        argv.push(format!("--setup-hook=tar-in {access} /"));
        let names: Vec<String> =
            self.access().iter().map(|file| format!("\"$1\"{}", shell::quote(&file.path))).collect();
        argv.push(format!("--customize-hook=rm -f {} \"$1\"/etc/apt/sources.list", names.join(" ")));
        argv.push(format!("--customize-hook=tar-in {tree} /"));
        if has_keyring() {
            argv.push("--keyring=/usr/share/keyrings".into());
        }
        let trusted = if self.trusted { "[trusted=yes] " } else { "" };
        argv.push(SUITE.into());
        argv.push(root.display().to_string());
        argv.push(format!("deb {trusted}{} {SUITE} main", self.archive));
        Local::new(argv).run().await.map_err(|error| {
            error.with_hint("check that this machine's own `apt-get update` works, and that /tmp has 1 GiB free")
        })?;
        Ok(root)
    }

    /// Whether the hosts must learn certificate authorities.
    pub fn has_authorities(&self) -> bool {
        self.files.iter().any(|(path, ..)| path.starts_with("/usr/local/share/ca-certificates/"))
    }
}

/// A tar archive of the files, owned by root.
///
/// # Errors
/// When a path does not fit into one.
pub fn archive(files: &[AptFile]) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        header.set_size(file.content.len() as u64);
        let path = file.path.trim_start_matches('/');
        let added = tar.append_data(&mut header, path, file.content.as_slice());
        added.map_err(|error| Error::local(format!("pack {}", file.path), error))?;
    }
    tar.into_inner().map_err(|error| Error::local("pack files", error))
}

/// Packages that bootstrapping needs and this machine lacks.
pub async fn missing_tools() -> Vec<String> {
    let mut missing = Vec::new();
    if Local::new(["mmdebstrap", "--version"]).output().await.is_err() {
        missing.push("mmdebstrap".to_owned());
    }
    if !has_keyring() {
        missing.push("debian-archive-keyring".to_owned());
    }
    missing
}

/// Installs packages on this machine.
///
/// # Errors
/// When `apt-get` cannot.
pub async fn install(packages: &[String]) -> Result<()> {
    let apt = |words: &[&str]| {
        let words = ["apt-get", "-q", "-y"].iter().chain(words).map(|word| (*word).to_owned());
        Local::new(words).env("DEBIAN_FRONTEND", "noninteractive")
    };
    let mut words = vec!["install", "--no-install-recommends"];
    words.extend(packages.iter().map(String::as_str));
    if apt(&words).run().await.is_err() {
        // Package lists may be missing or too old.
        apt(&["update"]).run().await?;
        apt(&words).run().await?;
    }
    Ok(())
}

/// Debian's keys are where mmdebstrap can be pointed at.
fn has_keyring() -> bool {
    let Ok(entries) = std::fs::read_dir("/usr/share/keyrings") else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("debian-archive-"))
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
    let mut text = String::from("// How the machine that built this reaches its mirror.\n");
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
    fn logins_and_proxies_stay_out_of_images() {
        let apt = Apt {
            archive: "https://mirror.example/debian".into(),
            settings: "Acquire::http::Proxy \"http://me:secret@proxy.example:3128\";\nAcquire::Retries \"3\";\n".into(),
            files: vec![("/etc/apt/auth.conf".into(), SECRET, b"machine mirror.example login me password p".into())],
            ..Apt::default()
        };
        let public = apt.public_access();
        assert_eq!(public, [AptFile::new(SETTINGS, 0o644, "Acquire::Retries \"3\";\n")]);
        assert_eq!(apt.proxies(), [("http_proxy".to_owned(), "http://me:secret@proxy.example:3128".to_owned())]);
        assert!(apt.needs_login());
        assert!(!Apt { archive: "http://other.example/debian".into(), ..apt }.needs_login());
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
            "// How the machine that built this reaches its mirror.\nAcquire::http::Proxy \"http://proxy.example:3128\";\n\
             Acquire::Check-Date \"false\";\nAcquire::https::Proxy \"http://s.example\";\n"
        );
    }
}
