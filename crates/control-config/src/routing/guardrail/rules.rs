//! The judgements beside that of errors: each is there when its table is. A table replaces an inherited one as a
//! whole, because its parts belong together; `false` takes it away.

use base_types::Comparison;
use control_rollout::{
    Bins, DisagreementLimit, Drift, Guardrail, LATENCY_QUANTILES_MAX, LatencyComparison, LatencyLimit, LossComparison,
    MistakeComparison, OnFailure, SampleRatio, SteadyState,
};

use super::super::comparison::comparison;
use super::super::places::Places;
use super::{count, number, on_failure};
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

/// Longest name of an output, in bytes.
const OUTPUT_BYTES_MAX: usize = 1_024;

pub(super) const BINS: [(&str, Bins); 2] = [("classes", Bins::Classes), ("deciles", Bins::Deciles)];

/// What holds where a table leaves a key out.
pub(super) fn default_latency(slower_than_seconds: f64) -> LatencyLimit {
    LatencyLimit { slower_than_seconds, limit: 0.01, weight: 0.2, on_failure: OnFailure::RollBack }
}

pub(super) fn default_latency_vs_stable() -> LatencyComparison {
    LatencyComparison {
        quantiles: vec![0.5, 0.9, 0.99],
        freeze_after: 1_000,
        tolerate_ratio: 1.1,
        weight: 0.2,
        on_failure: OnFailure::Pause,
    }
}

pub(super) fn default_disagreement() -> DisagreementLimit {
    DisagreementLimit {
        limit: 0.01,
        compare: Comparison::default(),
        is_redacted: false,
        weight: 0.1,
        on_failure: OnFailure::Pause,
    }
}

pub(super) fn default_drift() -> Drift {
    Drift { output: None, bins: Bins::Classes, alpha: 0.001, on_failure: OnFailure::Pause }
}

pub(super) fn default_mistakes() -> MistakeComparison {
    MistakeComparison { tolerate_ratio: 1.0, weight: 0.1, on_failure: OnFailure::RollBack }
}

pub(super) fn default_loss() -> LossComparison {
    LossComparison { tolerate_extra: 0.01, weight: 0.1, on_failure: OnFailure::RollBack }
}

pub(super) fn default_steady_state() -> SteadyState {
    SteadyState { mean_requests_between_false_alarms: 1e8, on_failure: OnFailure::RollBack }
}

/// Reads every rule that has a table of its own.
pub(super) fn read<'a>(
    section: &mut Section<'a>,
    guardrail: &mut Guardrail,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) {
    let mut reading = Reading { parent: section, places, report };
    reading.rule("latency", &mut guardrail.latency, latency);
    reading.rule("latency_vs_stable", &mut guardrail.latency_vs_stable, latency_vs_stable);
    reading.rule("disagreement", &mut guardrail.disagreement, disagreement);
    reading.rule("drift", &mut guardrail.drift, drift);
    reading.rule("sample_ratio", &mut guardrail.sample_ratio, sample_ratio);
    reading.rule("mistakes", &mut guardrail.mistakes, mistakes);
    reading.rule("loss", &mut guardrail.loss, loss);
    reading.rule("steady_state", &mut guardrail.steady_state, steady_state);
}

struct Reading<'r, 'a, 't> {
    parent: &'r mut Section<'a>,
    places: &'r mut Places<'a>,
    report: &'r mut Report<'t>,
}

type ReadRule<'a, T> = fn(&mut Section<'a>, &mut Places<'a>, &mut Report<'_>) -> Option<T>;

impl<'a> Reading<'_, 'a, '_> {
    fn rule<T>(&mut self, key: &'static str, rule: &mut Option<T>, read: ReadRule<'a, T>) {
        let Some(item) = self.parent.take(key) else { return };
        if item.is_false() {
            *rule = None;
            return;
        }
        let Some(mut section) = item.section(self.report) else { return };
        *rule = read(&mut section, self.places, self.report);
        section.finish(self.report);
        self.places.note(key, item);
    }
}

fn latency<'a>(section: &mut Section<'a>, places: &mut Places<'a>, report: &mut Report<'_>) -> Option<LatencyLimit> {
    let slower_than_ms = number(section, ("slower_than_ms", "latency.slower_than_seconds"), places, report);
    let mut rule = default_latency(slower_than_ms.unwrap_or(1.0) / 1e3);
    put(&mut rule.limit, number(section, ("limit", "latency.limit"), places, report));
    put(&mut rule.weight, number(section, ("weight", "latency.weight"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    if !places.has("latency.slower_than_seconds") {
        let hint = "add slower_than_ms = 80, the bound on one answer's time";
        section.flaw(Code::MissingKey, format!("{} does not say what is slow", section.path), hint, report);
    }
    slower_than_ms.map(|_| rule)
}

fn latency_vs_stable<'a>(
    section: &mut Section<'a>,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<LatencyComparison> {
    let mut rule = default_latency_vs_stable();
    if let Some(item) = section.take("quantiles") {
        put(&mut rule.quantiles, quantiles(&item, report));
        places.note("latency_vs_stable.quantiles", item);
    }
    put(&mut rule.freeze_after, count(section, ("freeze_after", "latency_vs_stable.freeze_after"), places, report));
    let ratio = number(section, ("tolerate_ratio", "latency_vs_stable.tolerate_ratio"), places, report);
    put(&mut rule.tolerate_ratio, ratio);
    put(&mut rule.weight, number(section, ("weight", "latency_vs_stable.weight"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn quantiles(item: &Item<'_>, report: &mut Report<'_>) -> Option<Vec<f64>> {
    let items = item.list(report)?;
    if items.is_empty() || items.len() > LATENCY_QUANTILES_MAX {
        let message = format!("{} has {} quantiles, allowed is 1 to {LATENCY_QUANTILES_MAX}", item.path, items.len());
        item.flaw(if items.is_empty() { Code::Empty } else { Code::TooMany }, message, None, report);
        return None;
    }
    let quantiles: Vec<_> = items.iter().map(|item| item.number(report)).collect();
    quantiles.into_iter().collect()
}

fn disagreement<'a>(
    section: &mut Section<'a>,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<DisagreementLimit> {
    let mut rule = default_disagreement();
    put(&mut rule.limit, number(section, ("limit", "disagreement.limit"), places, report));
    if let Some(item) = section.take("compare") {
        put(&mut rule.compare, comparison(&item, report));
        places.note("disagreement.compare", item);
    }
    put(&mut rule.is_redacted, section.take("redact").and_then(|item| item.flag(report)));
    put(&mut rule.weight, number(section, ("weight", "disagreement.weight"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn drift<'a>(section: &mut Section<'a>, places: &mut Places<'a>, report: &mut Report<'_>) -> Option<Drift> {
    let mut rule = default_drift();
    rule.output = section.take("output").and_then(|item| output(&item, report));
    put(&mut rule.bins, section.take("bins").and_then(|item| item.one_of(&BINS, report)));
    put(&mut rule.alpha, number(section, ("alpha", "drift.alpha"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn output(item: &Item<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    let name = item.text(report)?;
    if (1..=OUTPUT_BYTES_MAX).contains(&name.len()) {
        return Some(name.into());
    }
    let message = format!("{} has {} bytes, allowed is 1 to {OUTPUT_BYTES_MAX}", item.path, name.len());
    item.flaw(Code::BadName, message, "leave it out for the first output".to_owned(), report);
    None
}

fn sample_ratio<'a>(
    section: &mut Section<'a>,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<SampleRatio> {
    let mut rule = SampleRatio::default();
    put(&mut rule.alpha, number(section, ("alpha", "sample_ratio.alpha"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn mistakes<'a>(
    section: &mut Section<'a>,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<MistakeComparison> {
    let mut rule = default_mistakes();
    put(&mut rule.tolerate_ratio, number(section, ("tolerate_ratio", "mistakes.tolerate_ratio"), places, report));
    put(&mut rule.weight, number(section, ("weight", "mistakes.weight"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn loss<'a>(section: &mut Section<'a>, places: &mut Places<'a>, report: &mut Report<'_>) -> Option<LossComparison> {
    let mut rule = default_loss();
    put(&mut rule.tolerate_extra, number(section, ("tolerate_extra", "loss.tolerate_extra"), places, report));
    put(&mut rule.weight, number(section, ("weight", "loss.weight"), places, report));
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}

fn steady_state<'a>(
    section: &mut Section<'a>,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<SteadyState> {
    const KEY: &str = "mean_requests_between_false_alarms";
    let mut rule = default_steady_state();
    let mean = number(section, (KEY, "steady_state.mean_requests_between_false_alarms"), places, report);
    put(&mut rule.mean_requests_between_false_alarms, mean);
    put(&mut rule.on_failure, on_failure(section, report));
    Some(rule)
}
