#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn versions(numbers: &[u64]) -> Vec<Version> {
    numbers.iter().map(|n| Version::new(*n).unwrap()).collect()
}

#[test]
fn rollbacks_close_together_freeze_and_stay_frozen() {
    let freeze_after = FreezeAfter { rollbacks: 3, within: Duration::from_secs(24 * 3600) };
    let check = |hours: &[u64], expected| {
        let times: Vec<u64> = hours.iter().map(|hour| hour * HOUR_MS).collect();
        assert_eq!(is_frozen(&times, freeze_after), expected, "{hours:?}");
    };
    check(&[], false);
    check(&[1, 2], false);
    check(&[3, 1, 2], true);
    check(&[0, 12, 24], true);
    check(&[0, 12, 25], false);
    // However long ago: a person has to thaw.
    check(&[1, 2, 3, 10_000], true);
    assert!(is_frozen(&[5], FreezeAfter { rollbacks: 1, within: Duration::from_secs(1) }));
}

#[test]
fn a_cooldown_ends() {
    let left = |since_ms: u64, cooldown| cooldown_left(Some(1_000), Duration::from_secs(cooldown), 1_000 + since_ms);
    assert_eq!(left(0, 10), Some(Duration::from_secs(10)));
    assert_eq!(left(4_000, 10), Some(Duration::from_secs(6)));
    assert_eq!(left(10_000, 10), None);
    assert_eq!(left(0, 0), None);
    assert_eq!(cooldown_left(None, Duration::from_secs(10), 0), None);
}

#[test]
fn only_the_versions_confirmed_last_are_gone_back_to_without_judgement() {
    let confirmed = versions(&[1, 2, 3, 2, 5, 6]);
    let skips = |number, window| skips_judgement(&confirmed, versions(&[6])[0], versions(&[number])[0], window);
    assert!(skips(5, 1) && skips(2, 2) && skips(3, 3) && skips(1, 4));
    assert!(!skips(2, 1) && !skips(1, 3) && !skips(4, 9) && !skips(5, 0));
    assert!(!skips(6, 9), "what serves is not gone back to");
}

#[test]
fn a_person_gets_past_the_cooldown_but_not_past_the_freeze() {
    let policy = Policy { cooldown: Duration::from_secs(3600), ..Policy::default() };
    let start = |times: &[u64], is_insisting| {
        let history = History { rollbacks_unix_ms: times, is_under_way: false };
        may_start(&policy, &history, is_insisting, 2 * HOUR_MS).map_err(|refusal| refusal.code)
    };
    assert_eq!(start(&[HOUR_MS], false), Ok(()));
    assert_eq!(start(&[HOUR_MS + 1], false), Err(RefusalCode::Cooldown));
    assert_eq!(start(&[HOUR_MS + 1], true), Ok(()));
    assert_eq!(start(&[1, 2, 3], true), Err(RefusalCode::Frozen));
    let history = History { is_under_way: true, ..History::default() };
    assert_eq!(may_start(&policy, &history, true, 0).map_err(|refusal| refusal.code), Err(RefusalCode::IsUnderWay));
}
