//! What a saved plan keeps of a container: whose it is, what each part of it was made of, whether it runs.

use super::{Container, IMAGE_LABEL, SITE_LABEL, told_to_stop};
use crate::error::Result;
use crate::op::{Attribute, Attributes, View, Want};

const RUNNING: &str = "running";
const DOWN: &str = "down";

impl Container {
    /// Each as it is and as it is to be. What a broken replacement left is not in it, nor whether it was ready: that is
    /// brought in order before anything is compared.
    pub(super) async fn compared(&self, at: &View) -> Result<Attributes> {
        if self.want != Want::Running {
            return Ok(self.leftover_attributes(at));
        }
        let state = at.me.container(&self.spec.name);
        let image = self.image_digest(at, state.as_ref()).await?;
        let label = |name: &str| state.as_ref().and_then(|state| state.labels.get(name)).cloned().unwrap_or_default();
        let runs = state.as_ref().is_some_and(|state| state.running() && !told_to_stop(state, &at.me));
        let mut found = Attributes::from([
            ("site".to_owned(), Attribute::new(label(SITE_LABEL), &at.shared.site)),
            ("image".to_owned(), Attribute::new(label(IMAGE_LABEL), image.unwrap_or_else(|| label(IMAGE_LABEL)))),
            ("state".to_owned(), Attribute::new(if runs { RUNNING } else { DOWN }, RUNNING)),
        ]);
        for (name, digest) in self.parts() {
            found.insert(name.trim_start_matches("kolla.part.").to_owned(), Attribute::new(label(&name), digest));
        }
        for (name, digest) in self.reload.iter().flat_map(|reload| &reload.files) {
            let path = self.reload.as_ref().map(|reload| format!("{}/{name}", reload.folder)).unwrap_or_default();
            let now = at.me.look(|look| look.files.get(&path).map(|file| file.digest.clone()));
            found.insert(format!("file {name}"), Attribute::new(now.unwrap_or_default(), digest));
        }
        Ok(found)
    }

    fn leftover_attributes(&self, at: &View) -> Attributes {
        let leftovers = self.leftovers(at).into_iter();
        let attribute = |alive: bool| {
            let after = if self.want == Want::Stopped { DOWN } else { "" };
            Attribute::new(if alive { RUNNING } else { DOWN }, after)
        };
        leftovers.map(|state| (format!("container {}", state.name), attribute(state.alive()))).collect()
    }
}
