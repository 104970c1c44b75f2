//! Bits that flip on the disk.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A small store with two versions, a label and results of gates.
fn small() -> Bench {
    let bench = Bench::new();
    for n in 1..=2 {
        let path = bench.file("m.onnx", &affine(n));
        bench.store.push(&Push { labels: vec![label("latest")], ..push(&path) }).unwrap();
    }
    bench.store.add_gate_results(&model(), version(1), &serde_json::json!({ "passed": true }), 5).unwrap();
    bench
}

fn overwrite(path: &Path, content: &[u8]) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn flipped_bits_are_found_and_the_versions_are_named() {
    let bench = small();
    assert_eq!(bench.store.verify().unwrap().damage, []);
    for (name, whole) in bench.content() {
        let path = bench.path("store").join(&name);
        // Each byte or nearly each, each bit in its turn.
        for at in (0..whole.len() * 8).step_by(11) {
            let mut flipped = whole.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            overwrite(&path, &flipped);
            if name == "format" {
                assert!(Store::open_existing(&bench.path("store")).is_err(), "bit {at} of {name}");
                continue;
            }
            let verified = bench.store.verify().unwrap();
            assert!(verified.damage.iter().any(|damage| damage.key == name), "bit {at} of {name}: {verified:?}");
            if name.starts_with("objects/") {
                assert_eq!(verified.damage[0].versions.len(), 1, "{verified:?}");
            }
        }
        overwrite(&path, &whole);
    }
    assert_eq!(bench.store.verify().unwrap().damage, []);
}

#[test]
fn a_damaged_part_is_never_read_and_is_mended_by_the_next_push() {
    let bench = small();
    let record = bench.store.record(&model(), version(1)).unwrap().unwrap();
    let path = bench.path("store").join(crate::store::object_key(&record.files[0].parts[0].sha256));
    let whole = fs::read(&path).unwrap();
    let mut longer = whole.clone();
    longer.push(0);
    for content in [&whole[..whole.len() - 1], &longer, b""] {
        overwrite(&path, content);
        assert_eq!(bench.store.read(&record).unwrap_err().code(), "store_damaged");
        let exported = bench.store.export(&model(), version(1), &bench.path("b.tar"));
        assert_eq!(exported.unwrap_err().code(), "store_damaged");
        assert!(!bench.path("b.tar").exists());
        let again = bench.push(&bench.file("m.onnx", &affine(1))).unwrap();
        assert_eq!((again.is_new, again.n_mended), (false, 1));
        bench.store.read(&record).unwrap();
    }
    fs::remove_file(&path).unwrap();
    let damage = bench.store.verify().unwrap().damage;
    assert_eq!(damage[0].versions, [(model(), version(1))]);
    bench.push(&bench.file("m.onnx", &affine(1))).unwrap();
    assert_eq!(bench.store.verify().unwrap().damage, []);
}

#[test]
fn a_record_under_another_number_is_damage() {
    let bench = small();
    let folder = bench.path("store/models/m/versions");
    fs::copy(folder.join("1.json"), folder.join("3.json")).unwrap();
    assert_eq!(bench.store.record(&model(), version(3)).unwrap_err().code(), "store_damaged");
    assert_eq!(bench.store.verify().unwrap().damage[0].key, "models/m/versions/3.json");
}

#[test]
fn what_does_not_belong_into_a_store_is_told() {
    let bench = small();
    for name in ["models/m/versions/01.json", "models/notes.txt", "objects/ab/notes"] {
        bench.file(&format!("store/{name}"), b"x");
        assert!(bench.store.verify().unwrap().damage.iter().any(|damage| damage.key == name), "{name}");
    }
}
