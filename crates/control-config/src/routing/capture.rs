//! `capture`: which requests of a model are kept with their answers, and what of them is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use base_serving::CapturePlan;

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};

/// Most inputs and outputs that are left out.
const NAMES_MAX: usize = 256;

/// Reads `capture` over what holds already.
pub(super) fn read(parent: &mut Section<'_>, capture: &mut Option<Arc<CapturePlan>>, report: &mut Report<'_>) {
    let Some(mut section) = parent.take_section("capture", report) else { return };
    let mut plan = capture.as_deref().cloned().unwrap_or_default();
    put(&mut plan.share, section.take("share").and_then(|item| item.number_in(0.0..=1.0, report)));
    put(&mut plan.redact, section.take("redact").and_then(|item| names(&item, report)));
    section.finish(report);
    *capture = (plan != CapturePlan::default()).then(|| plan.into());
}

/// The plan as keys and values, for comparisons.
pub(super) fn rows(capture: Option<&CapturePlan>) -> [(&'static str, String); 2] {
    let off = CapturePlan::default();
    let plan = capture.unwrap_or(&off);
    let names: Vec<String> = plan.redact.iter().map(|name| format!("{name:?}")).collect();
    [("capture.share", plan.share.to_string()), ("capture.redact", format!("[{}]", names.join(", ")))]
}

fn names(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeSet<Box<str>>> {
    let items = item.list(report)?;
    if items.len() > NAMES_MAX {
        let message = format!("{} names {} tensors, at most {NAMES_MAX} are allowed", item.path, items.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    items.iter().map(|item| item.text(report).map(Into::into)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::path::Path;

    use base_types::ModelName;

    use super::*;
    use crate::{Invalid, RoutingConfig, parse_routing};

    fn parse(text: &str) -> Result<RoutingConfig, Invalid> {
        parse_routing(Path::new("routing.toml"), text.as_bytes()).map(|parsed| parsed.value)
    }

    fn plan(text: &str) -> CapturePlan {
        let config = parse(text).unwrap();
        let limits = &config.models[&ModelName::new("m").unwrap()].limits;
        limits.capture.as_deref().cloned().unwrap_or_default()
    }

    #[test]
    fn nothing_is_captured_unless_it_is_asked_for() {
        assert_eq!(plan("[models.m]\nstable = 1"), CapturePlan { share: 0.0, redact: BTreeSet::new() });
    }

    #[test]
    fn a_model_takes_what_it_does_not_say_from_the_defaults() {
        let defaults = "[defaults.capture]\nshare = 0.5\nredact = [\"x\"]\n[models.m]\nstable = 1\n";
        let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<BTreeSet<Box<str>>>();
        assert_eq!(plan(defaults), CapturePlan { share: 0.5, redact: names(&["x"]) });
        let own = format!("{defaults}capture = {{ share = 1 }}");
        assert_eq!(plan(&own), CapturePlan { share: 1.0, redact: names(&["x"]) });
        let own = format!("{defaults}capture = {{ redact = [\"y\", \"z\"] }}");
        assert_eq!(plan(&own), CapturePlan { share: 0.5, redact: names(&["y", "z"]) });
    }

    #[test]
    fn an_edit_of_it_is_told_and_supersedes_no_promotion() {
        let (off, on) = ("[models.m]\nstable = 1", "[models.m]\nstable = 1\ncapture = { share = 0.1 }");
        let (off, on) = (parse(off).unwrap(), parse(on).unwrap());
        let told: Vec<String> = crate::diff(&off, &on).iter().map(ToString::to_string).collect();
        assert!(matches!(told.as_slice(), [one] if one.contains("capture.share")), "{told:?}");
        let model = ModelName::new("m").unwrap();
        assert_eq!(off.models[&model].meaning(), on.models[&model].meaning());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for capture in
            ["{ share = 1.5 }", "{ share = -0.1 }", "{ redact = \"x\" }", "{ redact = [1] }", "{ shares = 1 }", "1"]
        {
            assert!(parse(&format!("[models.m]\nstable = 1\ncapture = {capture}")).is_err(), "{capture}");
        }
    }
}
