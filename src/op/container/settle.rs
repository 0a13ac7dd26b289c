//! What a run that was killed left of a container is brought in order.

use std::time::Duration;

use tokio::time::Instant;

use super::replace::drop_note;
use super::{Container, told_to_stop};
use crate::error::Result;
use crate::host::{ContainerState, Remote};
use crate::op::View;
use crate::op::probe::Answer;

/// How much longer than its time a stop may take that the engine carries out.
const STOPS: Duration = Duration::from_secs(5);

impl Container {
    /// After a run that was killed: brings in order what is there, so that it can be compared.
    pub(super) async fn settle(&self, at: &View, host: &Remote) -> Result<()> {
        let there = host.containers().await?;
        // What this one takes over from has the same data and ports: only one of the two may run.
        let retiring = self.retires.as_ref().and_then(|name| there.get(name)).is_some_and(ContainerState::running);
        match (there.get(&self.spec.name), there.contains_key(&self.previous())) {
            (Some(new), true) => {
                let good = new.running()
                    && !told_to_stop(new, &at.me)
                    && self.differences(new, None).is_empty()
                    && self.ready.until_right(host, &self.spec.name).await? == Answer::Right
                    && self.until_sent_to(at, host).await.is_ok();
                if good {
                    self.mark_ready(host, at).await?;
                    host.act().remove(&self.previous()).await?;
                } else {
                    self.give_back(!retiring, at, host).await?;
                }
            }
            (None, true) => self.give_back(!retiring, at, host).await?,
            (Some(old), false) => {
                let prepared = there.contains_key(&self.next());
                return self.settle_one(old, prepared, retiring, at, host).await;
            }
            (None, false) => {}
        }
        host.act().remove(&self.next()).await
    }

    /// The same of one that has not lost its name: where a new one was made that was to take its place, it may have been
    /// stopped for that.
    async fn settle_one(
        &self,
        old: &ContainerState,
        prepared: bool,
        retiring: bool,
        at: &View,
        host: &Remote,
    ) -> Result<()> {
        let told = told_to_stop(old, &at.me);
        let ended = match told {
            true => self.ends(at).await?,
            // One that the engine starts over and over may yet get up.
            false if prepared => !old.running(),
            false => !old.alive(),
        };
        if told && !ended {
            drop_note(&self.spec.name, at, host).await?;
        }
        if retiring && !prepared {
            host.act().stop(&self.spec.name, self.stop_timeout()).await?;
            at.me.refresh_containers().await?;
            return self.start(at, host).await;
        }
        if ended && !retiring {
            if prepared {
                self.put_back_files(at, host).await?;
            }
            self.start_again(at, host).await?;
            self.gets_ready(host).await?;
        } else if !prepared && !told {
            self.gets_ready(host).await?;
            return self.note_ready(host, at).await;
        }
        if prepared {
            self.undrain(at, host).await;
        }
        host.act().remove(&self.next()).await
    }

    /// Waits for the end of one that was told to stop; false where it goes on, because its stop never reached the engine
    /// or somebody has started it since.
    async fn ends(&self, at: &View) -> Result<bool> {
        let end = Instant::now() + Duration::from_secs(self.stop_timeout().into()) + STOPS;
        loop {
            at.me.refresh_containers().await?;
            if !at.me.container(&self.spec.name).is_some_and(|state| state.alive()) {
                return Ok(true);
            }
            if Instant::now() > end {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// The one before in its place again, and ready, if it is to run.
    async fn give_back(&self, start: bool, at: &View, host: &Remote) -> Result<()> {
        self.put_back(start, at, host).await?;
        if start { self.gets_ready(host).await } else { Ok(()) }
    }

    /// One that runs and does not serve must not be taken for one that does.
    async fn gets_ready(&self, host: &Remote) -> Result<()> {
        match self.ready.until_right(host, &self.spec.name).await? {
            Answer::Right => Ok(()),
            answer => Err(self.failure(answer, host).await),
        }
    }
}
