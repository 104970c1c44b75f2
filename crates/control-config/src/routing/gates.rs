//! `gates`: what a version has to pass before it may take traffic, beyond what lies beside the model.

use std::collections::BTreeSet;
use std::time::Duration;

use base_types::Gate;

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};
use crate::suggest::did_you_mean;

/// What a key in the file begins with.
pub const KEY_PREFIX: &str = "ed25519:";

/// Most keys of one model.
const KEYS_MAX: usize = 64;
const TIME_MS_MAX: u64 = 3_600_000;
const CAPTURES_MAX: u64 = 10_000;
const CAPTURES: usize = 200;
const AGREEMENT: f64 = 0.99;

/// `[models.<name>.gates]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GateRules {
    /// Gates that must be passed; `None`: those that the manifest beside the model asks for.
    pub required: Option<BTreeSet<Gate>>,
    /// How recorded requests are answered again; `None`: they are not.
    pub replay: Option<ReplayRule>,
    /// Public keys one of which must have signed a version; empty: signatures are not looked at.
    pub keys: Vec<[u8; 32]>,
    /// Whether a version that fails is kept out; without, failures are only told.
    pub is_enforced: bool,
    /// How long all gates of a version may take together.
    pub time: Duration,
}

/// How many recorded requests are answered again, and how many of the answers must agree with stable's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplayRule {
    /// The newest so many recorded requests.
    pub captures: usize,
    /// The smallest share that must agree, in (0, 1].
    pub agreement_at_least: f64,
}

impl Default for GateRules {
    fn default() -> Self {
        Self { required: None, replay: None, keys: Vec::new(), is_enforced: true, time: Duration::from_secs(60) }
    }
}

/// Reads `gates` over the rules that hold already.
pub(super) fn read(parent: &mut Section<'_>, rules: &mut GateRules, report: &mut Report<'_>) {
    let Some(mut section) = parent.take_section("gates", report) else { return };
    if let Some(item) = section.take("required") {
        put(&mut rules.required, required(&item, report).map(Some));
    }
    if let Some(item) = section.take("replay") {
        let replay = if item.is_false() { Some(None) } else { replay(&item, report).map(Some) };
        put(&mut rules.replay, replay);
    }
    put(&mut rules.keys, section.take("keys").and_then(|item| keys(&item, report)));
    put(&mut rules.is_enforced, section.take("is_enforced").and_then(|item| item.flag(report)));
    let time = section.take("time_ms").and_then(|item| item.count(1..=TIME_MS_MAX, report));
    put(&mut rules.time, time.map(Duration::from_millis));
    section.finish(report);
}

/// The rules as keys and values, for comparisons and checkpoints.
pub(crate) fn gate_rows(rules: &GateRules) -> Vec<(&'static str, String)> {
    let required = rules.required.as_ref().map_or_else(
        || "as the manifest says".to_owned(),
        |gates| format!("[{}]", gates.iter().map(|g| format!("\"{g}\"")).collect::<Vec<_>>().join(", ")),
    );
    let replay = rules.replay.map_or_else(
        || "false".to_owned(),
        |r| format!("{{ captures = {}, agreement_at_least = {} }}", r.captures, r.agreement_at_least),
    );
    let keys: Vec<String> = rules.keys.iter().map(|key| format!("{:?}", key_text(key))).collect();
    vec![
        ("gates.required", required),
        ("gates.replay", replay),
        ("gates.keys", format!("[{}]", keys.join(", "))),
        ("gates.is_enforced", rules.is_enforced.to_string()),
        ("gates.time_ms", rules.time.as_millis().to_string()),
    ]
}

/// A public key as it is written.
pub fn key_text(key: &[u8; 32]) -> String {
    key.iter().fold(KEY_PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Reads a public key; the error says what is wrong with it.
pub fn parse_key(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("{text:?} is no public key: write {KEY_PREFIX} and 64 hexadecimal digits");
    let digits = text.strip_prefix(KEY_PREFIX).ok_or_else(wrong)?;
    // The digits of a digest and of a key are written alike.
    digits.parse::<base_types::Digest>().map(|digits| *digits.as_bytes()).map_err(|_| wrong())
}

fn required(item: &Item<'_>, report: &mut Report<'_>) -> Option<BTreeSet<Gate>> {
    let mut gates = BTreeSet::new();
    for item in item.list(report)? {
        let written = item.text(report)?;
        match Gate::parse(written) {
            Some(gate) => drop(gates.insert(gate)),
            None => {
                let known = Gate::ALL.iter().map(|gate| gate.as_str());
                let list = known.clone().collect::<Vec<_>>().join(", ");
                let message = format!("{} names {written:?}, allowed are: {list}", item.path);
                item.flaw(Code::UnknownWord, message, did_you_mean(written, known), report);
                return None;
            }
        }
    }
    Some(gates)
}

fn replay(item: &Item<'_>, report: &mut Report<'_>) -> Option<ReplayRule> {
    let mut section = item.section(report)?;
    let captures = section.take("captures").map_or(Some(CAPTURES as u64), |item| item.count(1..=CAPTURES_MAX, report));
    let agreement = section.take("agreement_at_least").map_or(Some(AGREEMENT), |item| {
        let share = item.number(report)?;
        if share > 0.0 && share <= 1.0 {
            return Some(share);
        }
        let message = format!("{} is {share}, allowed is above 0, at most 1", item.path);
        item.flaw(Code::OutOfRange, message, None, report);
        None
    });
    section.finish(report);
    Some(ReplayRule { captures: captures? as usize, agreement_at_least: agreement? })
}

fn keys(item: &Item<'_>, report: &mut Report<'_>) -> Option<Vec<[u8; 32]>> {
    let items = item.list(report)?;
    if items.len() > KEYS_MAX {
        let message = format!("{} has {} keys, at most {KEYS_MAX} are allowed", item.path, items.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    let mut keys = Vec::new();
    for item in &items {
        match parse_key(item.text(report)?) {
            Ok(key) => keys.push(key),
            Err(message) => {
                let hint = "`switchrail keygen` prints it".to_owned();
                item.flaw(Code::BadName, format!("{}: {message}", item.path), hint, report);
                return None;
            }
        }
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::path::Path;

    use base_types::ModelName;

    use super::*;
    use crate::{diff, parse_routing};

    fn rules(text: &str) -> Result<GateRules, Vec<String>> {
        let parsed = parse_routing(Path::new("routing.toml"), text.as_bytes());
        let parsed = parsed.map_err(|e| e.diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>())?;
        Ok(parsed.value.gates(&ModelName::new("m").unwrap()).clone())
    }

    #[test]
    fn a_model_inherits_what_it_does_not_say_itself() {
        let key = format!("ed25519:{}", "0a".repeat(32));
        let text = format!(
            "[defaults.gates]\nkeys = [\"{key}\"]\ntime_ms = 500\n[models.m.gates]\nrequired = [\"golden\", \"quality\"]\n\
             replay = {{ captures = 7 }}\n[models.other]\nstable = 1\n"
        );
        let found = rules(&text).unwrap();
        assert_eq!(found.keys, [[10; 32]]);
        assert_eq!(key_text(&found.keys[0]), key);
        assert_eq!(found.required, Some([Gate::Golden, Gate::Quality].into()));
        assert_eq!(found.replay, Some(ReplayRule { captures: 7, agreement_at_least: 0.99 }));
        assert_eq!(found.time, Duration::from_millis(500));
        assert_eq!(rules("").unwrap(), GateRules::default());
        // A model without a block has what the defaults say.
        assert_eq!(rules(&text.replace("models.m.", "models.n.")).unwrap().keys, [[10; 32]]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        let check = |line: &str, expected: &str| {
            let problems = rules(&format!("[models.m.gates]\n{line}\n")).unwrap_err();
            assert!(problems[0].contains(expected), "{problems:?}");
        };
        check("required = [\"goldn\"]", "names \"goldn\", allowed are: ");
        check("keys = [\"ed25519:12\"]", "64 hexadecimal digits");
        check("keys = [\"rsa:12\"]", "write ed25519:");
        check("replay = { agreement_at_least = 0 }", "above 0, at most 1");
        check("enforced = true", "unknown key");
    }

    #[test]
    fn an_edit_of_the_gates_is_told() {
        let of = |text: &str| parse_routing(Path::new("routing.toml"), text.as_bytes()).unwrap().value;
        let (before, after) =
            (of("[models.m]\nstable = 1\n"), of("[models.m]\nstable = 1\ngates.is_enforced = false\n"));
        let told: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["m: gates.is_enforced changes from true to false"]);
    }
}
