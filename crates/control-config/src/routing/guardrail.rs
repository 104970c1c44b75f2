//! The keys of a guardrail. What the values may be is the guardrail's own to say; here each objection finds its
//! place in the file.

use base_serving::WINDOW_SECONDS_MAX;
use control_rollout::{ClassicWindow, Guardrail, LatencyBound, Mode, OnFailure, OnSharedIncident};

use super::places::Places;
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

mod rules;
mod text;

pub(crate) use text::{guardrail_lines, guardrail_rows};

pub(super) use text::word;

const DEFAULT_WINDOW_SECONDS: u64 = 60;
const DEFAULT_MIN_REQUESTS: u64 = 100;
const DEFAULT_LATENCY_QUANTILE: f64 = 0.99;

const MODES: [(&str, Mode); 3] = [("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)];
const ON_SHARED_INCIDENT: [(&str, OnSharedIncident); 2] =
    [("hold", OnSharedIncident::Hold), ("rollback", OnSharedIncident::RollBack)];
const ON_FAILURE: [(&str, OnFailure); 4] = [
    ("rollback", OnFailure::RollBack),
    ("pause", OnFailure::Pause),
    ("alert", OnFailure::Alert),
    ("observe", OnFailure::Observe),
];

/// Reads the `guardrail` table of a section over what holds already.
pub(super) fn read(parent: &mut Section<'_>, guardrail: &mut Guardrail, report: &mut Report<'_>) {
    let Some(table) = parent.take("guardrail") else { return };
    read_table(&table, guardrail, report);
}

/// Reads a guardrail over what holds already.
pub(super) fn read_table(table: &Item<'_>, guardrail: &mut Guardrail, report: &mut Report<'_>) {
    let Some(mut section) = table.section(report) else { return };
    let mut places = Places::default();
    let before = guardrail.clone();
    common(&mut section, guardrail, &mut places, report);
    weights(&mut section, guardrail, &mut places, report);
    rules::read(&mut section, guardrail, &mut places, report);
    window(&mut section, guardrail, &mut places, report);
    section.finish(report);
    let is_known = |field: &str| before.problems().iter().any(|p| p.field == field);
    for problem in guardrail.problems().into_iter().filter(|p| places.has(p.field) || !is_known(p.field)) {
        let place = places.find(problem.field).unwrap_or(table);
        let message = format!("{} is {}, allowed is {}", place.path, problem.value, problem.allowed);
        place.flaw(Code::OutOfRange, message, None, report);
    }
}

/// Whether attempts must be counted by second.
pub(super) fn is_windowed(guardrail: &Guardrail) -> bool {
    guardrail.window.is_some() && guardrail.mode != Mode::Off
}

fn common<'a>(section: &mut Section<'a>, guardrail: &mut Guardrail, places: &mut Places<'a>, report: &mut Report<'_>) {
    put(&mut guardrail.mode, section.take("mode").and_then(|item| item.one_of(&MODES, report)));
    for (key, place) in [
        ("alpha", &mut guardrail.alpha),
        ("promote_alpha", &mut guardrail.promote_alpha),
        ("limit", &mut guardrail.limit),
        ("tolerate_ratio", &mut guardrail.tolerate_ratio),
    ] {
        put(place, number(section, (key, key), places, report));
    }
    for (key, place) in
        [("planned_requests", &mut guardrail.planned_requests), ("planned_events", &mut guardrail.planned_events)]
    {
        put(place, count(section, (key, key), places, report));
    }
    put(&mut guardrail.on_failure, on_failure(section, report));
    let on_shared_incident = section.take("on_shared_incident");
    put(
        &mut guardrail.on_shared_incident,
        on_shared_incident.and_then(|item| item.one_of(&ON_SHARED_INCIDENT, report)),
    );
}

fn on_failure(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<OnFailure> {
    section.take("on_failure")?.one_of(&ON_FAILURE, report)
}

/// A number at a key, noted as the field that objections name.
fn number<'a>(
    section: &mut Section<'a>,
    (key, field): (&'static str, &'static str),
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<f64> {
    let item = section.take(key)?;
    let number = item.number(report);
    places.note(field, item);
    number
}

/// A whole number at a key, noted as the field that objections name.
fn count<'a>(
    section: &mut Section<'a>,
    (key, field): (&'static str, &'static str),
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<u64> {
    let item = section.take(key)?;
    let count = item.count(0..=u64::MAX, report);
    places.note(field, item);
    count
}

fn weights<'a>(parent: &mut Section<'a>, guardrail: &mut Guardrail, places: &mut Places<'a>, report: &mut Report<'_>) {
    let Some(item) = parent.take("weights") else { return };
    let Some(mut section) = item.section(report) else { return };
    put(&mut guardrail.weights.limit, number(&mut section, ("limit", "weights.limit"), places, report));
    put(&mut guardrail.weights.relative, number(&mut section, ("relative", "weights.relative"), places, report));
    places.note("weights", item);
    section.finish(report);
}

/// A window replaces an inherited one as a whole: its parts belong together. `window = false` takes it away.
fn window<'a>(parent: &mut Section<'a>, guardrail: &mut Guardrail, places: &mut Places<'a>, report: &mut Report<'_>) {
    let Some(item) = parent.take("window") else { return };
    if item.is_false() {
        guardrail.window = None;
        return;
    }
    let Some(mut section) = item.section(report) else { return };
    let mut window = ClassicWindow {
        seconds: DEFAULT_WINDOW_SECONDS,
        min_requests: DEFAULT_MIN_REQUESTS,
        max_error_rate: None,
        latency: None,
    };
    let seconds = section.take("seconds").and_then(|item| item.count(1..=WINDOW_SECONDS_MAX, report));
    put(&mut window.seconds, seconds);
    put(&mut window.min_requests, count(&mut section, ("min_requests", "window.min_requests"), places, report));
    window.max_error_rate = number(&mut section, ("max_error_rate", "window.max_error_rate"), places, report);
    let quantile = number(&mut section, ("latency_quantile", "window.latency.quantile"), places, report);
    let max_ms = number(&mut section, ("max_latency_ms", "window.latency.max_seconds"), places, report);
    window.latency =
        max_ms.map(|ms| LatencyBound { quantile: quantile.unwrap_or(DEFAULT_LATENCY_QUANTILE), max_seconds: ms / 1e3 });
    if quantile.is_some() && !places.has("window.latency.max_seconds") {
        let message = format!("{} has latency_quantile without max_latency_ms", item.path);
        item.flaw(Code::MissingKey, message, "add max_latency_ms, the bound of the quantile".to_owned(), report);
    }
    guardrail.window = Some(window);
    places.note("window", item);
    section.finish(report);
}
