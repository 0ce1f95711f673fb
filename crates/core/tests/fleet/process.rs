//! A process that verifies keys.

use std::{cell::Cell, convert::Infallible, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, spawn_local},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    KeyId, feed, network::Link, parameters::Fault, store::Lease, verifier::Verifier, world::World,
};

/// The mean time between two verifications of keys that are not revoked.
const PAUSE: Duration = Duration::from_millis(125);

/// How long an operation on the store may take.
const DEADLINE: Duration = Duration::from_secs(2);

pub(crate) struct Process {
    pub(crate) world: Rc<World>,
    pub(crate) link: Rc<Link>,
    pub(crate) lease: Arc<Lease>,
    verifier: Verifier,
    /// Until when nothing runs, as after `SIGSTOP`.
    suspended_until: Cell<Instant>,
}

/// A process and the tasks that it runs.
pub(crate) struct Running {
    pub(crate) process: Rc<Process>,
    tasks: [AbortHandle; 2],
}

impl Running {
    /// Starts a process.
    pub(crate) fn start(world: &Rc<World>) -> Self {
        let link = Rc::new(Link::new());
        let lease = Arc::new(Lease::lapsed());
        let process = Rc::new(Process {
            verifier: Verifier::new(world, &link, &lease),
            world: Rc::clone(world),
            link,
            lease,
            suspended_until: Cell::new(Instant::now()),
        });
        let (following, serving) = (Rc::clone(&process), Rc::clone(&process));
        let tasks = [
            spawn_local(async move { feed::follow(&following).await }).abort_handle(),
            spawn_local(serving.serve()).abort_handle(),
        ];
        Self { process, tasks }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Process {
    pub(crate) fn suspend(&self, span: Duration) {
        self.suspended_until.set(Instant::now() + span);
    }

    /// Waits while the process is suspended.
    pub(crate) async fn resumed(&self) {
        while Instant::now() < self.suspended_until.get() {
            sleep_until(self.suspended_until.get()).await;
        }
    }

    /// Verifies the tokens of clients until the process is killed.
    async fn serve(self: Rc<Self>) -> Infallible {
        loop {
            sleep(self.world.random.around(PAUSE)).await;
            self.resumed().await;
            let id = self.world.some_key();
            spawn_local(Rc::clone(&self).verify(id));
        }
    }

    /// Verifies the token of a revoked key that clients still present.
    pub(crate) async fn present(self: Rc<Self>, id: KeyId, after: Duration) {
        sleep(after).await;
        self.resumed().await;
        self.verify(id).await;
    }

    async fn verify(self: Rc<Self>, id: KeyId) {
        let began = Instant::now();
        let decided = timeout(DEADLINE, self.verifier.verify(&id)).await;
        self.world.observe(&self, &id, began, decided.ok());
    }

    /// Revokes a key for an operator, who tries it before and afterwards. Returns whether the
    /// revocation was acknowledged.
    pub(crate) async fn revoke(self: Rc<Self>, id: KeyId) -> bool {
        Rc::clone(&self).verify(id).await;
        let World {
            random, database, ..
        } = &*self.world;
        let revoked = self.link.ask(random, database.revoke(&id));
        if timeout(DEADLINE, revoked).await.is_err() {
            return false;
        }
        self.resumed().await;
        if !self.world.has(Fault::OwnCopyStaysFresh) {
            self.lease.changed(&id);
        }
        self.world.acknowledge(&self, id);
        self.verify(id).await;
        true
    }
}
