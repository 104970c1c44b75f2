//! A/B tests: how long one will take, what its numbers say at any moment, and how much traffic each arm gets.
//!
//! Everything may be looked at as often as one likes. Which arm is better is decided by T2 on events (faults, slow
//! answers, mistakes) in both directions, and by betting on the means of losses; never by an interval that holds for
//! one look only. An experiment's budget `alpha` is divided over the arms that are compared with stable, so that
//! arms that are equal are told apart no more often than that.
//!
//! What the numbers rest on: units are assigned at random; events of one unit that hang together are counted once;
//! and feedback is as likely to come for one arm as for the other. Read on with `totals`, then `report`.

mod bandit;
mod checkpoint;
mod events;
mod history;
mod means;
mod plan;
mod report;
mod sample_ratio;
mod sentence;
mod totals;

pub use bandit::{ALLOCATION_ROUNDS, BanditArm, thompson};
pub use checkpoint::{ArmCheckpoint, ExperimentCheckpoint};
pub use history::{SHARE_CHANGES_MAX, ShareHistory};
pub use means::{ScoreSums, difference_interval, score_interval};
pub use plan::{ArmPlan, Effect, ExperimentPlan, Measure, PLAN_ROUNDS_MAX, PlanProblem, PlanRequest, Reach, plan};
pub use report::{ArmComparison, ArmRow, Finding, Measured, Outlook, Report, ReportRequest, Verdict, report};
pub use sample_ratio::{SampleRatioCheck, sample_ratio_log_e};
pub use totals::{ARMS_MAX, ArmRole, ArmTotals, Counted, ExperimentProblem, ExperimentTotals, Latency, Primary, Tally};
