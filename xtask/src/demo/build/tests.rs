use super::*;

fn check(message: &str, expected: Option<&str>) {
    assert_eq!(executable(message), expected.map(PathBuf::from), "{message}");
}

#[test]
fn only_the_programs_own_message_names_it() {
    let built =
        r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"switchrail"},"executable":"/t/switchrail"}"#;
    check(built, Some("/t/switchrail"));
    check(r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"testkit"},"executable":null}"#, None);
    check(r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"other"},"executable":"/t/other"}"#, None);
    check(r#"{"reason":"build-finished","success":true}"#, None);
    check("   Compiling something", None);
}
