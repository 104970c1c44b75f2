//! Which commit the routing in force is of, where routing.toml lies in a Git working tree.
//!
//! `git` is asked on the thread that hears of edits, never on the control thread. It is asked again from time to time,
//! because a commit may come after the edit, and because a commit that leaves routing.toml alone is the live one too.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};

use control_config::{FileEvent, TreeState, working_tree};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use tracing::info;

use crate::control::Control;
use crate::turn::{Core, Event};

/// Looks at routing.toml for each look at its commit.
const POLLS_PER_LOOK: u32 = 8;

/// Of which commit the routing in force is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoutingSource {
    /// The commit that is checked out, in full.
    pub commit: String,
    /// Its first twelve digits.
    pub short: String,
    /// The branch, unless none is checked out.
    pub branch: Option<String>,
    /// Whether what is in force differs from what the commit holds.
    pub dirty: bool,
    /// The remote, without credentials.
    pub remote: Option<String>,
}

/// What is known of the text in force.
#[derive(Debug, Default)]
pub(crate) struct LiveText {
    /// The working tree when the text that is being taken was read.
    read: Option<TreeState>,
    /// The working tree of the text in force.
    tree: Option<TreeState>,
    /// The text in force.
    bytes: Arc<[u8]>,
}

impl LiveText {
    /// A text was read, and may be taken.
    pub(crate) fn note_read(&mut self, tree: Option<TreeState>) {
        self.read = tree;
    }

    /// The text read last is in force.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.tree.clone_from(&self.read);
        self.bytes = bytes.into();
    }

    /// What the journal says of the text being taken: in words, and as JSON.
    pub(crate) fn told(&self) -> Option<(String, String)> {
        let tree = self.read.as_ref()?;
        Some((tree.to_string(), json!({ "source": RoutingSource::of(tree) }).to_string()))
    }
}

impl RoutingSource {
    fn of(tree: &TreeState) -> Self {
        Self {
            commit: tree.commit.clone(),
            short: tree.short().to_owned(),
            branch: tree.branch.clone(),
            dirty: tree.is_dirty,
            remote: tree.remote.clone(),
        }
    }
}

impl Control {
    /// Of which commit the routing in force is, if that is known.
    pub fn routing_source(&self) -> Option<RoutingSource> {
        self.core.lock().live_text.tree.as_ref().map(RoutingSource::of)
    }
}

impl Core {
    /// Shows the commit in force in the metrics.
    pub(crate) fn show_source(&self) {
        let tree = self.lock().live_text.tree.clone();
        self.metrics.set_config_commit(tree.as_ref().map(|tree| (tree.short(), tree.is_dirty)));
    }

    /// Asks anew which commit the text in force is of.
    fn look_at_source(&self, path: &Path) {
        let bytes = self.lock().live_text.bytes.clone();
        let tree = working_tree(path, &bytes);
        let mut state = self.lock();
        let live = &mut state.live_text;
        // Another text came meanwhile, and with it its own answer. An answer that failed is no news.
        if !Arc::ptr_eq(&live.bytes, &bytes) || tree.is_none() || live.tree == tree {
            return;
        }
        live.tree = tree;
        let told = live.tree.as_ref().map(ToString::to_string);
        drop(state);
        self.show_source();
        info!(source = told, "routing.toml in force is of another state of its working tree");
    }
}

/// Hands on edits of routing.toml, each with the commit it is of.
pub(crate) fn hand_on(core: &Core, path: &Path, changes: &Receiver<FileEvent>, events: &SyncSender<Event>) {
    loop {
        match changes.recv_timeout(core.settings.watch.poll * POLLS_PER_LOOK) {
            Ok(event) => {
                let tree = event.content.as_ref().ok().and_then(|content| working_tree(&event.path, content));
                if events.send(Event::File(event, tree)).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => core.look_at_source(path),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
