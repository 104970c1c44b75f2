#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::test_model::{external, graph, model, tensor};
use base_types::Digest;
use sha2::Digest as _;
use tempfile::TempDir;

mod beside;

/// A repository on disk, seen an hour later, when all of it has settled.
struct Repository {
    root: TempDir,
}

impl Repository {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let repository = Self { root: TempDir::new().unwrap() };
        files.iter().for_each(|(path, content)| repository.write(path, content));
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn scan(&self) -> Scan {
        scan(self.root.path(), &ScanOptions::default(), now_ms() + 3_600_000).unwrap()
    }

    fn version(&self, model: &str, number: u64) -> VersionEntry {
        self.scan().models[&name(model)].versions[&version(number)].clone()
    }

    fn read(&self, model: &str, number: u64) -> Result<VersionFiles, Refusal> {
        match self.version(model, number) {
            VersionEntry::Settled(stamp) => self.read_with(model, number, &stamp),
            VersionEntry::Refused(refusal) => Err(refusal),
            VersionEntry::Settling => panic!("an hour is enough to settle"),
        }
    }

    fn read_with(&self, model: &str, number: u64, stamp: &Stamp) -> Result<VersionFiles, Refusal> {
        read_version(self.root.path(), &name(model), version(number), stamp, &Limits::default())
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn code(entry: VersionEntry) -> RefusalCode {
    match entry {
        VersionEntry::Refused(refusal) => refusal.code,
        entry => panic!("not refused: {entry:?}"),
    }
}

fn plain() -> Vec<u8> {
    model(graph()).0
}

/// A model whose 16 bytes of weights lie in `weights.bin`.
fn split() -> Vec<u8> {
    model(graph().with(5, external(&[4], &[("location", "weights.bin")]))).0
}

#[test]
fn the_layouts_people_have_are_read() {
    let repository = Repository::new(&[
        ("triton/1/model.onnx", &plain()),
        ("triton/12/model.onnx", &plain()),
        ("triton/config.pbtxt", b"name: \"triton\" max_batch_size: 4"),
        ("openvino/3/iris.onnx", &plain()),
        ("openvino/3/manifest.toml", b""),
        ("folder/1/model.onnx/model.onnx", &split()),
        ("folder/1/model.onnx/weights.bin", &[7; 16]),
        ("both/1/model.onnx", &plain()),
        ("both/1/other.onnx", b"not read"),
    ]);
    let scan = repository.scan();
    assert_eq!(scan.refused, BTreeMap::new());
    assert_eq!(scan.notes, Vec::<String>::new());
    let names: Vec<&str> = scan.models.keys().map(ModelName::as_str).collect();
    assert_eq!(names, ["both", "folder", "openvino", "triton"]);
    let triton = &scan.models["triton"];
    assert_eq!(triton.versions.keys().map(|v| v.get()).collect::<Vec<_>>(), [1, 12]);
    assert!(matches!(&triton.config, ConfigEntry::Valid(config) if config.max_batch_size == Some(4)));
    assert_eq!(scan.models["both"].config, ConfigEntry::Absent);
    for (model, number) in [("triton", 12), ("openvino", 3), ("both", 1)] {
        let files = repository.read(model, number).unwrap();
        assert_eq!(&*files.artifact.model.content, plain());
        assert_eq!(files.artifact.external.len(), 0);
    }
    assert_eq!(repository.read("openvino", 3).unwrap().artifact.model.path, "iris.onnx");
    let files = repository.read("folder", 1).unwrap();
    assert_eq!(files.artifact.external[0].path, "weights.bin");
    assert_eq!(&*files.artifact.external[0].content, [7; 16]);
}

#[test]
fn what_is_no_model_is_refused_or_passed_over_one_by_one() {
    let repository = Repository::new(&[
        ("good/1/model.onnx", &plain()),
        ("good/01/model.onnx", &plain()),
        ("good/0/model.onnx", &plain()),
        ("good/99999999999999999999/model.onnx", &plain()),
        ("good/9999999999999999999/model.onnx", &plain()),
        ("good/latest/model.onnx", &plain()),
        ("good/README", b""),
        ("good/2/weights.bin", b""),
        ("good/3/a.onnx", &plain()),
        ("good/3/b.onnx", &plain()),
        ("bad name/1/model.onnx", &plain()),
        ("empty/README", b""),
        (".git/1/model.onnx", &plain()),
        ("README.md", b""),
        ("broken-config/1/model.onnx", &plain()),
        ("broken-config/config.pbtxt", b"sequence_batching { }"),
    ]);
    fs::create_dir(repository.path("lost+found")).unwrap();
    let scan = repository.scan();
    let models: Vec<&str> = scan.models.keys().map(ModelName::as_str).collect();
    assert_eq!(models, ["broken-config", "empty", "good"]);
    assert_eq!(scan.refused["bad name"].code, RefusalCode::BadModelName);
    assert_eq!(scan.refused.len(), 1);
    let good = &scan.models["good"];
    assert!(matches!(good.versions[&version(1)], VersionEntry::Settled(_)));
    assert_eq!(code(good.versions[&version(2)].clone()), RefusalCode::NoModelFile);
    assert_eq!(code(good.versions[&version(3)].clone()), RefusalCode::SeveralModelFiles);
    let refused: Vec<_> = good.refused.iter().map(|(name, refusal)| (name.as_str(), refusal.code)).collect();
    let names = ["0", "01", "9999999999999999999", "99999999999999999999"];
    assert_eq!(refused, names.map(|name| (name, RefusalCode::BadVersion)));
    assert!(scan.notes.iter().any(|note| note.contains("good/latest")), "{:?}", scan.notes);
    assert!(scan.notes.iter().any(|note| note.contains("README.md")), "{:?}", scan.notes);
    assert_eq!(scan.models["empty"].refused[""].code, RefusalCode::NoVersions);
    let config = &scan.models["broken-config"].config;
    assert!(matches!(config, ConfigEntry::Refused(refusal) if refusal.code == RefusalCode::ConfigUnsupported));
}

#[test]
fn a_root_that_cannot_be_read_is_an_error() {
    let root = TempDir::new().unwrap();
    let options = ScanOptions::default();
    let missing = scan(&root.path().join("missing"), &options, 0).unwrap_err();
    assert!(matches!(missing, ScanError::Root { .. }));
    fs::write(root.path().join("file"), "").unwrap();
    assert!(matches!(scan(&root.path().join("file"), &options, 0), Err(ScanError::Root { .. })));
    symlink("nowhere", root.path().join("link")).unwrap();
    assert!(matches!(scan(&root.path().join("link"), &options, 0), Err(ScanError::Root { .. })));
}

#[test]
fn cannot_look_is_not_gone() {
    let repository = Repository::new(&[("m/1/model.onnx", &plain())]);
    symlink("nowhere", repository.path("dangling")).unwrap();
    symlink("loop", repository.path("loop")).unwrap();
    symlink("nowhere", repository.path("m/2")).unwrap();
    let scan = repository.scan();
    for model in ["dangling", "loop"] {
        let incomplete = scan.models[model].incomplete.clone();
        assert_eq!(incomplete.map(|refusal| refusal.code), Some(RefusalCode::Unreadable), "{model}");
    }
    assert_eq!(code(scan.models["m"].versions[&version(2)].clone()), RefusalCode::Unreadable);
    // Root may read everything: then there is nothing to see here.
    fs::set_permissions(repository.path("m"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(repository.path("m")).is_err() {
        let m = &repository.scan().models["m"];
        assert_eq!(m.incomplete.clone().map(|refusal| refusal.code), Some(RefusalCode::Unreadable));
    }
    fs::set_permissions(repository.path("m"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn roots_models_and_versions_may_be_links() {
    let repository = Repository::new(&[("..2024/m/1/model.onnx", &plain()), ("store/abc/model.onnx", &plain())]);
    symlink("..2024", repository.path("..data")).unwrap();
    fs::create_dir_all(repository.path("root/n")).unwrap();
    symlink("../..data/m", repository.path("root/m")).unwrap();
    symlink(repository.path("store/abc"), repository.path("root/n/1")).unwrap();
    symlink("root", repository.path("current")).unwrap();
    let root = repository.path("current");
    let scan = scan(&root, &ScanOptions::default(), now_ms() + 3_600_000).unwrap();
    let digest = |model: &str| {
        let VersionEntry::Settled(stamp) = &scan.models[model].versions[&version(1)] else { panic!("{scan:?}") };
        read_version(&root, &name(model), version(1), stamp, &Limits::default()).unwrap().digest
    };
    assert_eq!(digest("m"), digest("n"));
}

#[test]
fn files_that_are_not_the_versions_own_are_refused() {
    let repository = Repository::new(&[
        ("outside/model.onnx", &plain()),
        ("outside/secret", &[9; 16]),
        ("outside/other-secret", &[9; 16]),
        ("link/1/README", b""),
        ("pipe/1/README", b""),
        ("dir/1/a.onnx/README", b""),
        ("data-link/1/model.onnx", &split()),
        ("data-hard/1/model.onnx", &split()),
        ("data-pipe/1/model.onnx", &split()),
        ("data-dir/1/model.onnx", &split()),
        ("data-dir/1/weights.bin/README", b""),
        ("data-none/1/model.onnx", &split()),
        ("data-short/1/model.onnx", &split()),
        ("data-short/1/weights.bin", &[0; 15]),
        ("data-self/1/m.onnx", &model(graph().with(5, external(&[4], &[("location", "m.onnx")]))).0),
    ]);
    let pipe = |path: &str| {
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, repository.path(path), kind, 0o600.into(), 0).unwrap();
    };
    symlink("../../outside/model.onnx", repository.path("link/1/model.onnx")).unwrap();
    symlink("../../outside/secret", repository.path("data-link/1/weights.bin")).unwrap();
    fs::hard_link(repository.path("outside/other-secret"), repository.path("data-hard/1/weights.bin")).unwrap();
    pipe("pipe/1/model.onnx");
    pipe("data-pipe/1/weights.bin");
    for (model, expected) in [
        ("link", RefusalCode::NotContained),
        ("pipe", RefusalCode::NotContained),
        ("dir", RefusalCode::NotContained),
        ("data-link", RefusalCode::NotContained),
        ("data-hard", RefusalCode::NotContained),
        ("data-pipe", RefusalCode::NotContained),
        ("data-dir", RefusalCode::NotContained),
        ("data-none", RefusalCode::ExternalMissing),
        ("data-short", RefusalCode::ExternalMissing),
        ("data-self", RefusalCode::ExternalData),
    ] {
        let refusal = repository.read(model, 1).unwrap_err();
        assert_eq!(refusal.code, expected, "{model}: {refusal}");
    }
}

#[test]
fn a_version_settles_before_it_is_taken_up() {
    let repository = Repository::new(&[("m/1/model.onnx", &plain()), ("m/config.pbtxt", b"")]);
    let seen = |now: u64| {
        let scan = scan(repository.root.path(), &ScanOptions::default(), now).unwrap();
        let settling = matches!(scan.models["m"].versions[&version(1)], VersionEntry::Settling);
        assert_eq!(settling, scan.models["m"].config == ConfigEntry::Settling);
        settling
    };
    assert!(seen(now_ms()));
    assert!(seen(now_ms() + 1_500));
    assert!(!seen(now_ms() + 2_500));
    // A clock that was set back must not hold the version up.
    assert!(!seen(now_ms() - 3_600_000));
    // Neither must an archive from the future; only the touch itself counts.
    let file = fs::File::options().write(true).open(repository.path("m/1/model.onnx")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400)).unwrap();
    assert!(seen_version_settled(&repository, now_ms() + 2_500));
    // A half-copied version is settling, not refused.
    repository.write("m/2/weights.bin", b"");
    let scan = scan(repository.root.path(), &ScanOptions::default(), now_ms()).unwrap();
    assert_eq!(scan.models["m"].versions[&version(2)], VersionEntry::Settling);
}

fn seen_version_settled(repository: &Repository, now: u64) -> bool {
    let scan = scan(repository.root.path(), &ScanOptions::default(), now).unwrap();
    matches!(scan.models["m"].versions[&version(1)], VersionEntry::Settled(_))
}

#[test]
fn the_stamp_tells_changes() {
    let repository = Repository::new(&[("m/1/model.onnx", &plain()), ("m/1/notes", b"a")]);
    let before = repository.version("m", 1);
    assert_eq!(before, repository.version("m", 1));
    let VersionEntry::Settled(stamp) = &before else { panic!("{before:?}") };
    let replaced = model(graph().with(5, tensor(&[1], &[1; 4]))).0;
    repository.write("m/1/model.onnx", &replaced);
    assert_ne!(before, repository.version("m", 1));
    let refusal = repository.read_with("m", 1, stamp).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::ChangedWhileReading);
    assert!(refusal.code.is_transient());
    // A replacement of the same size and time is another inode.
    let before = repository.version("m", 1);
    let path = repository.path("m/1/model.onnx");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(repository.path("new"), &replaced).unwrap();
    fs::File::options().write(true).open(repository.path("new")).unwrap().set_modified(modified).unwrap();
    fs::rename(repository.path("new"), &path).unwrap();
    assert_ne!(before, repository.version("m", 1));
}

#[test]
fn the_digest_is_of_the_files_the_runtime_reads() {
    let files: [(&str, &[u8]); 3] =
        [("a/1/model.onnx", &split()), ("a/1/weights.bin", &[1; 16]), ("a/1/weights.bin.bak", b"x")];
    let here = Repository::new(&files);
    let there = Repository::new(&files.map(|(path, content)| (path, content)));
    fs::write(there.path("a/config.pbtxt"), "max_batch_size: 3").unwrap();
    fs::write(there.path("a/1/manifest.toml"), "").unwrap();
    fs::rename(there.path("a"), there.path("b")).unwrap();
    fs::rename(there.path("b/1"), there.path("b/7")).unwrap();
    let digest = here.read("a", 1).unwrap().digest;
    assert_eq!(digest, there.read("b", 7).unwrap().digest);
    assert_eq!(digest, expected_digest(&[("model.onnx", &split()), ("weights.bin", &[1; 16])]));
    here.write("a/1/weights.bin", &[2; 16]);
    assert_ne!(digest, here.read("a", 1).unwrap().digest);
}

/// The digest by the letter of its definition.
fn expected_digest(files: &[(&str, &[u8])]) -> Digest {
    let mut list = Vec::new();
    for (path, content) in files {
        list.extend((path.len() as u64).to_be_bytes());
        list.extend(path.as_bytes());
        list.extend((content.len() as u64).to_be_bytes());
        list.extend(sha2::Sha256::digest(content));
    }
    Digest::new(sha2::Sha256::digest(&list).into())
}

#[test]
fn limits_hold() {
    let repository = Repository::new(&[
        ("a/1/model.onnx", &split()),
        ("a/1/weights.bin", &[0; 16]),
        ("a/2/model.onnx", &plain()),
        ("a/config.pbtxt", b"# a comment"),
        ("b/1/model.onnx", &plain()),
    ]);
    let scan_with = |limits: Limits| {
        let options = ScanOptions { limits, ..ScanOptions::default() };
        scan(repository.root.path(), &options, now_ms() + 3_600_000)
    };
    let limits = Limits::default();
    assert!(matches!(scan_with(Limits { models: 1, ..limits }), Err(ScanError::TooMany { limit: 1, .. })));
    assert!(matches!(scan_with(Limits { folder_entries: 1, ..limits }), Err(ScanError::TooMany { .. })));
    let scan = scan_with(Limits { versions_per_model: 1, ..limits }).unwrap();
    let incomplete = scan.models["a"].incomplete.clone();
    assert_eq!(incomplete.map(|refusal| refusal.code), Some(RefusalCode::TooMany));
    let scan = scan_with(Limits { folder_entries: 2, ..limits }).unwrap();
    assert!(scan.models["a"].incomplete.is_some());
    let scan = scan_with(Limits { model_file_bytes: 10, config_bytes: 4, ..limits }).unwrap();
    assert_eq!(code(scan.models["a"].versions[&version(1)].clone()), RefusalCode::TooLarge);
    let config = &scan.models["a"].config;
    assert!(matches!(config, ConfigEntry::Refused(refusal) if refusal.code == RefusalCode::TooLarge));
    let VersionEntry::Settled(stamp) = repository.version("a", 1) else { panic!() };
    let total = split().len() as u64 + 15;
    let small = Limits { version_bytes: total, ..limits };
    let refusal = read_version(repository.root.path(), &name("a"), version(1), &stamp, &small).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    let enough = Limits { version_bytes: total + 1, ..limits };
    read_version(repository.root.path(), &name("a"), version(1), &stamp, &enough).unwrap();
}
