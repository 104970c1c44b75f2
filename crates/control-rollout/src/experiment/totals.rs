//! What an experiment has counted: sums by arm, and the tests that need to know under which shares.

use std::fmt;

use crate::experiment::events::EventTest;
use crate::experiment::means::{MeanTest, ScoreSums};
use crate::experiment::sample_ratio::SampleRatioTest;

/// Most arms of one experiment, the hold-out among them.
pub const ARMS_MAX: usize = 16;

/// What an experiment is decided by. Less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Primary {
    /// How often the arm faults.
    Errors,
    /// How often its answers are slower than a bound fixed beforehand.
    Latency,
    /// How often its answers are wrong, by the labels that came back.
    Mistakes,
    /// The mean loss that feedback reports, in [0, 1].
    Loss,
}

/// What an arm is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArmRole {
    /// What the others are compared with, and what is kept when nothing is shown.
    Stable,
    /// One of those that may take its place.
    Candidate,
    /// Units kept out of the experiment: answered by stable, shown, and counted in the sample ratio.
    HoldOut,
}

/// By what the arms were counted as assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// By units: each sticky key once. What the sample ratio is about.
    Units,
    /// By requests. A few callers with many requests can upset their ratio without anything being wrong.
    Requests,
}

/// Counts of one arm. They only add up; any portion may be taken at any time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Units or requests assigned to the arm.
    pub assigned: u64,
    /// Requests it answered.
    pub ok: u64,
    /// Requests it faulted on.
    pub faults: u64,
    /// Answers slower than the experiment's bound; among `ok`.
    pub slow: u64,
    /// Answers that a label showed to be right.
    pub right: u64,
    /// Answers that a label showed to be wrong.
    pub mistakes: u64,
    /// Losses that feedback reported, each in [0, 1].
    pub losses: ScoreSums,
}

/// Quantiles of an arm's latency in seconds, to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Nine tenths are below it.
    pub p90: f64,
    /// All but one hundredth are below it.
    pub p99: f64,
}

/// One arm and its sums.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmTotals {
    /// What it is called in sentences, such as "version 8".
    pub name: Box<str>,
    /// What it is for.
    pub role: ArmRole,
    /// Everything taken so far.
    pub tally: Tally,
    /// Its latency, where it is known.
    pub latency: Option<Latency>,
    pub(crate) tests: ArmTests,
}

/// One arm against stable.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ArmTests {
    pub(crate) errors: EventTest,
    pub(crate) slow: EventTest,
    pub(crate) mistakes: EventTest,
}

/// What an experiment has counted. Its memory does not grow, however often the shares move.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentTotals {
    /// What it is decided by.
    pub primary: Primary,
    /// By what `assigned` counts.
    pub counted: Counted,
    arms: Vec<ArmTotals>,
    stable: usize,
    pub(crate) sample_ratio: SampleRatioTest,
}

/// Why totals cannot be kept or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentProblem {
    /// There are so many arms, where two to [`ARMS_MAX`] are allowed.
    Arms(usize),
    /// So many arms are stable, where exactly one must be.
    Stable(usize),
    /// Lists of shares or tallies have another length than there are arms.
    Lengths,
    /// Shares are not from 0 to 1 with the sum 1.
    Shares,
    /// What a checkpoint says of an arm, by its position, does not come from an experiment.
    Checkpoint(usize),
    /// The losses of an arm, by its position, are sums that no values in [0, 1] have.
    Losses(usize),
}

impl ExperimentTotals {
    /// Starts with nothing counted; exactly one arm is stable.
    pub fn new(
        primary: Primary,
        counted: Counted,
        arms: impl IntoIterator<Item = (Box<str>, ArmRole)>,
    ) -> Result<Self, ExperimentProblem> {
        let blank =
            |(name, role)| ArmTotals { name, role, tally: Tally::default(), latency: None, tests: ArmTests::default() };
        // One more than allowed is enough to see that there are too many.
        let arms: Vec<_> = arms.into_iter().take(ARMS_MAX + 1).map(blank).collect();
        if arms.len() < 2 || arms.len() > ARMS_MAX {
            return Err(ExperimentProblem::Arms(arms.len()));
        }
        let mut stables = arms.iter().enumerate().filter(|(_, arm)| arm.role == ArmRole::Stable);
        match (stables.next(), stables.count()) {
            (Some((stable, _)), 0) => {
                Ok(Self { primary, counted, stable, sample_ratio: SampleRatioTest::default(), arms })
            }
            (None, _) => Err(ExperimentProblem::Stable(0)),
            (Some(_), n_more) => Err(ExperimentProblem::Stable(1 + n_more)),
        }
    }

    /// Takes what was counted while the arms had these shares of the units, the hold-out with its own. Feedback
    /// belongs to the shares under which its request was routed. A portion may be anything from one request to the
    /// whole experiment; an error takes nothing.
    pub fn take(&mut self, shares: &[f64], portion: &[Tally]) -> Result<(), ExperimentProblem> {
        self.check(shares, portion)?;
        let (stable, stable_share) = (portion[self.stable], shares[self.stable]);
        for ((arm, share), tally) in self.arms.iter_mut().zip(shares).zip(portion) {
            arm.tally.add(tally);
            if arm.role == ArmRole::Candidate && *share > 0.0 {
                let of_both = share / (share + stable_share);
                arm.tests.errors.take(of_both, tally.faults, stable.faults);
                arm.tests.slow.take(of_both, tally.slow, stable.slow);
                arm.tests.mistakes.take(of_both, tally.mistakes, stable.mistakes);
            }
        }
        let assigned: Vec<_> = portion.iter().map(|tally| tally.assigned).collect();
        self.sample_ratio.take(shares, &assigned);
        Ok(())
    }

    /// Notes what an arm's latency is, to show it.
    pub fn set_latency(&mut self, arm: usize, latency: Latency) {
        if let Some(arm) = self.arms.get_mut(arm) {
            arm.latency = Some(latency);
        }
    }

    /// The arms, in the order they were given.
    pub fn arms(&self) -> &[ArmTotals] {
        &self.arms
    }

    pub(crate) fn arms_mut(&mut self) -> &mut [ArmTotals] {
        &mut self.arms
    }

    /// The arm the others are compared with.
    pub fn stable(&self) -> &ArmTotals {
        &self.arms[self.stable]
    }

    fn check(&self, shares: &[f64], portion: &[Tally]) -> Result<(), ExperimentProblem> {
        if shares.len() != self.arms.len() || portion.len() != self.arms.len() {
            return Err(ExperimentProblem::Lengths);
        }
        let is_whole = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-6;
        if !is_whole || shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(ExperimentProblem::Shares);
        }
        match portion.iter().position(|tally| !tally.losses.is_possible()) {
            Some(arm) => Err(ExperimentProblem::Losses(arm)),
            None => Ok(()),
        }
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        for (sum, n) in [
            (&mut self.assigned, other.assigned),
            (&mut self.ok, other.ok),
            (&mut self.faults, other.faults),
            (&mut self.slow, other.slow),
            (&mut self.right, other.right),
            (&mut self.mistakes, other.mistakes),
        ] {
            *sum = sum.saturating_add(n);
        }
        self.losses = self.losses.plus(other.losses);
    }

    /// What the measure looks at, as a mean: events of all that could have been one, or losses.
    pub(crate) fn measured(&self, by: Primary) -> ScoreSums {
        match by {
            Primary::Errors => ScoreSums::of_events(self.faults, self.ok),
            Primary::Latency => ScoreSums::of_events(self.slow, self.ok.saturating_sub(self.slow)),
            Primary::Mistakes => ScoreSums::of_events(self.mistakes, self.right),
            Primary::Loss => self.losses,
        }
    }

    /// The same, ready to be asked about means.
    pub(crate) fn mean_test(&self, by: Primary) -> MeanTest {
        let sums = self.measured(by);
        match by {
            Primary::Loss => MeanTest::of_scores(sums),
            Primary::Errors => MeanTest::of_events(self.faults, self.ok),
            Primary::Latency => MeanTest::of_events(self.slow, self.ok.saturating_sub(self.slow)),
            Primary::Mistakes => MeanTest::of_events(self.mistakes, self.right),
        }
    }
}

impl Primary {
    /// Every measure.
    pub const ALL: [Self; 4] = [Self::Errors, Self::Latency, Self::Mistakes, Self::Loss];

    /// The word used in configuration, API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Mistakes => "mistakes",
            Self::Loss => "loss",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primary| primary.as_str() == text)
    }
}

impl ArmRole {
    /// The word used in API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
            Self::HoldOut => "holdout",
        }
    }
}

impl ArmTests {
    /// The test on events; `None` for a measure that is a mean.
    pub(crate) fn of(&self, by: Primary) -> Option<&EventTest> {
        match by {
            Primary::Errors => Some(&self.errors),
            Primary::Latency => Some(&self.slow),
            Primary::Mistakes => Some(&self.mistakes),
            Primary::Loss => None,
        }
    }
}

impl fmt::Display for ExperimentProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arms(n) => write!(f, "an experiment has 2 to {ARMS_MAX} arms, this one {n}"),
            Self::Stable(n) => write!(f, "{n} arms are stable; exactly one must be"),
            Self::Lengths => write!(f, "shares and counts must be as many as there are arms"),
            Self::Shares => write!(f, "shares must be from 0 to 1 and sum up to 1"),
            Self::Checkpoint(arm) => write!(f, "the checkpoint of arm {arm} is damaged; begin anew"),
            Self::Losses(arm) => write!(f, "the losses of arm {arm} are sums that no values from 0 to 1 have"),
        }
    }
}

impl std::error::Error for ExperimentProblem {}
