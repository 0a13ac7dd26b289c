//! What images there are: folders of images/ with a Dockerfile each, embedded in the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use crate::error::{Error, InputError, Kind, Result, nearest};
use crate::host::apt::{AptFile, archive};

static IMAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/images");

/// The folder there that is no image, but the program that goes into every one.
const CONTRACT: &str = "contract";

/// The sources of that program: they stand for its bytes in digests, which differ between a debug and a release build of
/// the same sources.
static PROGRAM: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/images/contract");

/// The file name under which a Dockerfile finds that program.
pub(super) const PROGRAM_NAME: &str = "kolla-image";

/// The parent of images that stand on bare Debian: it is bootstrapped, not built.
pub const DEBIAN: &str = "debian";

/// How one image is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The folder's name, which is the image's.
    pub name: String,
    /// The image it is built from: the default of `ARG PARENT`.
    pub parent: String,
    /// The folder's files by their path in it.
    files: BTreeMap<String, Vec<u8>>,
}

impl Definition {
    fn read(name: &str, files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let place = format!("images/{name}/Dockerfile");
        let dockerfile = files
            .get("Dockerfile")
            .ok_or_else(|| Error::input(format!("`{place}` is missing")).of(Kind::UnreadableFile))?;
        let dockerfile = String::from_utf8_lossy(dockerfile);
        let parent = dockerfile.lines().find_map(|line| line.strip_prefix("ARG PARENT=")).ok_or_else(|| {
            InputError::new(format!("`{place}` does not say its parent"))
                .hint("begin it with `ARG PARENT=base` and `FROM ${PARENT}`")
        })?;
        Ok(Self { name: name.to_owned(), parent: parent.trim().to_owned(), files })
    }

    /// Whether the image takes in the contract's program itself.
    pub(super) fn has_program(&self) -> bool {
        let dockerfile = String::from_utf8_lossy(&self.files["Dockerfile"]);
        dockerfile.lines().any(|line| line.starts_with("COPY ") && line.split(' ').any(|word| word == PROGRAM_NAME))
    }

    /// The build context: what starts with `#!`, and the program, can be executed.
    pub(super) fn archive(&self, program: Option<&[u8]>) -> Result<Vec<u8>> {
        let mut files: Vec<AptFile> = Vec::new();
        for (path, content) in &self.files {
            let mode = if content.starts_with(b"#!") { 0o755 } else { 0o644 };
            files.push(AptFile { path: path.clone(), mode, content: content.clone() });
        }
        if let Some(program) = program {
            files.push(AptFile { path: PROGRAM_NAME.to_owned(), mode: 0o755, content: program.to_vec() });
        }
        archive(&files)
    }

    /// The digest of all that decides the image's content: its files and, by `parent`, those below it.
    pub(super) fn inputs(&self, parent: &str, program: Option<&[u8]>) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("1\0{}\0{parent}\0", self.name));
        for (path, content) in &self.files {
            hasher.update(format!("{path}\0{}\0", content.len()));
            hasher.update(content);
        }
        if self.has_program() {
            match program {
                Some(bytes) => hasher.update(bytes),
                None => hash_folder(&PROGRAM, &mut hasher),
            }
        }
        hex::encode(hasher.finalize())
    }
}

fn hash_folder(folder: &Dir<'_>, hasher: &mut Sha256) {
    for file in folder.files() {
        hasher.update(format!("{}\0{}\0", file.path().display(), file.contents().len()));
        hasher.update(file.contents());
    }
    folder.dirs().for_each(|folder| hash_folder(folder, hasher));
}

/// All images that can be built, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions(BTreeMap<String, Definition>);

impl Definitions {
    /// Those that came with this program.
    ///
    /// # Errors
    /// When one of them is not valid, which a test rules out.
    pub fn embedded() -> Result<Self> {
        let folders = IMAGES.dirs().filter(|folder| folder.path() != Path::new(CONTRACT)).map(|folder| {
            let mut files = BTreeMap::new();
            collect(folder, folder, &mut files);
            (folder.path().display().to_string(), files)
        });
        Self::of(folders)
    }

    fn of(folders: impl IntoIterator<Item = (String, BTreeMap<String, Vec<u8>>)>) -> Result<Self> {
        let all = folders.into_iter().map(|(name, files)| Ok((name.clone(), Definition::read(&name, files)?)));
        let all = Self(all.collect::<Result<_>>()?);
        for name in all.names() {
            all.needed(&[name])?;
        }
        Ok(all)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The images named and all that they stand on, each after its parent. No name means all.
    ///
    /// # Errors
    /// When a name is unknown, or images stand on each other in a circle.
    pub fn needed<S: AsRef<str>>(&self, names: &[S]) -> Result<Vec<&Definition>> {
        let mut order: Vec<&Definition> = Vec::new();
        let wanted: Vec<&str> =
            if names.is_empty() { self.names().collect() } else { names.iter().map(AsRef::as_ref).collect() };
        for name in wanted {
            let mut below: Vec<&Definition> = Vec::new();
            let mut seen = BTreeSet::new();
            let mut at = name;
            while at != DEBIAN {
                let definition = self.0.get(at).ok_or_else(|| self.unknown(at))?;
                if !seen.insert(at) {
                    return Err(Error::input(format!("image `{name}` stands on itself")).of(Kind::Cycle));
                }
                below.push(definition);
                at = &definition.parent;
            }
            for definition in below.into_iter().rev() {
                if !order.iter().any(|other| other.name == definition.name) {
                    order.push(definition);
                }
            }
        }
        Ok(order)
    }

    fn unknown(&self, name: &str) -> Error {
        let error = InputError::new(format!("there is no image `{name}`")).of(Kind::UnknownName);
        let hint = match nearest(name, self.names()) {
            Some(near) => format!("write `{near}`"),
            None => format!("name one of {}", self.names().collect::<Vec<_>>().join(", ")),
        };
        error.hint(hint).into()
    }
}

fn collect(root: &Dir<'_>, folder: &Dir<'_>, files: &mut BTreeMap<String, Vec<u8>>) {
    for file in folder.files() {
        let path = file.path().strip_prefix(root.path()).unwrap_or(file.path());
        files.insert(path.display().to_string(), file.contents().to_vec());
    }
    folder.dirs().for_each(|folder| collect(root, folder, files));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, dockerfile: &str) -> (String, BTreeMap<String, Vec<u8>>) {
        (name.to_owned(), BTreeMap::from([("Dockerfile".to_owned(), dockerfile.as_bytes().to_vec())]))
    }

    #[test]
    fn what_came_with_the_program_is_valid_and_parents_come_first() {
        let all = Definitions::embedded().unwrap();
        let order: Vec<&str> =
            all.needed(&["rabbitmq", "haproxy"]).unwrap().iter().map(|image| image.name.as_str()).collect();
        assert_eq!(order, ["base", "rabbitmq", "haproxy"]);
        assert_eq!(all.needed::<&str>(&[]).unwrap().len(), all.names().count());
        assert!(all.0["base"].has_program() && !all.0["rabbitmq"].has_program());
    }

    #[test]
    fn a_mistyped_image_is_named_and_a_circle_is_refused() {
        let Error::Input(errors) = Definitions::embedded().unwrap().needed(&["rabitmq"]).unwrap_err() else { panic!() };
        assert_eq!(errors[0].hint.as_deref(), Some("write `rabbitmq`"));
        let circle = Definitions::of([folder("a", "ARG PARENT=b\n"), folder("b", "ARG PARENT=a\n")]);
        let Error::Input(errors) = circle.unwrap_err() else { panic!() };
        assert_eq!(errors[0].message, "image `a` stands on itself");
    }

    #[test]
    fn the_digest_follows_the_files_and_everything_below() {
        let one = Definitions::of([folder("a", "ARG PARENT=debian\nRUN one\n")]).unwrap();
        let two = Definitions::of([folder("a", "ARG PARENT=debian\nRUN two\n")]).unwrap();
        let (one, two) = (&one.0["a"], &two.0["a"]);
        assert_eq!(one.inputs("parent", None), one.clone().inputs("parent", Some(b"program")));
        assert_ne!(one.inputs("parent", None), two.inputs("parent", None));
        assert_ne!(one.inputs("parent", None), one.inputs("other", None));
        let base = &Definitions::embedded().unwrap().0["base"];
        assert_ne!(base.inputs("parent", None), base.inputs("parent", Some(b"program")));
    }

    #[test]
    fn scripts_can_be_executed_in_the_image() {
        let all = Definitions::embedded().unwrap();
        let bytes = all.0["base"].archive(Some(b"program")).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let modes: BTreeMap<String, u32> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!((modes["kolla-image"], modes["Dockerfile"]), (0o755, 0o644));
        assert_eq!(modes["root/usr/local/sbin/install-packages"], 0o755);
    }
}
