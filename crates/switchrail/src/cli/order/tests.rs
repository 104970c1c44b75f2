#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

#[test]
fn a_share_is_a_percentage_or_a_fraction() {
    let check = |text: &str, expected: Option<f64>| assert_eq!(share(text).ok(), expected, "{text}");
    check("25%", Some(0.25));
    check(" 25 % ", Some(0.25));
    check("0.5%", Some(0.005));
    check("0.25", Some(0.25));
    for bad in ["25", "1", "0", "0%", "100%", "-5%", "150%", "NaN", "inf", "", "%", "a quarter", "25%%"] {
        check(bad, None);
    }
    assert!(share("25").unwrap_err().contains("25%"));
    assert!(share("100%").unwrap_err().contains("promote"));
}

#[test]
fn an_order_is_signed_with_the_name_given() {
    let body = signed(json!({ "version": "2" }), Some("why"), Some("ann"));
    assert_eq!(body, json!({ "version": "2", "reason": "why", "actor": "ann" }));
}
