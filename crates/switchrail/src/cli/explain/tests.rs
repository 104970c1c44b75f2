#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

#[test]
fn a_routing_file_is_explained_without_a_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routing.toml");
    let rule = "[[models.m.rules]]\nname = \"partners\"\nwhen = { header = \"x-tenant\", in = [\"acme\"] }\nuse = 2\n";
    std::fs::write(&file, format!("[models.m]\nstable = 1\nsplit = {{ 1 = 50, 2 = 50 }}\n{rule}")).unwrap();
    let model: ModelName = "m".parse().unwrap();
    let tenant = pair("X-Tenant = acme").unwrap();
    assert_eq!(tenant, ("X-Tenant".to_owned(), " acme".to_owned()), "values are taken as they are");
    let headers = BTreeMap::from([pair("X-Tenant=acme").unwrap()]);
    let request = DescribedRequest { headers, ..DescribedRequest::default() };
    let answer = offline(&model, &file, &request).unwrap();
    assert_eq!((&answer["version"], &answer["rule"]), (&2.into(), &"partners".into()));
    assert!(text(&answer).contains("version 2 answers, reason rule\n"), "{}", text(&answer));
    let chance = text(&offline(&model, &file, &DescribedRequest::default()).unwrap());
    assert!(chance.contains("give a sticky key"), "{chance}");
    let other = offline(&"other".parse().unwrap(), &file, &request).unwrap_err().to_string();
    assert!(other.contains("no version of other is chosen"), "{other}");
    let missing = offline(&model, &folder.path().join("none.toml"), &request).unwrap_err().to_string();
    assert!(missing.contains("none.toml"), "{missing}");
}
