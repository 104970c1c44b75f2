#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_serving::{CaptureSink, CapturedTensor, Prediction, PredictionKey};
use base_types::{Data, Generation, Reason};

use super::*;
use crate::LineLogLimits;

fn raw(name: &str, datatype: DataType, bytes: &[u8]) -> CapturedTensor {
    let shape = vec![bytes.len() / datatype.element_bytes().unwrap()];
    CapturedTensor { name: name.to_owned(), datatype, shape, data: Some(Data::Raw(bytes.to_vec().into())) }
}

fn texts(name: &str, texts: &[&[u8]]) -> CapturedTensor {
    let data = Data::Strings(texts.iter().map(|text| text.to_vec().into()).collect());
    CapturedTensor { name: name.to_owned(), datatype: DataType::Bytes, shape: vec![texts.len()], data: Some(data) }
}

fn made(model: &str, sequence: u32, inputs: Vec<CapturedTensor>) -> base_serving::Capture {
    let (model, version) = (ModelName::new(model).unwrap(), Version::new(3).unwrap());
    let unix_ms = 1_790_000_000_000 + u64::from(sequence);
    let prediction = Prediction { version, is_random: true, experiment: None, share: 0.0, unix_ms, sequence };
    base_serving::Capture {
        prediction: PredictionKey::new([7; 16]).sign(&model, &prediction),
        unix_ms,
        model,
        version,
        digest: Digest::new([9; 32]),
        generation: Generation(12),
        reason: Reason::Split,
        asked: vec!["y".to_owned()],
        positions: vec![1],
        inputs,
        outputs: vec![raw("y", DataType::Fp32, &1.5f32.to_le_bytes())],
        provider: base_serving::Provider::Cpu,
        batch_rows: Some(4),
        trace_id: None,
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint { switchrail: "1".to_owned(), runtime: "1.32.0".to_owned(), run_threads: 2, ..Fingerprint::default() }
}

fn limits(file_bytes: u64) -> CaptureLimits {
    CaptureLimits { capture_bytes: 1 << 20, files: LineLogLimits { file_bytes, files_kept: 3 } }
}

/// Writes captures and waits until each has its end; gives the ends.
fn write(folder: &Path, limits: CaptureLimits, captures: Vec<base_serving::Capture>) -> Vec<CaptureEnd> {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let told = ends.clone();
    let log = CaptureLog::start(folder, limits, fingerprint(), Arc::new(move |end| told.lock().unwrap().push(end)));
    let (log, n_captures) = (log.unwrap(), captures.len());
    for capture in captures {
        if log.has_room(capture.n_bytes()) {
            log.captured(capture);
        }
    }
    let until = Instant::now() + Duration::from_secs(20);
    while ends.lock().unwrap().len() < n_captures && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ends = ends.lock().unwrap();
    ends.clone()
}

#[test]
fn a_capture_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let payload = 0x7fc1_2345u32.to_le_bytes();
    let inputs = vec![
        raw("nan", DataType::Fp32, &[payload, (-0.0f32).to_le_bytes()].concat()),
        raw("half", DataType::Fp16, &[0x01, 0x7e, 0x00, 0x3c]),
        texts("text", &[b"", b"\xff\x00\"\n", "é".as_bytes()]),
        raw("none", DataType::Int64, &[]),
    ];
    let given = made("m", 1, inputs);
    assert_eq!(write(folder.path(), limits(1 << 20), vec![given.clone()]), [CaptureEnd::Written]);
    let read = Captures::open(folder.path()).unwrap().find(given.prediction.as_str()).unwrap().unwrap();
    assert_eq!((&read.inputs, &read.outputs), (&given.inputs, &given.outputs));
    assert_eq!((read.model.as_str(), read.version, read.digest), ("m", given.version, given.digest));
    assert_eq!((read.generation, read.reason.as_str(), read.at_unix_ms), (12, "split", given.unix_ms));
    assert_eq!((read.asked.as_slice(), read.positions.as_slice()), (&["y".to_owned()][..], &[1][..]));
    assert_eq!((read.was_redacted, read.is_fallback(), read.batch_rows), (false, false, Some(4)));
    assert_eq!(read.fingerprint, Fingerprint { provider: "cpu".to_owned(), ..fingerprint() });
    assert_eq!(read.fingerprint.differences(&fingerprint()), [""; 0], "what is not known does not differ");
    assert_eq!(read.inputs().unwrap().len(), 4);
    assert_eq!(read.request(), None, "the protocol's JSON has no form for a NaN");
    assert_eq!(Fingerprint::of_last_start(folder.path()), Some(fingerprint()));
}

#[test]
fn only_the_owner_can_read_them() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), limits(1 << 20), vec![made("m", 1, Vec::new())]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let captures = super::folder(folder.path());
    assert_eq!(mode(&captures), 0o700);
    for entry in std::fs::read_dir(&captures).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_redacted_capture_says_so_and_gives_no_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = CapturedTensor { data: None, ..raw("secret", DataType::Fp32, &[1, 2, 3, 4]) };
    let given = made("m", 1, vec![hidden, raw("open", DataType::Uint8, &[5])]);
    write(folder.path(), limits(1 << 20), vec![given.clone()]);
    let read = Captures::open(folder.path()).unwrap().find(given.prediction.as_str()).unwrap().unwrap();
    assert_eq!((read.was_redacted, read.inputs(), read.redacted()), (true, None, vec!["secret"]));
    assert!(read.request().is_none() && read.outputs().is_some());
}

#[test]
fn the_newest_of_a_model_come_first_over_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = |n: u32| if n.is_multiple_of(3) { "other" } else { "m" };
    let all: Vec<_> = (0..12).map(|n| made(model(n), n, Vec::new())).collect();
    write(folder.path(), limits(2_000), all.clone());
    let captures = Captures::open(folder.path()).unwrap();
    assert!(captures.files.len() > 2, "there are files set aside");
    let recent = |n| captures.recent(&ModelName::new("m").unwrap(), n).unwrap();
    let ids = |of: &[Capture]| of.iter().map(|capture| capture.prediction_id.clone()).collect::<Vec<_>>();
    let expected = |n: usize| {
        let of_model = all.iter().rev().filter(|capture| capture.model.as_str() == "m");
        of_model.take(n).map(|capture| capture.prediction.as_str().to_owned()).collect::<Vec<_>>()
    };
    for n in [0, 1, 3, 4] {
        assert_eq!(ids(&recent(n)), expected(n), "{n}");
    }
    let held = captures.held().unwrap();
    assert_eq!(held.models, ["m", "other"]);
    assert_eq!(held.oldest_unix_ms, Some(all[all.len() - held.n_captures as usize].unix_ms));
    let all_there_are = recent(usize::MAX);
    let n_other = captures.recent(&ModelName::new("other").unwrap(), 100).unwrap().len();
    assert_eq!((all_there_are.len() + n_other) as u64, held.n_captures);
}

#[test]
fn what_is_torn_is_passed_over_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..3).map(|n| made("m", n, vec![texts("t", &[b"abc"])])).collect();
    write(folder.path(), limits(1 << 20), all.clone());
    let path = super::folder(folder.path()).join("captures.jsonl");
    let whole = std::fs::read(&path).unwrap();
    let model = ModelName::new("m").unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let n_whole = ends.iter().filter(|end| **end < cut).count();
        let found = Captures::open(folder.path()).unwrap().recent(&model, 10).unwrap();
        assert_eq!(found.len(), n_whole, "cut at {cut}");
    }
    // The next start goes on behind the torn line.
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    write(folder.path(), limits(1 << 20), vec![made("m", 9, Vec::new())]);
    let captures = Captures::open(folder.path()).unwrap();
    assert_eq!(captures.recent(&model, 10).unwrap().len(), 3);
    assert!(captures.find(all[2].prediction.as_str()).unwrap().is_none());
}

#[test]
fn lines_of_others_are_no_captures() {
    let folder = tempfile::tempdir().unwrap();
    let given = made("m", 1, vec![raw("x", DataType::Uint8, &[1, 2])]);
    write(folder.path(), limits(1 << 20), vec![given.clone()]);
    let path = super::folder(folder.path()).join("captures.jsonl");
    let line = std::fs::read_to_string(&path).unwrap();
    let spoilt = [
        line.replace("\"shape\":[2]", "\"shape\":[3]"),
        line.replace("\"UINT8\"", "\"UINT9\""),
        line.replace("\"AQI=\"", "\"AQ*=\""),
        line.replace("\"version\":3", "\"version\":0"),
        "\n\nnull\n{}\n[]\n".to_owned(),
    ];
    for text in spoilt {
        assert_ne!(text, line);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let captures = Captures::open(folder.path()).unwrap();
        assert_eq!(captures.find(given.prediction.as_str()).unwrap(), None, "{text}");
    }
}

#[test]
fn a_capture_too_large_is_refused_before_it_is_made_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let large = made("m", 1, vec![raw("x", DataType::Uint8, &vec![0; 2 << 20])]);
    assert_eq!(write(folder.path(), limits(1 << 20), vec![large]), [CaptureEnd::TooLarge]);
    assert!(matches!(Captures::open(folder.path()), Err(CapturesError::None(_))));
}

#[test]
fn a_disk_that_takes_nothing_costs_captures_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(super::folder(folder.path()), "no folder").unwrap();
    let ends = write(folder.path(), limits(1 << 20), (0..3).map(|n| made("m", n, Vec::new())).collect());
    assert_eq!(ends, [CaptureEnd::Failed; 3]);
}

#[test]
fn what_finds_no_room_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, n_dropped) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    let (held, dropped) = (gate.clone(), n_dropped.clone());
    let told = move |end| match end {
        // The writing thread waits here, as it would for a disk.
        CaptureEnd::Written => drop(held.lock().unwrap()),
        _ => drop(dropped.fetch_add(1, Ordering::Relaxed)),
    };
    let log = CaptureLog::start(folder.path(), limits(1 << 20), fingerprint(), Arc::new(told)).unwrap();
    let closed = gate.lock().unwrap();
    let n_offered = 3_000;
    for n in 0..n_offered {
        log.captured(made("m", n, Vec::new()));
    }
    // One is being written, and a bounded number waits.
    assert!(n_dropped.load(Ordering::Relaxed) >= n_offered as usize - 1_024 - 1);
    drop(closed);
}

#[test]
fn what_was_taken_is_written_before_the_log_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let log = CaptureLog::start(folder.path(), limits(64 << 20), fingerprint(), Arc::new(|_| {})).unwrap();
    (0..300).for_each(|n| log.captured(made("m", n, vec![raw("x", DataType::Uint8, &[0; 1_000])])));
    drop(log);
    assert_eq!(Captures::open(folder.path()).unwrap().held().unwrap().n_captures, 300);
}

#[test]
fn a_difference_of_fingerprints_is_told_in_words() {
    let then = Fingerprint { cpu_features: "avx2 fma".to_owned(), ..fingerprint() };
    assert_eq!(then.differences(&Fingerprint { run_threads: 9, switchrail: "2".to_owned(), ..then.clone() }), [""; 0]);
    let now = Fingerprint { runtime: "1.33.0".to_owned(), cpu_features: "avx2".to_owned(), ..then.clone() };
    let told = then.differences(&now);
    assert_eq!(
        told,
        ["ONNX Runtime was \"1.32.0\", is \"1.33.0\"", "the processor's features was \"avx2 fma\", is \"avx2\"",]
    );
    let many = (0..20).map(|n| format!("f{n:02} ")).collect::<String>();
    let told = Fingerprint { cpu_features: format!("{many}new"), ..then.clone() };
    let told = Fingerprint { cpu_features: format!("{many}old"), ..then }.differences(&told);
    assert_eq!(told, ["the processor's features differ: gone [old], new [new]"]);
}
