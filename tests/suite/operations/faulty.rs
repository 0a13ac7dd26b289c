//! A machine whose session is lost, or whose run is killed, at one order that it is given.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kolla::error::{Error, HostCause, Result};
use kolla::host::fake::{Fake, World};
use kolla::host::{
    ContainerSpec, ContainerState, Grant, HttpAnswer, HttpAsk, ImageState, LeaseNote, ListedImage, Look, LookRequest,
    Machine, OnProgress, Output, PutFile, Reach, RegistryLogin,
};

/// What happens at an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The run is killed before the host has it.
    Killed,
    /// The run is killed, and the engine carries it out 3 s later.
    KilledLate,
    /// The session is lost before the host has it; the run goes on.
    Lost,
    /// The session is lost, and the host carries it out; the run goes on.
    LostAfter,
    /// The session is lost, and the engine carries it out 3 s later; the run goes on.
    LostLate,
}

impl Fault {
    /// Killed after an order is killed before the next one.
    pub(super) const ALL: [Self; 5] = [Self::Killed, Self::KilledLate, Self::Lost, Self::LostAfter, Self::LostLate];

    fn kills(self) -> bool {
        matches!(self, Self::Killed | Self::KilledLate)
    }

    /// Only what takes the engine its time can come late.
    fn fits(self, order: &str) -> bool {
        !matches!(self, Self::KilledLate | Self::LostLate) || ["stop", "remove"].contains(&order)
    }
}

/// What became of the fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Met {
    /// There was no order of this number.
    #[default]
    Never,
    /// It cannot happen at that order.
    Unfit,
    /// It happened.
    Happened,
}

#[derive(Default)]
struct State {
    orders: usize,
    dead: bool,
    met: Met,
}

/// A host in memory behind such a session. Everything that changes it, or is told to a program on it, is an order.
#[derive(Clone)]
pub(super) struct Faulty {
    fake: Fake,
    fault: Option<(usize, Fault)>,
    state: Arc<Mutex<State>>,
    seen: Arc<dyn Fn(&World) + Send + Sync>,
}

impl Faulty {
    /// With a fault at the order of a number, or none; `seen` is shown the host after each order.
    pub(super) fn new(fake: &Fake, fault: Option<(usize, Fault)>, seen: Arc<dyn Fn(&World) + Send + Sync>) -> Self {
        Self { fake: fake.clone(), fault, state: Arc::default(), seen }
    }

    pub(super) fn machine(&self) -> Arc<dyn Machine> {
        Arc::new(self.clone())
    }

    pub(super) fn met(&self) -> Met {
        self.state.lock().unwrap().met
    }

    fn lost(&self) -> Error {
        Error::host(self.fake.name(), "ask it", HostCause::Lost("reset".into()))
    }

    fn alive(&self) -> Result<&Fake> {
        if self.state.lock().unwrap().dead { Err(self.lost()) } else { Ok(&self.fake) }
    }

    async fn order<T>(&self, order: &'static str, container: &str, done: impl Future<Output = Result<T>>) -> Result<T> {
        self.alive()?;
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.orders += 1;
            let fault = self.fault.filter(|(number, _)| *number + 1 == state.orders).map(|(_, fault)| fault);
            if let Some(fault) = fault {
                state.met = if fault.fits(order) { Met::Happened } else { Met::Unfit };
                state.dead = fault.kills() && fault.fits(order);
            }
            fault.filter(|fault| fault.fits(order))
        };
        match fault {
            None | Some(Fault::LostAfter) => {
                let done = done.await;
                (self.seen)(&self.fake.world());
                if fault.is_none() { done } else { Err(self.lost()) }
            }
            Some(Fault::KilledLate | Fault::LostLate) => {
                self.carry_out_late(order, container);
                Err(self.lost())
            }
            Some(Fault::Killed | Fault::Lost) => Err(self.lost()),
        }
    }

    /// The engine has the order, and is at it for a while: unless somebody else has started the container since.
    fn carry_out_late(&self, order: &'static str, container: &str) {
        let Some(meant) = self.fake.world().containers.get(container).cloned() else { return };
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let same = this.fake.world().containers.values().find(|now| now.id == meant.id).cloned();
            let Some(now) = same.filter(|now| now.started == meant.started) else { return };
            let machine = this.fake.machine();
            match order {
                "stop" => machine.stop(&now.id, 1).await.unwrap(),
                _ => machine.remove(&now.spec.name).await.unwrap(),
            }
            (this.seen)(&this.fake.world());
        });
    }
}

#[async_trait]
impl Machine for Faulty {
    fn name(&self) -> &str {
        self.fake.name()
    }

    fn requests(&self) -> u64 {
        self.fake.requests()
    }

    async fn look(&self, ask: &LookRequest) -> Result<Look> {
        self.alive()?.look(ask).await
    }

    async fn look_and_lease(&self, ask: &LookRequest, note: &LeaseNote) -> Result<(Look, Grant)> {
        self.alive()?.look_and_lease(ask, note).await
    }

    async fn lease(&self, note: &LeaseNote, within: Duration) -> Result<Grant> {
        self.alive()?.lease(note, within).await
    }

    async fn containers(&self) -> Result<BTreeMap<String, ContainerState>> {
        self.alive()?.containers().await
    }

    async fn volumes(&self, label: &str) -> Result<Vec<String>> {
        self.alive()?.volumes(label).await
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageState>> {
        self.alive()?.image(reference).await
    }

    async fn images(&self, label: &str) -> Result<Vec<ListedImage>> {
        self.alive()?.images(label).await
    }

    async fn registry_digest(&self, reference: &str, login: Option<&RegistryLogin>) -> Result<String> {
        self.alive()?.registry_digest(reference, login).await
    }

    async fn logs(&self, container: &str, lines: usize) -> Result<Vec<String>> {
        self.alive()?.logs(container, lines).await
    }

    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.alive()?.read(path).await
    }

    async fn http(&self, ask: &HttpAsk, within: Duration) -> Result<HttpAnswer> {
        self.alive()?.http(ask, within).await
    }

    async fn reach(&self, address: &str, port: u16, within: Duration) -> Result<Reach> {
        self.alive()?.reach(address, port, within).await
    }

    async fn exec_within(
        &self,
        container: &str,
        user: &str,
        argv: &[String],
        stdin: &[u8],
        limit: Duration,
    ) -> Result<Output> {
        let done = self.fake.exec_within(container, user, argv, stdin, limit);
        if argv == ["ask"] {
            self.alive()?;
            return done.await;
        }
        self.order("exec", container, done).await
    }

    async fn upload(
        &self,
        ask: &HttpAsk,
        file: &Path,
        within: Duration,
        progress: OnProgress<'_>,
    ) -> Result<HttpAnswer> {
        self.order("upload", "", self.fake.upload(ask, file, within, progress)).await
    }

    async fn run_within(&self, script: &str, stdin: &[u8], limit: Duration) -> Result<Output> {
        self.order("run", "", self.fake.run_within(script, stdin, limit)).await
    }

    async fn put(&self, files: &[PutFile]) -> Result<()> {
        self.order("put", "", self.fake.put(files)).await
    }

    async fn rewrite(&self, path: &str, content: &[u8]) -> Result<()> {
        self.order("rewrite", "", self.fake.rewrite(path, content)).await
    }

    async fn pull(&self, reference: &str, login: Option<&RegistryLogin>, progress: OnProgress<'_>) -> Result<()> {
        self.order("pull", "", self.fake.pull(reference, login, progress)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        self.order("create", "", self.fake.create(spec)).await
    }

    async fn start(&self, container: &str) -> Result<()> {
        self.order("start", container, self.fake.start(container)).await
    }

    async fn stop(&self, container: &str, timeout: u32) -> Result<()> {
        self.order("stop", container, self.fake.stop(container, timeout)).await
    }

    async fn kill(&self, container: &str, signal: &str) -> Result<()> {
        self.order("kill", "", self.fake.kill(container, signal)).await
    }

    async fn rename(&self, container: &str, name: &str) -> Result<()> {
        self.order("rename", "", self.fake.rename(container, name)).await
    }

    async fn remove(&self, container: &str) -> Result<()> {
        self.order("remove", container, self.fake.remove(container)).await
    }

    async fn wait(&self, container: &str) -> Result<i64> {
        self.order("wait", "", self.fake.wait(container)).await
    }

    async fn volume_create(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
        self.order("volume", "", self.fake.volume_create(name, labels)).await
    }

    async fn volume_remove(&self, name: &str) -> Result<()> {
        self.order("volume", "", self.fake.volume_remove(name)).await
    }

    async fn image_remove(&self, reference: &str) -> Result<()> {
        self.order("image", "", self.fake.image_remove(reference)).await
    }
}
