use super::*;

#[test]
fn tables_line_up() {
    let rows = [vec!["one".to_owned(), "1".to_owned()], vec!["twelve".to_owned(), "12.5 µs".to_owned()]];
    let expected = "  name      value\n  one           1\n  twelve  12.5 µs\n";
    let found = table(&["name", "value"], &rows);
    assert_eq!(found, expected);
}

#[test]
fn intervals_show_as_many_decimals_as_asked() {
    let median = Median { value: 1.234, low: 1.0, high: 2.0 };
    assert_eq!(with_interval(median, 2), "1.23 (1.00 to 2.00)");
    assert_eq!(us(1_499), "1");
}
