#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::path::Path;

use control_config::GatewayConfig;
use testkit::onnx::affine4;
use testkit::repository::Repository;

use super::places::{listeners, repository, state_dir};
use super::*;

#[test]
fn a_page_tells_each_thing_and_the_sum() {
    let findings = [
        Finding::new("runtime", Grade::Good, "there"),
        Finding::new("routing.toml", Grade::Bad, "not valid:\nf:1:1: error"),
        Finding::new("http", Grade::Doubtful, "in use"),
    ];
    let expected = "\
ok       runtime       there
error    routing.toml  not valid:
                       f:1:1: error
warning  http          in use
something is in the way of serving; errors: 1
";
    assert_eq!(page(&findings), expected);
    assert!(page(&findings[..1]).ends_with("nothing is in the way of serving\n"));
}

#[test]
fn a_repository_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let models = Repository::new(folder.path().join("models")).unwrap();
    let look =
        || repository(&GatewayConfig { model_repository: Some(models.root().to_owned()), ..GatewayConfig::default() });
    assert_eq!(look().grade, Grade::Doubtful);
    assert!(look().text.contains("<model>/<version>/model.onnx"), "{}", look().text);
    models.publish("m", 1, &affine4(1.0, 0.0)).unwrap();
    assert_eq!((look().grade, look().text.contains("models: 1, versions: 1,")), (Grade::Good, true));
    std::fs::create_dir(models.root().join("m/02")).unwrap();
    assert!(look().grade == Grade::Doubtful && look().text.contains("refused: m/02"), "{}", look().text);
    let missing = repository(&GatewayConfig { model_repository: Some("/nowhere".into()), ..GatewayConfig::default() });
    assert!(missing.grade == Grade::Bad && missing.text.contains("/nowhere"), "{}", missing.text);
    assert_eq!(repository(&GatewayConfig::default()).grade, Grade::Absent);
}

#[test]
fn a_bucket_is_listed_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let models = Repository::new(folder.path().join("models")).unwrap();
    models.publish("m", 1, &affine4(1.0, 0.0)).unwrap();
    let look = |address: &str| {
        repository(&GatewayConfig { model_repository: Some(address.into()), ..GatewayConfig::default() })
    };
    let address = format!("file://{}", models.root().display());
    assert_eq!((look(&address).grade, look(&address).text.contains("models: 1, versions: 1,")), (Grade::Good, true));
    std::fs::create_dir_all(models.root().join("m/2/deep")).unwrap();
    std::fs::write(models.root().join("m/2/deep/file"), "x").unwrap();
    assert!(look(&address).text.contains("refused: m/2/deep/file"), "{}", look(&address).text);
    assert_eq!(look("file:///nowhere/at/all").grade, Grade::Doubtful, "what is cached may serve");
    assert_eq!(look("ftp://host/models").grade, Grade::Bad);
}

#[test]
fn a_state_directory_is_tried_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path, grade: Grade, part: &str| {
        let found = state_dir(Some(path));
        assert!(found.grade == grade && found.text.contains(part), "{found:?}");
    };
    check(folder.path(), Grade::Good, "writable");
    check(&folder.path().join("a/b"), Grade::Good, "will be made");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    std::fs::write(folder.path().join("file"), "").unwrap();
    check(&folder.path().join("file/state"), Grade::Bad, "--state-dir");
    assert_eq!(state_dir(None).grade, Grade::Absent);
}

#[test]
fn an_address_in_use_is_a_warning() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = GatewayConfig { http: taken.local_addr().unwrap(), ..GatewayConfig::default() };
    config.grpc.set_port(0);
    config.metrics.set_port(0);
    config.admin.address = "192.0.2.1:8003".parse().unwrap();
    let found = listeners(&config);
    let grades: Vec<Grade> = found.iter().map(|f| f.grade).collect();
    assert_eq!(grades, [Grade::Doubtful, Grade::Good, Grade::Good, Grade::Bad], "{found:?}");
    assert!(found[0].text.contains("--http-address"), "{}", found[0].text);
}
