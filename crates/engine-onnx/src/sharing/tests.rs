use super::{Overlap, choose};

fn overlap(shared_bytes: u64, dead_bytes: u64) -> Overlap {
    Overlap { shared_bytes, dead_bytes }
}

#[test]
fn the_group_that_saves_most_is_joined() {
    assert_eq!(choose(&[]), None);
    assert_eq!(choose(&[overlap(0, 0)]), None);
    assert_eq!(choose(&[overlap(100, 0), overlap(200, 0), overlap(150, 0)]), Some(1));
    assert_eq!(choose(&[overlap(100, 0), overlap(110, 40)]), Some(0));
}

#[test]
fn a_group_that_is_mostly_dead_comes_to_its_end() {
    assert_eq!(choose(&[overlap(100, 50)]), Some(0));
    assert_eq!(choose(&[overlap(100, 51)]), None);
}

/// However often a part of the weights changes, what a group keeps of the versions that are gone stays below half of what
/// the next one has in common with it.
#[test]
fn dead_weights_do_not_pile_up() {
    // Each version has 80 bytes in common with all others and 20 of its own, and goes when the next one is there.
    let (mut dead, mut largest, mut n_groups) = (0, 0, 1);
    for _ in 0..1_000 {
        match choose(&[overlap(80, dead)]) {
            Some(_) => dead += 20,
            None => (dead, n_groups) = (0, n_groups + 1),
        }
        largest = largest.max(dead);
    }
    assert!(largest <= 60, "{largest}");
    assert!(n_groups > 200, "{n_groups}");
}
