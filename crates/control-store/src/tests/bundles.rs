//! One file that any store takes.

use testkit::onnx::external;

use super::*;
use crate::bundle_origin;

/// A version with everything a version may have.
fn rich(bench: &Bench) -> Pushed {
    let made = external("weights.bin", 2.0, 1.0);
    bench.file("rich/model.onnx", &made.model);
    bench.file("rich/weights.bin", &made.data);
    bench.file("rich/golden/a.json", b"{}");
    bench.file("rich/manifest.toml", b"tag = \"2.1.0\"\n[lineage]\nrun = \"7\"\n");
    bench.file("rich/config.pbtxt", b"name: \"m\"\n");
    let metrics = [("accuracy".to_owned(), 0.1 + 0.2)].into();
    bench.store.push(&Push { metrics, version: Some(version(7)), ..push(&bench.path("rich")) }).unwrap()
}

#[test]
fn a_bundle_has_the_same_bytes_every_time_and_everywhere() {
    let (here, there) = (Bench::new(), Bench::new());
    let pushed = rich(&here);
    here.store.export(&model(), version(7), &here.path("1.tar")).unwrap();
    here.store.export(&model(), version(7), &here.path("2.tar")).unwrap();
    let bundle = fs::read(here.path("1.tar")).unwrap();
    assert_eq!(bundle, fs::read(here.path("2.tar")).unwrap());
    assert_eq!(bundle_origin(&here.path("1.tar")).unwrap().unwrap().version, version(7));
    assert_eq!(bundle_origin(&here.path("rich/model.onnx")).unwrap(), None);
    let imported = there.store.import(&here.path("1.tar"), "bob", 2_000).unwrap();
    assert!(imported.is_new);
    let record = imported.record;
    assert_eq!((record.version, record.digest), (version(7), pushed.record.digest));
    assert_eq!(record.lineage, pushed.record.lineage);
    assert_eq!((record.tag, record.config_pbtxt), (pushed.record.tag, pushed.record.config_pbtxt));
    assert_eq!((record.files, record.beside), (pushed.record.files, pushed.record.beside));
    assert_eq!((record.pushed_by.as_str(), record.pushed_at_unix_ms), ("bob", 2_000));
    assert_eq!(record.origin.unwrap().pushed_by, "ann");
    there.store.export(&model(), version(7), &there.path("3.tar")).unwrap();
    assert_eq!(bundle, fs::read(there.path("3.tar")).unwrap(), "also out of another store");
    assert!(!there.store.import(&here.path("1.tar"), "bob", 3_000).unwrap().is_new);
}

#[test]
fn a_bundle_whose_number_is_taken_gets_the_next() {
    let (here, there) = (Bench::new(), Bench::new());
    rich(&here);
    here.store.export(&model(), version(7), &here.path("b.tar")).unwrap();
    let taken = Push { version: Some(version(7)), ..push(&there.file("m.onnx", &affine(1))) };
    there.store.push(&taken).unwrap();
    let imported = there.store.import(&here.path("b.tar"), "bob", 2_000).unwrap();
    assert_eq!(imported.record.version, version(8));
    assert!(imported.notes[0].contains("version 7"), "{:?}", imported.notes);
    // Under another name; `config.pbtxt` says the old one.
    let other = Push { model: Some(ModelName::new("n").unwrap()), ..push(&here.path("b.tar")) };
    assert_eq!(there.store.push(&other).unwrap_err().code(), "refused");
}

#[test]
fn a_damaged_bundle_is_refused() {
    let bench = Bench::new();
    rich(&bench);
    bench.store.export(&model(), version(7), &bench.path("b.tar")).unwrap();
    let whole = fs::read(bench.path("b.tar")).unwrap();
    let digest = bench.store.record(&model(), version(7)).unwrap().unwrap().digest;
    let there = Bench::new();
    let import = |content: &[u8]| match there.store.import(&there.file("b.tar", content), "bob", 2_000) {
        Err(_) => false,
        // What is padding changes nothing.
        Ok(imported) => {
            assert_eq!(imported.record.digest, digest);
            true
        }
    };
    let mut n_refused = 0;
    for at in (0..whole.len()).step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        n_refused += usize::from(!import(&flipped));
    }
    assert!(n_refused > 700, "{n_refused} refused of {} bytes", whole.len());
    // The archive ends with two empty blocks, the last file's padding before them.
    for end in (0..whole.len() - 1_536).step_by(97) {
        assert!(!import(&whole[..end]), "cut at {end}");
    }
    assert_eq!(there.store.verify().unwrap().damage, []);
}

#[test]
fn an_archive_that_is_no_bundle_is_refused() {
    let bench = Bench::new();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    builder.append_data(&mut header, "model.onnx", b"abc".as_slice()).unwrap();
    let path = bench.file("a.tar", &builder.into_inner().unwrap());
    let error = bench.push(&path).unwrap_err().to_string();
    assert!(error.contains("no bundle"), "{error}");
}
