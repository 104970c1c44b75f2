//! What a push keeps, and which number it gives.

use testkit::onnx::external;

use super::*;
use crate::CollectOptions;

#[test]
fn a_version_comes_back_as_it_was_pushed() {
    let bench = Bench::new();
    let content = ten_tensors(0);
    let pushed = bench.push_model(&content);
    assert!(pushed.is_new);
    assert_eq!(pushed.record.version, version(1));
    assert_eq!(pushed.record.digest, digest_by_hand(&[("model.onnx", &content)]));
    let store = Store::open_existing(&bench.path("store")).unwrap();
    let record = store.record(&model(), version(1)).unwrap().unwrap();
    assert_eq!(record, pushed.record);
    assert_eq!(store.read(&record).unwrap(), [("model.onnx".to_owned(), content)]);
    assert_eq!(record.signature.inputs[0].name, "x");
    assert_eq!(record.signature.inputs[0].shape, Some(vec![-1, 4]));
    assert_eq!((record.onnx.ir, record.onnx.opsets[0].version), (8, 17));
    assert!(record.files[0].parts.len() >= 10, "cut at its tensors: {}", record.files[0].parts.len());
    assert_eq!(store.record(&model(), version(2)).unwrap(), None);
    assert_eq!(store.list().unwrap().models[&model()].iter().copied().collect::<Vec<_>>(), [version(1)]);
}

#[test]
fn versions_that_differ_in_one_of_ten_tensors_cost_little_more_than_one() {
    let bench = Bench::new();
    let first = ten_tensors(0);
    bench.push_model(&first);
    let one = bench.object_bytes();
    assert_eq!(one, first.len() as u64);
    bench.push_model(&ten_tensors(1));
    let both = bench.object_bytes();
    assert!(both < one + one / 8, "{one} bytes for one, {both} for two");
    bench.push_model(&ten_tensors(10));
    assert!(bench.object_bytes() > both + one * 8 / 10, "what differs is stored");
}

#[test]
fn identical_external_weights_are_stored_once() {
    let bench = Bench::new();
    let made = external("weights.bin", 2.0, 1.0);
    bench.file("a/model.onnx", &made.model);
    bench.file("a/weights.bin", &made.data);
    let first = bench.push(&bench.path("a")).unwrap().record;
    let before = bench.object_bytes();
    // Another graph over the same weights.
    let mut other = made.model.clone();
    let at = other.windows(8).position(|w| w == b"external").unwrap();
    other[at] = b'X';
    bench.file("b/model.onnx", &other);
    bench.file("b/weights.bin", &made.data);
    let second = bench.push(&bench.path("b")).unwrap().record;
    assert_ne!(first.digest, second.digest);
    assert_eq!(bench.object_bytes(), before + other.len() as u64);
    let expected = [("model.onnx".to_owned(), other), ("weights.bin".to_owned(), made.data)];
    assert_eq!(bench.store.read(&second).unwrap(), expected);
}

/// Five tensors of 100 KiB in a file beside the model, each at a multiple of 4 KiB.
fn five_beside(n_other: usize) -> (Vec<u8>, Vec<u8>) {
    const BYTES: usize = 102_400;
    let mut graph = Graph::new("beside")
        .input("x", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .output("y", DataType::Fp32, Shape::Dims(&[-1, 4]))
        .node("Identity", "x", "y", &[]);
    let mut data = Vec::new();
    for n in 0..5 {
        let offset = data.len();
        let init = Init::External { location: "w.bin", offset, length: BYTES };
        graph = graph.init(&format!("w{n}"), &[BYTES as i64 / 4], init);
        let step = if n < n_other { 7 } else { 3 };
        data.extend((0..BYTES).map(|i| ((i * step + n * 11 + i / 251) % 251) as u8));
        data.resize(data.len().next_multiple_of(4_096), 0);
    }
    (graph.model(), data)
}

#[test]
fn external_weights_are_cut_at_their_tensors() {
    let bench = Bench::new();
    let push = |n_other: usize| {
        let (model, data) = five_beside(n_other);
        bench.file("e/model.onnx", &model);
        bench.file("e/w.bin", &data);
        let record = bench.push(&bench.path("e")).unwrap().record;
        let expected = [("model.onnx".to_owned(), model), ("w.bin".to_owned(), data)];
        assert_eq!(bench.store.read(&record).unwrap(), expected);
        bench.object_bytes()
    };
    let one = push(0);
    let both = push(1);
    assert!(both < one + one / 4, "{one} bytes for one, {both} for two");
}

#[test]
fn the_same_content_is_the_same_version() {
    let bench = Bench::new();
    let first = bench.push_model(&affine(1));
    let renamed = bench.push(&bench.file("other name.onnx", &affine(1))).unwrap();
    assert!(!renamed.is_new);
    assert_eq!(renamed.record, first.record);
    let told = Push { set: [("run".to_owned(), "7".to_owned())].into(), ..push(&bench.path("m.onnx")) };
    let again = bench.store.push(&told).unwrap();
    assert!(!again.is_new && again.notes.iter().any(|note| note.contains("lineage")), "{:?}", again.notes);
    assert_eq!(bench.push_model(&affine(2)).record.version, version(2));
}

#[test]
fn numbers_tags_and_contents_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    let (one, two) = (bench.file("1.onnx", &affine(1)), bench.file("2.onnx", &affine(2)));
    let tagged = Push { tag: Some("1.0.0".to_owned()), version: Some(version(3)), ..push(&one) };
    assert_eq!(bench.store.push(&tagged).unwrap().record.version, version(3));
    let refused = |push: Push| {
        let before = bench.content();
        let error = bench.store.push(&push).unwrap_err();
        assert_eq!(bench.content(), before, "a refused push leaves nothing");
        error.code()
    };
    assert_eq!(refused(Push { version: Some(version(3)), ..push(&two) }), "version_taken");
    assert_eq!(refused(Push { version: Some(version(4)), ..push(&one) }), "version_differs");
    assert_eq!(refused(Push { tag: Some("1.0.0".to_owned()), ..push(&two) }), "tag_taken");
    assert_eq!(refused(Push { tag: Some("latest".to_owned()), ..push(&two) }), "bad_name");
    assert_eq!(refused(Push { model: None, ..push(&two) }), "bad_source");
    assert_eq!(refused(push(&bench.path("absent"))), "bad_source");
    assert_eq!(refused(push(&bench.file("no.onnx", b"no model"))), "refused");
    let cut = &affine(1)[..40];
    assert_eq!(refused(push(&bench.file("cut.onnx", cut))), "refused");
    let held = [(version(9), Some(Digest::new([7; 32])))].into();
    assert_eq!(refused(Push { version: Some(version(9)), held, ..push(&two) }), "version_taken");
    let held = [(version(9), None)].into();
    assert_eq!(bench.store.push(&Push { held, ..push(&two) }).unwrap().record.version, version(10));
}

#[test]
fn what_lies_beside_a_model_comes_with_it() {
    let bench = Bench::new();
    bench.file("m/7/model.onnx", &affine(1));
    bench.file("m/7/golden/0.json", b"{}");
    bench.file("m/7/.hidden", b"no");
    let manifest = "tag = \"2.1.0\"\n[lineage]\ndataset = \"d\"\n[metrics]\naccuracy = 0.93\n\
                    [[golden]]\ninputs = \"golden/0.json\"\noutputs = \"golden/0.json\"\n";
    bench.file("m/7/manifest.toml", manifest.as_bytes());
    let config = "name: \"m\"\noutput { name: \"y\" data_type: TYPE_FP32 dims: [4] label_filename: \"labels.txt\" }\n\
                  max_batch_size: 8\n";
    bench.file("m/config.pbtxt", config.as_bytes());
    bench.file("m/labels.txt", b"cat\ndog\nowl\nfox\n");
    for path in ["m/7", "m/7/model.onnx"] {
        let record = bench.push(&bench.path(path)).unwrap().record;
        assert_eq!(record.config_pbtxt.as_deref(), Some(config), "{path}");
        assert_eq!(record.manifest_toml.as_deref(), Some(manifest));
        assert_eq!(record.tag.as_deref(), Some("2.1.0"));
        assert_eq!((record.lineage.set["dataset"].as_str(), record.lineage.metrics["accuracy"]), ("d", 0.93));
        let beside = bench.store.read_beside(&record).unwrap();
        let names: Vec<&str> = beside.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["golden/0.json", "labels.txt"]);
    }
    // The flags win.
    let given = Push {
        tag: Some("3.0.0".to_owned()),
        set: [("dataset".to_owned(), "e".to_owned())].into(),
        ..push(&bench.file("m/7/model.onnx", &affine(2)))
    };
    let record = bench.store.push(&given).unwrap().record;
    assert_eq!((record.tag.as_deref(), record.lineage.set["dataset"].as_str()), (Some("3.0.0"), "e"));
    // What a manifest names must be there, and in its folder.
    for (name, part) in [("gone.json", "not there"), ("../m/labels.txt", "in its folder")] {
        let text = format!("[[golden]]\ninputs = \"{name}\"\noutputs = \"{name}\"\n");
        bench.file("m/7/manifest.toml", text.as_bytes());
        let error = bench.push(&bench.path("m/7")).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn links_beside_a_model_are_refused() {
    let bench = Bench::new();
    let made = external("weights.bin", 2.0, 1.0);
    bench.file("a/model.onnx", &made.model);
    let secret = bench.file("secret", &made.data);
    std::os::unix::fs::symlink(secret, bench.path("a/weights.bin")).unwrap();
    for path in ["a", "a/model.onnx"] {
        let error = bench.push(&bench.path(path)).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
    }
}

#[test]
fn labels_move_and_go() {
    let bench = Bench::new();
    let with = |n: u32, labels: &[&str]| {
        let path = bench.file("m.onnx", &affine(n));
        let labels = labels.iter().map(|text| label(text)).collect();
        bench.store.push(&Push { labels, now_unix_ms: 1_000 + u64::from(n), ..push(&path) }).unwrap().record
    };
    let labels = || {
        let labels = bench.store.labels(&model()).unwrap();
        labels.into_iter().map(|(label, version)| format!("{label}={version}")).collect::<Vec<_>>().join(" ")
    };
    with(1, &["stable"]);
    with(2, &["canary"]);
    assert_eq!(labels(), "canary=2 stable=1");
    // As after a push that died between its record and the labels' file.
    fs::remove_file(bench.path("store/models/m/labels.json")).unwrap();
    assert_eq!(labels(), "canary=2 stable=1", "records say it themselves");
    bench.store.set_label(&model(), &label("stable"), Some(version(2))).unwrap();
    assert_eq!(labels(), "canary=2 stable=2");
    with(1, &["old"]);
    assert_eq!(labels(), "canary=2 old=1 stable=2", "the same content with a label");
    bench.store.set_label(&model(), &label("canary"), None).unwrap();
    assert_eq!(labels(), "old=1 stable=2");
    with(3, &["stable"]);
    assert_eq!(labels(), "old=1 stable=3");
    let unknown = |label: Label, version| bench.store.set_label(&model(), &label, version).unwrap_err().code();
    assert_eq!(unknown(label("x"), Some(version(9))), "version_unknown");
    assert_eq!(unknown(label("x"), None), "label_unknown");
}

#[test]
fn results_of_gates_are_added_and_kept() {
    let bench = Bench::new();
    bench.push_model(&affine(1));
    let add = |n: u64, at| bench.store.add_gate_results(&model(), version(1), &serde_json::json!({ "n": n }), at);
    add(1, 10).unwrap();
    add(2, 9).unwrap();
    add(2, 9).unwrap();
    let found = bench.store.gate_results(&model(), version(1)).unwrap();
    let found: Vec<_> = found.iter().map(|result| (result.at_unix_ms, result.report["n"].clone())).collect();
    assert_eq!(found, [(9, 2.into()), (10, 1.into())]);
    let unknown = bench.store.add_gate_results(&model(), version(2), &serde_json::json!({}), 1);
    assert_eq!(unknown.unwrap_err().code(), "version_unknown");
}

#[test]
fn of_very_many_results_of_gates_the_newest_are_kept() {
    let bench = Bench::new();
    bench.push_model(&affine(1));
    let report = serde_json::json!([]);
    let sealed = crate::envelope::seal("x", &report).unwrap();
    for at in 1_000..2_000 {
        bench.file(&format!("store/models/m/gates/1/{at}-00000000.json"), &sealed);
    }
    bench.store.add_gate_results(&model(), version(1), &report, 2_000).unwrap();
    let kept = bench.store.gate_results(&model(), version(1)).unwrap();
    assert_eq!((kept.len(), kept[0].at_unix_ms, kept[999].at_unix_ms), (1_000, 1_001, 2_000));
}

#[test]
fn only_what_nobody_needs_and_is_old_is_collected() {
    let bench = Bench::new();
    let record = bench.push_model(&ten_tensors(1)).record;
    let orphan = b"left by a push that was broken off".as_slice();
    let key = crate::store::object_key(&crate::envelope::sha256(orphan));
    bench.store.objects.put_if_absent(&key, orphan).unwrap();
    let written = bench.store.objects.list("objects/").unwrap().iter().map(|l| l.written_unix_ms).max().unwrap();
    let collect = |now_unix_ms, is_dry_run| {
        let options = CollectOptions { grace_ms: 1_000, is_dry_run, now_unix_ms };
        bench.store.collect_garbage(&options).unwrap()
    };
    assert_eq!(collect(written + 999, false).n_young, 1);
    assert_eq!(collect(written + 1_000, true).removed, [key.as_str()]);
    let collected = collect(written + 1_000, false);
    assert_eq!((collected.removed, collected.removed_bytes), (vec![key.clone()], orphan.len() as u64));
    assert_eq!(collect(written + 1_000, false).removed, Vec::<String>::new());
    bench.store.read(&record).unwrap();
    assert_eq!(bench.store.verify().unwrap().damage, []);
    // Without its record nothing says what a version needs.
    fs::write(bench.path("store/models/m/versions/1.json"), "{}").unwrap_or_else(|_| panic!("writable by the test"));
    let options = CollectOptions { grace_ms: 0, is_dry_run: false, now_unix_ms: u64::MAX };
    assert_eq!(bench.store.collect_garbage(&options).unwrap_err().code(), "store_damaged");
}

#[test]
fn a_folder_with_other_things_in_it_is_no_store() {
    let bench = Bench::new();
    bench.file("documents/letter.txt", b"dear");
    assert!(matches!(Store::open(&bench.path("documents")), Err(StoreError::Foreign(_))));
    assert!(matches!(Store::open_existing(&bench.path("documents")), Err(StoreError::NotAStore(_))));
    bench.file("newer/format", b"switchrail store 2\n");
    assert!(matches!(Store::open(&bench.path("newer")), Err(StoreError::Format { .. })));
}

#[test]
fn several_writers_at_once_give_each_content_a_number_of_its_own() {
    let bench = Bench::new();
    let paths: Vec<PathBuf> = (0..8).map(|n| bench.file(&format!("{n}.onnx"), &affine(n))).collect();
    std::thread::scope(|scope| {
        for (n, path) in paths.iter().enumerate() {
            let folder = bench.path("store");
            scope.spawn(move || {
                let store = Store::open(&folder).unwrap();
                let labels = vec![label(&format!("l{n}"))];
                store.push(&Push { labels, ..push(path) }).unwrap();
            });
        }
    });
    let records = bench.store.records(&model()).unwrap();
    assert_eq!(records.iter().map(|record| record.version.get()).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let labels = bench.store.labels(&model()).unwrap();
    assert_eq!(labels.len(), 8);
    assert!(records.iter().all(|record| labels[&record.labels[0]] == record.version));
    assert_eq!(bench.store.verify().unwrap().damage, []);
}
