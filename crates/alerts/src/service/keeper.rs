//! Writes the store on a thread of its own: a disk that hangs must keep no alert from being told.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;

use crate::outbox::Record;
use crate::store::Store;

/// Writes that wait for the disk. Beyond it everything is written anew once the disk is back.
const QUEUE_MAX: usize = 64;
/// How long the end waits for the disk.
const CLOSE_MAX: Duration = Duration::from_secs(2);

enum Write {
    /// These changed.
    Some(Vec<Record>),
    /// This is all there is.
    All(Vec<Record>),
}

#[derive(Debug, Default)]
struct State {
    /// Why the store does not hold everything; absent: it does.
    fault: Option<String>,
    /// Everything must be written anew.
    wants_all: bool,
}

type Shared = Arc<Mutex<State>>;

/// The store's thread.
#[derive(Debug)]
pub(super) struct Keeper {
    writes: Option<SyncSender<Write>>,
    state: Shared,
    thread: Option<thread::JoinHandle<()>>,
}

fn locked(state: &Shared) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Begins with a store at `path` that holds `records`.
    pub fn start(path: PathBuf, records: Vec<Record>) -> Keeper {
        let (writes, queue) = sync_channel(QUEUE_MAX);
        let state = Shared::default();
        let theirs = Arc::clone(&state);
        let spawned = thread::Builder::new().name("alerts-store".to_owned()).spawn(move || {
            let mut store = None;
            write_all(&mut store, &path, &records, &theirs);
            keep(store, &path, &queue, &theirs);
        });
        let thread = spawned.inspect_err(|e| locked(&state).fault = Some(e.to_string())).ok();
        Keeper { writes: Some(writes), state, thread }
    }

    /// Has `changed` written, or `all` if the store needs everything. Never waits.
    pub fn keep(&self, changed: Vec<Record>, all: impl Fn() -> Vec<Record>) {
        let Some(writes) = &self.writes else { return };
        let wants_all = std::mem::take(&mut locked(&self.state).wants_all);
        if !wants_all && changed.is_empty() {
            return;
        }
        if writes.try_send(if wants_all { Write::All(all()) } else { Write::Some(changed) }).is_err() {
            let mut state = locked(&self.state);
            state.wants_all = true;
            state.fault.get_or_insert_with(|| "the disk does not keep up".to_owned());
        }
    }

    /// Why the store does not hold everything.
    pub fn fault(&self) -> Option<String> {
        locked(&self.state).fault.clone()
    }

    /// Waits until everything is written, for a while.
    pub async fn close(&mut self) {
        self.writes = None;
        let Some(thread) = self.thread.take() else { return };
        let joined = tokio::time::timeout(CLOSE_MAX, tokio::task::spawn_blocking(move || thread.join())).await;
        if !matches!(joined, Ok(Ok(Ok(())))) {
            warn!("the store of alerts did not end in time");
        }
    }
}

fn keep(mut store: Option<Store>, path: &std::path::Path, queue: &Receiver<Write>, state: &Shared) {
    while let Ok(write) = queue.recv() {
        match write {
            Write::All(records) => write_all(&mut store, path, &records, state),
            Write::Some(records) => match &mut store {
                Some(open) => match open.append(&records) {
                    Ok(()) if open.is_long() => locked(state).wants_all = true,
                    Ok(()) => {}
                    Err(e) => failed(&mut store, &e, state),
                },
                // what could not be begun is begun anew with everything
                None => locked(state).wants_all = true,
            },
        }
    }
}

fn write_all(store: &mut Option<Store>, path: &std::path::Path, records: &[Record], state: &Shared) {
    match Store::start(path, records) {
        Ok(open) => {
            *store = Some(open);
            locked(state).fault = None;
        }
        Err(e) => failed(store, &e, state),
    }
}

fn failed(store: &mut Option<Store>, error: &crate::store::StoreError, state: &Shared) {
    *store = None;
    let mut state = locked(state);
    if state.fault.is_none() {
        warn!("alerts would not survive a crash: {error}");
    }
    state.fault = Some(error.to_string());
    state.wants_all = true;
}
