//! The fleet of processes, the revocations of its operators, and its troubles.

use std::{cell::RefCell, rc::Rc, thread, time::Duration};

use tokio::{
    runtime::Builder,
    task::{LocalSet, spawn_local},
    time::sleep,
};

use crate::{
    parameters::{Parameters, Trouble},
    process::{Process, Running},
    world::{Outcome, World},
};

/// How long a simulation lasts.
pub(crate) const SPAN: Duration = Duration::from_secs(4);

/// The mean time that a trouble lasts. A slow link lasts four times as long.
const TROUBLED: Duration = Duration::from_secs(1);

/// How often clients present a revoked key to each process.
const PRESENTED: usize = 2;

struct Fleet {
    world: Rc<World>,
    running: RefCell<Vec<Running>>,
}

/// Runs simulations at the same time, each on a thread, because a thread has one simulated clock.
pub(crate) fn run<const N: usize>(simulations: [Parameters; N]) -> [Outcome; N] {
    simulations
        .map(|parameters| thread::spawn(move || run_one(parameters)))
        .map(|running| running.join().unwrap())
}

fn run_one(parameters: Parameters) -> Outcome {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, simulate(parameters))
}

async fn simulate(parameters: Parameters) -> Outcome {
    let world = Rc::new(World::new(parameters));
    let running = (0..parameters.processes).map(|_| Running::start(&world));
    let fleet = Rc::new(Fleet {
        running: RefCell::new(running.collect()),
        world: Rc::clone(&world),
    });
    spawn_local(Rc::clone(&fleet).revoke(parameters.revocations_a_second));
    for trouble in parameters.troubles {
        spawn_local(Rc::clone(&fleet).trouble(*trouble, parameters.calm));
    }
    sleep(SPAN).await;
    world.outcome()
}

impl Fleet {
    fn some_index(&self) -> usize {
        self.world.random.below(self.running.borrow().len())
    }

    fn some_process(&self) -> Rc<Process> {
        let index = self.some_index();
        Rc::clone(&self.running.borrow()[index].process)
    }

    /// Revokes keys repeatedly.
    async fn revoke(self: Rc<Self>, a_second: u32) {
        loop {
            sleep(Duration::from_secs(1) / a_second).await;
            spawn_local(Rc::clone(&self).revoke_one());
        }
    }

    /// Revokes a key. Clients continue to present it to all processes.
    async fn revoke_one(self: Rc<Self>) {
        let World { random, feed, .. } = &*self.world;
        let id = self.world.retire();
        if !self.some_process().revoke(id).await {
            return;
        }
        for Running { process, .. } in &*self.running.borrow() {
            for _ in 0..PRESENTED {
                // The times around the bound are those at which a violation would begin.
                let after = feed.bound() / 2 + random.within(feed.bound());
                spawn_local(Rc::clone(process).present(id, after));
            }
        }
    }

    /// Troubles processes repeatedly.
    async fn trouble(self: Rc<Self>, trouble: Trouble, calm: Duration) {
        let random = &self.world.random;
        loop {
            let running = u32::try_from(self.running.borrow().len()).unwrap();
            let affected = match trouble {
                Trouble::Partition => running / 10,
                _ => 1,
            };
            sleep(random.around(calm * affected / running)).await;
            let span = random.around(TROUBLED);
            match trouble {
                Trouble::Partition => {
                    for _ in 0..affected {
                        self.some_process().link.cut(span);
                    }
                }
                Trouble::SlowLink => self.some_process().link.slow_down(4 * span, random),
                Trouble::Suspension => self.some_process().suspend(span),
                Trouble::Churn => self.replace(span),
            }
        }
    }

    /// Kills a process, and starts a new one after this time.
    fn replace(self: &Rc<Self>, after: Duration) {
        let killed = self.some_index();
        drop(self.running.borrow_mut().swap_remove(killed));
        let fleet = Rc::clone(self);
        spawn_local(async move {
            sleep(after).await;
            let started = Running::start(&fleet.world);
            fleet.running.borrow_mut().push(started);
        });
    }
}
