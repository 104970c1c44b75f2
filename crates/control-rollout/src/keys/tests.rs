use super::*;

#[test]
fn a_key_is_news_once() {
    let mut keys = ErringKeys::new(&[]);
    assert!(keys.insert(7));
    assert!(keys.insert(8));
    assert!(!keys.insert(7));
    assert_eq!(keys.as_slice(), [8, 7]);
}

#[test]
fn a_full_memory_forgets_the_key_that_erred_longest_ago() {
    let mut keys = ErringKeys::new(&[]);
    (0..ERRING_KEYS_MAX as u64).for_each(|k| assert!(keys.insert(k)));
    assert!(!keys.insert(0), "erring again keeps a key remembered");
    assert!(keys.insert(u64::MAX));
    assert_eq!(keys.as_slice().len(), ERRING_KEYS_MAX);
    assert!(!keys.insert(0));
    assert!(keys.insert(1), "the oldest was forgotten");
}

#[test]
fn room_is_taken_once() {
    let mut keys = ErringKeys::new(&[1, 2, 3]);
    let capacity = keys.keys.capacity();
    (0..5 * ERRING_KEYS_MAX as u64).for_each(|k| {
        keys.insert(k);
    });
    assert_eq!(keys.keys.capacity(), capacity);
    let too_many: Vec<u64> = (0..2000).collect();
    assert_eq!(ErringKeys::new(&too_many).as_slice(), &too_many[2000 - ERRING_KEYS_MAX..]);
}
