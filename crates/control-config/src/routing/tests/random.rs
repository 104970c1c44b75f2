//! Properties over random plans, random ways to write them, and random damage.

use proptest::prelude::*;

use super::*;
use crate::Severity;
use crate::samples::{Plan, plan, style};

/// What must hold of anything that was accepted, however odd the file.
fn check_accepted(config: &RoutingConfig) {
    for block in config.models.values() {
        assert!(block.guardrail.problems().is_empty());
        assert!(block.split.is_none() || block.stable.is_some());
        assert!(block.limits.retry_ratio >= 0.0 && block.limits.retry_ratio <= 1.0);
        assert!(block.limits.queue_requests > 0 && !block.limits.deadline.is_zero());
        assert!(block.rules.iter().all(|rule| !rule.when.is_empty()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn however_a_plan_is_written_it_means_the_same(plan in plan(), one in style(), other in style()) {
        let (one, other) = (block(&plan.render(&one)), block(&plan.render(&other)));
        prop_assert_eq!(one.meaning(), other.meaning());
        prop_assert_eq!(one.stable, Some(version(plan.stable)));
        prop_assert_eq!(one.rules.len(), plan.rules.len());
        prop_assert_eq!(one.labels.len(), plan.labels.len());
        let total: u32 = plan.arms.values().sum();
        for (number, weight) in &plan.arms {
            let share = one.split.as_ref().unwrap().share(version(*number), version(*number));
            prop_assert!((share - f64::from(*weight) / f64::from(total)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_change_of_a_plan_changes_its_meaning(plan in plan(), style in style(), number in 1u64..6, weight in 1u32..1000) {
        let mut edited = plan.clone();
        edited.arms.insert(number, weight);
        let share = |arms: &BTreeMap<u64, u32>, number: u64| {
            let total: u32 = arms.values().sum();
            f64::from(*arms.get(&number).unwrap_or(&0)) / f64::from(total.max(1))
        };
        let shares = |plan: &Plan| -> Vec<String> {
            let all_to_stable = BTreeMap::from([(plan.stable, 1)]);
            let arms = if plan.arms.is_empty() { &all_to_stable } else { &plan.arms };
            (1..6).map(|n| format!("{:.9}", share(arms, n))).collect()
        };
        let (before, after) = (block(&plan.render(&style)), block(&edited.render(&style)));
        prop_assert_eq!(before.meaning() == after.meaning(), shares(&plan) == shares(&edited));
    }

    #[test]
    fn mutations_never_panic_and_never_yield_half_a_config(
        plan in plan(),
        style in style(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0u8..3, any::<u8>()), 1..6),
    ) {
        let mut bytes = format!("{SAMPLE}{}", plan.render(&style).replace("fraud", "other")).into_bytes();
        for (index, kind, byte) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => { bytes.remove(at); }
                1 => bytes.insert(at, byte),
                _ => bytes[at] = *b"\"'[]{}=.,#\n 0x-"
                    .get(byte as usize % 16).unwrap_or(&b'7'),
            }
        }
        match parse_routing(Path::new("r.toml"), &bytes) {
            Ok(parsed) => {
                check_accepted(&parsed.value);
                prop_assert!(parsed.warnings.iter().all(|d| d.severity == Severity::Warning));
            }
            Err(invalid) => {
                prop_assert!(invalid.diagnostics.iter().any(|d| d.severity == Severity::Error));
                prop_assert!(invalid.diagnostics.iter().all(|d| d.line >= 1 && d.column >= 1));
            }
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\PC\n]{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(parsed) = parse_routing(Path::new("r.toml"), bytes) {
                check_accepted(&parsed.value);
            }
        }
    }
}
