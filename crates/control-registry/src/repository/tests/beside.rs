//! What lies beside the versions: labels and data for the warm-up.

use super::*;

const LABELLED: &[u8] = b"output { name: \"y\" data_type: TYPE_FP32 dims: 3 label_filename: \"labels.txt\" }";

#[test]
fn labels_are_read_from_the_file_beside_the_config() {
    let repository = Repository::new(&[
        ("m/1/model.onnx", &plain()),
        ("m/config.pbtxt", LABELLED),
        ("m/labels.txt", b"cat\r\ndog\n\nbird"),
        ("m/warmup/x", &[0; 4]),
        ("without/1/model.onnx", &plain()),
        ("without/config.pbtxt", LABELLED),
    ]);
    let scan = repository.scan();
    assert_eq!(scan.notes, Vec::<String>::new());
    let config = |model: &str| match &scan.models[model].config {
        ConfigEntry::Valid(config) => config.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(config("m").labels["y"].iter().map(String::as_str).collect::<Vec<_>>(), ["cat", "dog", "", "bird"]);
    assert!(config("without").labels.is_empty());
    assert!(config("without").warnings.iter().any(|w| w.contains("labels.txt")), "{:?}", config("without").warnings);
}

#[test]
fn labels_that_lead_elsewhere_or_are_too_large_are_refused() {
    let repository = Repository::new(&[("m/1/model.onnx", &plain()), ("m/config.pbtxt", LABELLED), ("secret", b"cat")]);
    symlink(repository.path("secret"), repository.path("m/labels.txt")).unwrap();
    let refused = |repository: &Repository| match repository.scan().models["m"].config.clone() {
        ConfigEntry::Refused(refusal) => refusal.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&repository), RefusalCode::NotContained);
    fs::remove_file(repository.path("m/labels.txt")).unwrap();
    repository.write("m/labels.txt", &vec![b'a'; (1 << 20) + 1]);
    assert_eq!(refused(&repository), RefusalCode::TooLarge);
    repository.write("m/labels.txt", b"\xff");
    assert_eq!(refused(&repository), RefusalCode::ConfigSyntax);
}

#[test]
fn warm_up_data_are_read_from_their_folder_alone() {
    let repository = Repository::new(&[("m/1/model.onnx", &plain()), ("m/warmup/x", &[7; 16]), ("m/secret", b"s")]);
    let read = |file: &str, bytes_max| read_warmup(repository.root.path(), &name("m"), file, bytes_max);
    assert_eq!(read("x", 16).unwrap(), [7; 16]);
    assert_eq!(read("x", 15).unwrap_err().code, RefusalCode::TooLarge);
    let missing = read("y", 16).unwrap_err();
    assert!(missing.text.contains("warmup/y is missing"), "{missing}");
    symlink("../secret", repository.path("m/warmup/link")).unwrap();
    assert_eq!(read("link", 16).unwrap_err().code, RefusalCode::NotContained);
    assert_eq!(read("../secret", 16).unwrap_err().code, RefusalCode::NotContained);
}
