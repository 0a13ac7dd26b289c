//! Files that a process takes over while it runs: checked by the image's own program, put into a folder that is always the
//! same, and put back where they are no good.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Container, Reload};
use crate::error::{Error, OperationError, Result};
use crate::host::{ContainerSpec, Remote};
use crate::op::View;
use crate::op::file_set;
use crate::op::image::Image;
use crate::op::names::{self, SETS};
use crate::op::probe::Answer;

/// How long a program may take that checks files.
const VALIDATES: Duration = Duration::from_mins(1);

impl Container {
    /// Checks new files and puts them where a reloading service reads them.
    pub(super) async fn install(&self, at: &View, host: &Remote) -> Result<()> {
        self.check_new_files(at, host).await?;
        self.put_in_place(at, host).await
    }

    pub(super) async fn put_in_place(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        file_set::install(at, host, &self.set(), &reload.folder, &reload.files).await
    }

    fn set(&self) -> String {
        format!("{SETS}/{}-{}", self.service, self.configuration)
    }

    /// The folder gets the files again with which its container was ready.
    pub(super) async fn put_back_files(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        let Some(configuration) = self.ready_with(host).await? else { return Ok(()) };
        let set = format!("{SETS}/{}-{configuration}", self.service);
        let old: BTreeMap<String, String> = at.me.look(|look| {
            let files = look.files.iter();
            files
                .filter_map(|(path, file)| {
                    Some((path.strip_prefix(&set)?.strip_prefix('/')?.into(), file.digest.clone()))
                })
                .collect()
        });
        if old.is_empty() {
            return Ok(());
        }
        file_set::install(at, host, &set, &reload.folder, &old).await
    }

    /// Has the running process take its new files over, and marks it.
    pub(super) async fn reload(&self, at: &View, host: &Remote) -> Result<()> {
        let Some(reload) = &self.reload else { return Ok(()) };
        self.check_new_files(at, host).await?;
        self.doubt(at, host).await?;
        self.put_in_place(at, host).await?;
        let Err(error) = self.taken_over(reload, host).await else {
            self.until_sent_to(at, host).await?;
            return self.mark_ready(at, host).await;
        };
        // It goes on with the old ones for now; with the new ones it may never start again.
        self.put_back_files(at, host).await?;
        let _ = host.act().exec(&self.spec.name, "0", &["kolla_set_configs".to_owned()], &[]).await;
        Err(error.because("the files that were there before are back".to_owned()))
    }

    /// Makes the process take its new files over.
    async fn taken_over(&self, reload: &Reload, host: &Remote) -> Result<()> {
        let argv = ["kolla_set_configs".to_owned()];
        let output = host.act().exec(&self.spec.name, "0", &argv, &[]).await?;
        if output.code != 0 {
            return Err(Error::operation(format!("container {} did not take its new files", self.spec.name))
                .because(output.stderr.trim().to_owned()));
        }
        let output = host.act().exec(&self.spec.name, "0", &reload.command, &[]).await?;
        if output.code != 0 {
            let said = format!("{}{}", output.stderr, output.text());
            return Err(Error::operation(format!("container {} did not reload", self.spec.name))
                .because(format!("{}: exit code {}", crate::shell::join(&reload.command), output.code))
                .because(said.trim().to_owned()));
        }
        match self.ready.until_right(host, &self.spec.name).await? {
            Answer::Right => Ok(()),
            answer => Err(self.failure(answer, host).await),
        }
    }

    /// Checks new files with the image's own program.
    pub(super) async fn check_new_files(&self, at: &View, host: &Remote) -> Result<()> {
        if self.validate.is_empty() {
            return Ok(());
        }
        let name = names::validate(&self.spec.name);
        let digest = at.image_digest(&self.spec.image).await?;
        let image = digest.map_or_else(|| self.spec.image.clone(), |digest| Image::pinned(&self.spec.image, &digest));
        let spec = ContainerSpec {
            name: name.clone(),
            image,
            command: self.validate.clone(),
            mounts: vec![format!("{}:/var/lib/kolla/config_files:ro", self.set())],
            labels: [(super::SITE_LABEL.to_owned(), at.shared.site.clone())].into(),
            ..ContainerSpec::default()
        };
        host.act().remove(&name).await?;
        host.act().create(&spec).await?;
        host.act().start(&name).await?;
        let waited = tokio::time::timeout(VALIDATES, host.act().wait(&name)).await;
        let Ok(code) = waited else {
            host.act().remove(&name).await?;
            let late = format!("the check of the new files of {} does not end; nothing was changed", self.service);
            return Err(Error::operation(late).because(crate::shell::join(&self.validate)));
        };
        let code = code?;
        let log = if code == 0 { Vec::new() } else { host.logs(&name, super::LOG_LINES).await.unwrap_or_default() };
        host.act().remove(&name).await?;
        if code == 0 {
            return Ok(());
        }
        Err(Error::Operation(Box::new(OperationError {
            message: format!("the new files of {} are not valid; nothing was changed", self.service),
            causes: vec![format!("{}: exit code {code}", crate::shell::join(&self.validate))],
            log_of: Some(name),
            log,
            hint: Some("see what your overrides in the config folder changed".into()),
        })))
    }
}
