use super::*;

#[track_caller]
fn check(source: &str, expected: &str) {
    let scrubbed = scrub(source);
    assert_eq!(scrubbed.lines().count(), source.lines().count(), "{source}");
    assert_eq!(scrubbed.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
}

#[test]
fn comments_and_literals_are_no_code() {
    check("a // unsafe\nb", "a b");
    check("a /* unsafe /* nested */ still */ b", "a b");
    check(r#"let a = "unsafe \" unsafe"; b"#, "let a = ; b");
    check("let a = r#\"un \" safe\"#; b", "let a = ; b");
    check("let a = br\"unsafe\"; b", "let a = b ; b");
    check("let quote = '\"'; unsafe", "let quote = ; unsafe");
    check(r"let quote = '\''; unsafe", "let quote = ; unsafe");
    check("fn f<'a>(x: &'a str) { unsafe }", "fn f<'a>(x: &'a str) { unsafe }");
    check("let r#type = 1; unsafe", "let r#type = 1; unsafe");
    check("\"over\nlines\" unsafe", "unsafe");
    check("// 'unbalanced\nunsafe", "unsafe");
}

#[test]
fn tests_are_taken_out_and_their_modules_named() {
    let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c() }\n}\nfn d() {}\n";
    let (kept, modules) = without_tests(source);
    assert!(kept.contains("fn a") && kept.contains("fn d") && !kept.contains("fn b"), "{kept}");
    assert_eq!(lines_with(&kept, "d"), [6]);
    assert!(modules.is_empty());

    let (kept, modules) =
        without_tests("#[cfg(test)]\n#[allow(x)]\npub(crate) mod samples;\n#[cfg(test)]\nuse a::b;\nfn d() {}");
    assert_eq!(modules, ["samples"]);
    assert_eq!(kept.trim(), "fn d() {}");
}

#[test]
fn a_word_is_found_whole() {
    assert_eq!(lines_with("unsafe_code\nan unsafe fn\nunsafety", "unsafe"), [2]);
    assert_eq!(lines_with("MyInstant::now()\nstd::time::Instant::now()\nInstant::nowhere", "Instant::now"), [2]);
    assert_eq!(lines_with("ArcSwap::new(x)\nArcSwapOption::new(x)", "ArcSwap::"), [1]);
}
