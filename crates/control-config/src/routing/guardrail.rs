//! The keys of a guardrail. What the values may be is the guardrail's own to say; here each objection finds its
//! place in the file.

use std::collections::BTreeMap;

use base_serving::WINDOW_SECONDS_MAX;
use control_rollout::{ClassicWindow, Guardrail, LatencyBound, Mode, OnSharedIncident};

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

const DEFAULT_WINDOW_SECONDS: u64 = 60;
const DEFAULT_MIN_REQUESTS: u64 = 100;
const DEFAULT_LATENCY_QUANTILE: f64 = 0.99;

/// Where each field of the guardrail was set, by the name that its objections use.
type Places<'a> = BTreeMap<&'static str, Item<'a>>;

/// Reads the `guardrail` table of a section over what holds already.
pub(super) fn read(parent: &mut Section<'_>, guardrail: &mut Guardrail, report: &mut Report<'_>) {
    let Some(table) = parent.take("guardrail") else { return };
    let Some(mut section) = table.section(report) else { return };
    let mut places = Places::new();
    let before = guardrail.clone();
    put(&mut guardrail.mode, section.take("mode").and_then(|item| item.one_of(&MODES, report)));
    for (key, place) in [
        ("alpha", &mut guardrail.alpha),
        ("promote_alpha", &mut guardrail.promote_alpha),
        ("limit", &mut guardrail.limit),
        ("tolerate_ratio", &mut guardrail.tolerate_ratio),
    ] {
        put(place, number(&mut section, key, key, &mut places, report));
    }
    for (key, place) in
        [("planned_requests", &mut guardrail.planned_requests), ("planned_events", &mut guardrail.planned_events)]
    {
        put(place, count(&mut section, key, key, &mut places, report));
    }
    let on_shared_incident = section.take("on_shared_incident");
    put(
        &mut guardrail.on_shared_incident,
        on_shared_incident.and_then(|item| item.one_of(&ON_SHARED_INCIDENT, report)),
    );
    weights(&mut section, guardrail, &mut places, report);
    window(&mut section, guardrail, &mut places, report);
    section.finish(report);
    let is_known = |field: &str| before.problems().iter().any(|p| p.field == field);
    for problem in guardrail.problems().into_iter().filter(|p| !is_known(p.field)) {
        let place = places.get(problem.field).unwrap_or(&table);
        let message = format!("{} is {}, allowed is {}", place.path, problem.value, problem.allowed);
        place.flaw(Code::OutOfRange, message, None, report);
    }
}

/// Whether attempts must be counted by second.
pub(super) fn is_windowed(guardrail: &Guardrail) -> bool {
    guardrail.window.is_some() && guardrail.mode != Mode::Off
}

/// The guardrail as keys and values, for comparisons and the reference.
pub(crate) fn guardrail_rows(guardrail: &Guardrail) -> Vec<(&'static str, String)> {
    let on_shared_incident = ON_SHARED_INCIDENT.iter().find(|(_, v)| *v == guardrail.on_shared_incident);
    let weights = &guardrail.weights;
    vec![
        ("mode", guardrail.mode.as_str().to_owned()),
        ("alpha", guardrail.alpha.to_string()),
        ("promote_alpha", guardrail.promote_alpha.to_string()),
        ("limit", guardrail.limit.to_string()),
        ("tolerate_ratio", guardrail.tolerate_ratio.to_string()),
        ("planned_requests", guardrail.planned_requests.to_string()),
        ("planned_events", guardrail.planned_events.to_string()),
        ("weights", format!("{{ limit = {}, relative = {} }}", weights.limit, weights.relative)),
        ("on_shared_incident", on_shared_incident.map_or("", |(word, _)| word).to_owned()),
        ("window", guardrail.window.as_ref().map_or_else(|| "none".to_owned(), window_text)),
    ]
}

const MODES: [(&str, Mode); 3] = [("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)];
const ON_SHARED_INCIDENT: [(&str, OnSharedIncident); 2] =
    [("hold", OnSharedIncident::Hold), ("rollback", OnSharedIncident::RollBack)];

fn window_text(window: &ClassicWindow) -> String {
    let mut parts = vec![format!("seconds = {}", window.seconds), format!("min_requests = {}", window.min_requests)];
    parts.extend(window.max_error_rate.map(|rate| format!("max_error_rate = {rate}")));
    parts.extend(
        window.latency.map(|l| format!("latency_quantile = {}, max_latency_ms = {}", l.quantile, l.max_seconds * 1e3)),
    );
    format!("{{ {} }}", parts.join(", "))
}

fn number<'a>(
    section: &mut Section<'a>,
    key: &'static str,
    field: &'static str,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<f64> {
    let item = section.take(key)?;
    let number = item.number(report);
    places.insert(field, item);
    number
}

fn count<'a>(
    section: &mut Section<'a>,
    key: &'static str,
    field: &'static str,
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<u64> {
    let item = section.take(key)?;
    let count = item.count(0..=u64::MAX, report);
    places.insert(field, item);
    count
}

fn weights<'a>(parent: &mut Section<'a>, guardrail: &mut Guardrail, places: &mut Places<'a>, report: &mut Report<'_>) {
    let Some(item) = parent.take("weights") else { return };
    let Some(mut section) = item.section(report) else { return };
    put(&mut guardrail.weights.limit, number(&mut section, "limit", "weights.limit", places, report));
    put(&mut guardrail.weights.relative, number(&mut section, "relative", "weights.relative", places, report));
    places.insert("weights", item);
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
    put(&mut window.min_requests, count(&mut section, "min_requests", "window.min_requests", places, report));
    window.max_error_rate = number(&mut section, "max_error_rate", "window.max_error_rate", places, report);
    let quantile = number(&mut section, "latency_quantile", "window.latency.quantile", places, report);
    let max_ms = number(&mut section, "max_latency_ms", "window.latency.max_seconds", places, report);
    window.latency =
        max_ms.map(|ms| LatencyBound { quantile: quantile.unwrap_or(DEFAULT_LATENCY_QUANTILE), max_seconds: ms / 1e3 });
    if quantile.is_some() && !places.contains_key("window.latency.max_seconds") {
        let message = format!("{} has latency_quantile without max_latency_ms", item.path);
        item.flaw(Code::MissingKey, message, "add max_latency_ms, the bound of the quantile".to_owned(), report);
    }
    guardrail.window = Some(window);
    places.insert("window", item);
    section.finish(report);
}
