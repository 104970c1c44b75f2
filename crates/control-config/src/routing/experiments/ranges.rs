//! Which units of its layer each experiment takes: no unit is in two experiments of one layer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Claiming;
use crate::Code;
use crate::document::Report;

/// Ends of ranges that are nearer than this are the same: a tenth and two tenths may be more than three tenths by what
/// rounding makes of them.
const NEAR: f64 = 1e-9;

/// What an experiment asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Claim {
    /// So much of the layer, wherever there is room.
    Share(f64),
    /// These units: from, to.
    Units(f64, f64),
}

/// Gives each experiment its range. Ranges that are written out come first; then, in the order of their names, those
/// that ask for a share take the first gap that is wide enough.
pub(super) fn assign(all: &mut BTreeMap<Box<str>, Claiming<'_>>, report: &mut Report<'_>) {
    let layers: BTreeSet<Arc<str>> = all.values().map(|read| read.block.routing.layer.clone()).collect();
    for layer in layers {
        let mut taken: Vec<Taken> = Vec::new();
        let mut of_layer: Vec<_> = all.iter_mut().filter(|(_, read)| read.block.routing.layer == layer).collect();
        // Stable: within each kind the order of the names stays.
        of_layer.sort_by_key(|(_, read)| matches!(read.claim, Claim::Share(_)));
        for (name, read) in of_layer {
            let range = match read.claim {
                Claim::Units(from, to) => free(&taken, (from, to), name, read, report),
                Claim::Share(share) => first_gap(&taken, share, name, read, report),
            };
            if let Some((from, to)) = range {
                (read.block.routing.from, read.block.routing.to) = (from, to);
                taken.push(Taken { from, to, name: name.clone() });
                taken.sort_by(|a, b| a.from.total_cmp(&b.from));
            }
        }
    }
}

struct Taken {
    from: f64,
    to: f64,
    name: Box<str>,
}

fn free(
    taken: &[Taken],
    (from, to): (f64, f64),
    name: &str,
    read: &Claiming<'_>,
    report: &mut Report<'_>,
) -> Option<(f64, f64)> {
    let Some(other) = taken.iter().find(|other| from + NEAR < other.to && other.from + NEAR < to) else {
        return Some((from, to));
    };
    let layer = &read.block.routing.layer;
    let message = format!(
        "experiments {name:?} and {:?} would share units of layer {layer:?}: {from} to {to} and {} to {}",
        other.name, other.from, other.to
    );
    let hint = "move one range, or give one a layer of its own: layers are independent of each other";
    read.place.flaw(Code::Overlap, message, hint.to_owned(), report);
    None
}

fn first_gap(
    taken: &[Taken],
    share: f64,
    name: &str,
    read: &Claiming<'_>,
    report: &mut Report<'_>,
) -> Option<(f64, f64)> {
    let starts = [0.0].into_iter().chain(taken.iter().map(|other| other.to));
    let ends = taken.iter().map(|other| other.from).chain([1.0]);
    let gaps: Vec<(f64, f64)> = starts.zip(ends).collect();
    if let Some((from, end)) = gaps.iter().find(|(from, end)| share <= end - from + NEAR) {
        return Some((*from, (from + share).min(*end)));
    }
    let widest = gaps.iter().map(|(from, end)| end - from).fold(0.0, f64::max);
    let others: Vec<String> = taken.iter().map(|o| format!("{:?} has {} to {}", o.name, o.from, o.to)).collect();
    let message = format!(
        "no room for {share} of layer {:?}, which experiment {name:?} asks for: {}",
        read.block.routing.layer,
        others.join(", ")
    );
    let hint = format!("the widest gap is {widest:.4}; ask for less, or give it a layer of its own");
    read.place.flaw(Code::Overlap, message, hint, report);
    None
}
