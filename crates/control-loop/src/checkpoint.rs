//! A trial's state as stored, so that it goes on where it was after a restart. Names stay put, because files outlive
//! programs; what an older release did not store is empty.

use base_types::Digest;
use control_rollout::{
    ArmCheckpoint, ArmTotals, BINS_MAX, Checkpoint, CrashCounts, Frozen, LATENCY_QUANTILES_MAX, Over,
    RelativeCheckpoint, Rule, RuleCheckpoint, ShadowTotals, ShareTally, ShareTotals, SteadyCheckpoint, Successes,
};
use serde::{Deserialize, Serialize};

use crate::state::{OpenTrial, StoredTrial};

#[derive(Serialize, Deserialize)]
struct Stored {
    stable: String,
    since_unix_ms: u64,
    limit: f64,
    tolerate_ratio: f64,
    candidate_arm: StoredArm,
    stable_arm: StoredArm,
    relative_faults: [u64; 2],
    log_products: Vec<f64>,
    log1p_restart: Vec<f64>,
    shares: Vec<(f64, u64, u64)>,
    pending: [u64; 2],
    crashes: [u64; 2],
    is_shared_incident: bool,
    #[serde(default)]
    totals: StoredTotals,
}

/// What the rules judged from totals need.
#[derive(Default, Serialize, Deserialize)]
struct StoredTotals {
    is_latency_incident: bool,
    rules: Vec<StoredRule>,
    by_share: Vec<StoredShare>,
    over: Option<(StoredShare, f64, f64)>,
    shadow: [u64; 5],
    latency_quantiles: Vec<f64>,
    latency_seconds: Vec<f64>,
    decile_edges: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
struct StoredRule {
    rule: String,
    bounds: Vec<f64>,
    hits: u64,
    others: u64,
    n_steps: u64,
    sum: f64,
    log_products: Vec<f64>,
    log1p_restart: Vec<f64>,
    shares: Vec<(f64, u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct StoredShare {
    share: f64,
    candidate: StoredCounts,
    stable: StoredCounts,
}

/// Assigned, ok, faults, timed, slow, labels, mistakes; then slow answers by quantile, and bins.
#[derive(Serialize, Deserialize)]
struct StoredCounts([u64; 7], Vec<u64>, Vec<u64>);

#[derive(Serialize, Deserialize)]
struct StoredArm {
    faults: u64,
    successes: u64,
    log1p_restart: Vec<f64>,
    erring_keys: Vec<u64>,
}

/// A trial's state, to be stored.
pub(crate) fn json(open: &OpenTrial) -> String {
    let checkpoint = open.trial.checkpoint(open.successes());
    let stored = store(checkpoint, open.stable.digest, open.since_unix_ms);
    // Plain numbers and texts: there is nothing that could fail to be written.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads a stored checkpoint; `None` when it is not one: evidence is lost then, nothing else.
pub(crate) fn parse(json: &str) -> Option<StoredTrial> {
    restore(serde_json::from_str(json).ok()?)
}

fn store(c: Checkpoint, stable: Digest, since_unix_ms: u64) -> Stored {
    let totals = StoredTotals {
        is_latency_incident: c.is_latency_incident,
        rules: c.rules.into_iter().map(StoredRule::from).collect(),
        by_share: c.totals.iter().map(StoredShare::from).collect(),
        over: Some((StoredShare::from(&c.over.totals), c.over.drift_log_e, c.over.sample_ratio_log_e)),
        shadow: [c.shadow.compared, c.shadow.disagreed, c.shadow.faults, c.shadow.timed, c.shadow.slow],
        latency_quantiles: c.frozen.latency_quantiles,
        latency_seconds: c.frozen.latency_seconds,
        decile_edges: c.frozen.decile_edges,
    };
    Stored {
        stable: stable.to_string(),
        since_unix_ms,
        limit: c.limit,
        tolerate_ratio: c.tolerate_ratio,
        candidate_arm: c.candidate.into(),
        stable_arm: c.stable.into(),
        relative_faults: [c.relative.candidate_faults, c.relative.stable_faults],
        log_products: c.relative.log_products,
        log1p_restart: c.relative.log1p_restart,
        shares: c.relative.shares.iter().map(tally).collect(),
        pending: [c.pending.candidate, c.pending.stable],
        crashes: [c.crashes.exits, c.crashes.requests],
        is_shared_incident: c.is_shared_incident,
        totals,
    }
}

fn restore(s: Stored) -> Option<StoredTrial> {
    let stable: Digest = s.stable.parse().ok()?;
    let totals = s.totals;
    let over = totals.over.map(|(totals, drift_log_e, sample_ratio_log_e)| {
        Some(Over { totals: totals.restore()?, drift_log_e, sample_ratio_log_e })
    });
    let [compared, disagreed, faults, timed, slow] = totals.shadow;
    let checkpoint = Checkpoint {
        limit: s.limit,
        tolerate_ratio: s.tolerate_ratio,
        candidate: s.candidate_arm.into(),
        stable: s.stable_arm.into(),
        relative: RelativeCheckpoint {
            candidate_faults: s.relative_faults[0],
            stable_faults: s.relative_faults[1],
            log_products: s.log_products,
            log1p_restart: s.log1p_restart,
            shares: s.shares.into_iter().map(untally).collect(),
        },
        pending: Successes { candidate: s.pending[0], stable: s.pending[1] },
        crashes: CrashCounts { exits: s.crashes[0], requests: s.crashes[1] },
        is_shared_incident: s.is_shared_incident,
        is_latency_incident: totals.is_latency_incident,
        // A rule that a later release knew is left out: its evidence is lost, nothing else.
        rules: totals.rules.into_iter().filter_map(StoredRule::restore).collect(),
        totals: totals.by_share.into_iter().map(StoredShare::restore).collect::<Option<_>>()?,
        over: over.unwrap_or_else(|| Some(Over::default()))?,
        shadow: ShadowTotals { compared, disagreed, faults, timed, slow },
        frozen: Frozen {
            latency_quantiles: totals.latency_quantiles,
            latency_seconds: totals.latency_seconds,
            decile_edges: totals.decile_edges,
        },
    };
    Some(StoredTrial { checkpoint, stable, since_unix_ms: s.since_unix_ms })
}

/// The state of the watch over a promoted version, as stored.
#[derive(Serialize, Deserialize)]
struct StoredSteady {
    limit: f64,
    arm: StoredArm,
    pending: u64,
}

/// The state of the watch over a promoted version, to be stored.
pub(crate) fn steady_json(checkpoint: SteadyCheckpoint) -> String {
    let SteadyCheckpoint { limit, arm, pending } = checkpoint;
    serde_json::to_string(&StoredSteady { limit, arm: arm.into(), pending }).unwrap_or_default()
}

/// Reads it again.
pub(crate) fn parse_steady(json: &str) -> Option<SteadyCheckpoint> {
    let StoredSteady { limit, arm, pending } = serde_json::from_str(json).ok()?;
    Some(SteadyCheckpoint { limit, arm: arm.into(), pending })
}

impl From<ArmCheckpoint> for StoredArm {
    fn from(arm: ArmCheckpoint) -> Self {
        let ArmCheckpoint { faults, successes, log1p_restart, erring_keys } = arm;
        Self { faults, successes, log1p_restart, erring_keys }
    }
}

impl From<StoredArm> for ArmCheckpoint {
    fn from(arm: StoredArm) -> Self {
        let StoredArm { faults, successes, log1p_restart, erring_keys } = arm;
        Self { faults, successes, log1p_restart, erring_keys }
    }
}

impl From<RuleCheckpoint> for StoredRule {
    fn from(rule: RuleCheckpoint) -> Self {
        let RuleCheckpoint { rule, bounds, hits, others, n_steps, sum, log_products, log1p_restart, shares } = rule;
        let (rule, shares) = (rule.as_str().to_owned(), shares.iter().map(tally).collect());
        Self { rule, bounds, hits, others, n_steps, sum, log_products, log1p_restart, shares }
    }
}

impl StoredRule {
    fn restore(self) -> Option<RuleCheckpoint> {
        let Self { rule, bounds, hits, others, n_steps, sum, log_products, log1p_restart, shares } = self;
        let (rule, shares) = (Rule::parse(&rule)?, shares.into_iter().map(untally).collect());
        Some(RuleCheckpoint { rule, bounds, hits, others, n_steps, sum, log_products, log1p_restart, shares })
    }
}

impl From<&ShareTotals> for StoredShare {
    fn from(totals: &ShareTotals) -> Self {
        Self { share: totals.share, candidate: (&totals.candidate).into(), stable: (&totals.stable).into() }
    }
}

impl StoredShare {
    fn restore(self) -> Option<ShareTotals> {
        let Self { share, candidate, stable } = self;
        Some(ShareTotals { share, candidate: candidate.restore()?, stable: stable.restore()? })
    }
}

impl From<&ArmTotals> for StoredCounts {
    fn from(arm: &ArmTotals) -> Self {
        let counts = [arm.assigned, arm.ok, arm.faults, arm.timed, arm.slow, arm.labels, arm.mistakes];
        Self(counts, arm.slow_at.to_vec(), arm.bins.to_vec())
    }
}

impl StoredCounts {
    fn restore(self) -> Option<ArmTotals> {
        let Self([assigned, ok, faults, timed, slow, labels, mistakes], slow_at, bins) = self;
        let slow_at: [u64; LATENCY_QUANTILES_MAX] = slow_at.try_into().ok()?;
        let bins: [u64; BINS_MAX] = bins.try_into().ok()?;
        Some(ArmTotals { assigned, ok, faults, timed, slow, slow_at, bins, labels, mistakes })
    }
}

fn tally(tally: &ShareTally) -> (f64, u64, u64) {
    (tally.share, tally.candidate_faults, tally.stable_faults)
}

fn untally((share, candidate_faults, stable_faults): (f64, u64, u64)) -> ShareTally {
    ShareTally { share, candidate_faults, stable_faults }
}
