//! Files of a service or of a host: what each is made of.

use crate::error::Kind;
use crate::shell::syntax::Syntax;
use crate::source::{Data, Fields, Node, is_template, not_rendered};

use super::parser::{Parser, pairs};

/// A file of a service, or of a host.
#[derive(Debug, Clone)]
pub struct FileSpec {
    /// Where it stands in the role.
    pub node: Node,
    /// What it is made of.
    pub source: Source,
    /// Variables beside the host's, for what this file is made of.
    pub with: Vec<(String, Node)>,
    /// Names that other files give to the same templates and this one does not: undefined, whatever a site has.
    pub left_out: Vec<String>,
    /// Path in the container (or on the host); of one that is given it may be a folder.
    pub to: String,
    /// What the operator's file for it is called where that is not the name it has there: `FILE` or `FOLDER/FILE`.
    pub known_as: Option<String>,
    /// Owner.
    pub owner: String,
    /// Permissions in octal.
    pub mode: u32,
    /// How files of the site are joined with it.
    pub merge: Merge,
    /// What it is written in, and with it what the role prints into it; as it is where there is none.
    pub syntax: Option<Syntax>,
    /// The operator must have it where the condition holds.
    pub required: bool,
    /// Condition.
    pub when: Option<Node>,
}

/// What a file is made of.
#[derive(Debug, Clone)]
pub enum Source {
    /// Templates by file name: one, or several that are merged, later ones over earlier ones.
    Templates(Vec<String>),
    /// A value: text, or what becomes JSON.
    Content(Node),
    /// The first of these that the site has, or all that are like the only one; where it has none, there is no file.
    Given(Vec<String>),
}

/// How files of the site are joined with one of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// One of its name replaces it.
    Replace,
    /// Those of its name are merged into it.
    Ini,
    /// The same for YAML.
    Yaml,
    /// Those of all OpenStack services, of the role and of the service are merged into it.
    Oslo,
}

impl Parser<'_> {
    /// A file of a host, which has no service, and where nothing takes a file away again.
    pub(super) fn host_file(&mut self, node: &Node) -> FileSpec {
        let spec = self.file(node);
        if matches!(spec.source, Source::Given(_)) || spec.merge == Merge::Oslo {
            self.fail(node, "`given` and `merge: oslo` are for files of services", Kind::RoleRule);
        }
        spec
    }

    pub(super) fn file(&mut self, node: &Node) -> FileSpec {
        let mut fields = Fields::of(self.document, node);
        let template = fields.take("template");
        let content = fields.take("content");
        let given = fields.take("given");
        let to = fields.need("to").and_then(Node::as_str).unwrap_or_default().to_owned();
        let mode = fields.take("mode");
        let merge = match fields.text("merge").as_deref() {
            Some("ini") => Merge::Ini,
            Some("oslo") => Merge::Oslo,
            Some("yaml") => Merge::Yaml,
            _ => Merge::Replace,
        };
        let written = fields.text("syntax").as_deref().and_then(Syntax::named);
        let usual = if merge == Merge::Oslo { Some(Syntax::Oslo) } else { Syntax::of_file(&to) };
        let sources = [template, content, given].into_iter().flatten().count();
        let source = if let Some(names) = template {
            Source::Templates(self.templates(names))
        } else if let Some(names) = given {
            Source::Given(self.names(names).into_iter().map(|(_, name)| name.to_owned()).collect())
        } else {
            Source::Content(content.unwrap_or(node).clone())
        };
        let spec = FileSpec {
            node: node.clone(),
            source,
            with: pairs(fields.map("with")),
            left_out: Vec::new(),
            to,
            known_as: fields.text("override"),
            owner: fields.text("owner").unwrap_or_else(|| "root".into()),
            mode: match mode.map(|node| &node.data) {
                None => 0o600,
                Some(Data::Str(text)) => octal(text).unwrap_or_else(|| {
                    fields.fail(mode.unwrap_or(node), format!("mode `{text}` is not octal"));
                    0
                }),
                Some(_) => {
                    fields.fail(mode.unwrap_or(node), "`mode` must be quoted, as \"0600\"");
                    0
                }
            },
            merge,
            syntax: written.or(usual),
            required: fields.flag("required"),
            when: fields.take("when").cloned(),
        };
        if sources != 1 && (sources > 1 || !fields.has_unknown()) {
            fields.against(node, "a file has exactly one of `template`, `content`, `given`");
        }
        match &spec.source {
            _ if spec.known_as.is_some() && (merge == Merge::Oslo || matches!(spec.source, Source::Given(_))) => {
                fields.against(node, "`override` is not for files that are `given`, nor for `merge: oslo`");
            }
            Source::Templates(_) | Source::Content(_) if spec.required => {
                fields.against(node, "`required` is for files that are `given`");
            }
            Source::Given(_) if merge != Merge::Replace => {
                fields.against(node, "a file that is `given` is taken whole: leave out `merge`");
            }
            Source::Given(names) if names.iter().any(|name| many(name)) => {
                let folder =
                    |name: &String| name.trim_end_matches('/').rsplit_once('/').is_some_and(|(at, _)| many(at));
                if names.len() > 1 || !spec.to.ends_with('/') || names.iter().any(folder) {
                    let message = "a folder or pattern that is `given` stands alone, `to` is a folder, and only the last part \
                                   has `*` or `?`";
                    fields.against(node, message);
                }
            }
            Source::Templates(names) if names.len() > 1 && merge == Merge::Replace => {
                fields.against(node, "several templates are merged: add `merge: ini`, `merge: oslo` or `merge: yaml`");
            }
            Source::Templates(_) | Source::Content(_) if spec.to.ends_with('/') => {
                fields.against(node, "`to` is a folder: add the file's name");
            }
            _ => {}
        }
        self.errors.extend(fields.finish());
        spec
    }

    /// Names of templates that are there.
    fn templates(&mut self, node: &Node) -> Vec<String> {
        let names = self.names(node);
        for (item, name) in &names {
            if !self.templates.contains_key(*name) {
                let near = crate::error::nearest(name, self.templates.keys().map(String::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                self.fail(item, format!("there is no template `{name}`"), Kind::UnknownName);
                if let Some(error) = self.errors.last_mut() {
                    error.hint = hint;
                }
            }
        }
        names.into_iter().map(|(_, name)| name.to_owned()).collect()
    }

    /// A name, or a list of names.
    fn names<'n>(&mut self, node: &'n Node) -> Vec<(&'n Node, &'n str)> {
        let items = match &node.data {
            Data::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut names = Vec::new();
        for item in items {
            match item.as_str() {
                Some(name) if is_template(name) => {
                    self.errors.push(not_rendered(&format!("`{name}`")).at(self.document.place(item)));
                }
                Some(name) => names.push((item, name)),
                None => self.fail(item, format!("expected a name, found {}", item.data.kind()), Kind::WrongValue),
            }
        }
        names
    }
}

/// It stands for several files: a folder, or a name with `*` or `?`.
pub(crate) fn many(name: &str) -> bool {
    name.ends_with('/') || name.contains(['*', '?'])
}

/// Permissions with their three special bits.
fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'))
}
