//! Whose a container is and of what each part of it was made, as it is and as it is to be: what it differs in.

use super::Container;
use crate::host::ContainerState;
use crate::op::names::{IMAGE_LABEL, PART_LABEL, SITE_LABEL};
use crate::op::{Attribute, Attributes, View};

/// Whose it is.
pub(super) const SITE: &str = "site";
/// The digest of its image.
pub(super) const IMAGE: &str = "image";

/// One of them is known not to be as it is to be.
pub(super) fn differ(attributes: &Attributes) -> bool {
    attributes.values().any(Attribute::differs)
}

impl Container {
    /// Whose a container is, and of what it was made. Where nobody tells which image is wanted, the one it has is.
    pub(super) async fn made(&self, state: Option<&ContainerState>, at: &View) -> Attributes {
        let label = |name: &str| state.and_then(|state| state.labels.get(name)).cloned().unwrap_or_default();
        let mut made = Attributes::from([(SITE.to_owned(), Attribute::new(label(SITE_LABEL), &at.shared.site))]);
        if state.is_some() {
            let image = at.shared.in_registry(&self.spec.image, at.host()).await.digest().ok();
            let image = image.unwrap_or_else(|| label(IMAGE_LABEL));
            made.insert(IMAGE.to_owned(), Attribute::new(label(IMAGE_LABEL), image));
        }
        for (name, digest) in self.parts() {
            made.insert(name.trim_start_matches(PART_LABEL).to_owned(), Attribute::new(label(&name), digest));
        }
        made
    }

    /// The files in the stable folder from which its process takes them over.
    pub(super) fn files(&self, at: &View) -> Attributes {
        let Some(reload) = &self.reload else { return Attributes::new() };
        let file = |(name, digest): (&String, &String)| {
            let path = format!("{}/{name}", reload.folder);
            let now = at.me.look(|look| look.files.get(&path).map(|file| file.digest.clone()));
            (format!("file {name}"), Attribute::new(now.unwrap_or_default(), digest))
        };
        reload.files.iter().map(file).collect()
    }
}
