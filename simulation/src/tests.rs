#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::outdated;
use crate::report::{Claim, Plot, Results};
use crate::runs::Plan;
use crate::{plots, scenarios};

fn claim(value: f64, error: f64) -> Claim {
    Claim { what: "failed requests".to_owned(), value, error, allowed: 4.0 }
}

#[test]
fn a_stored_figure_is_outdated_when_chance_cannot_explain_the_difference() {
    assert!(outdated(&[claim(3.5, 0.02)], &[claim(3.6, 0.05)]).is_empty());
    assert_eq!(outdated(&[claim(3.5, 0.02)], &[claim(3.9, 0.02)]).len(), 1);
    assert_eq!(outdated(&[], &[claim(3.5, 0.02)]).len(), 1);
}

#[test]
fn results_survive_being_stored() {
    let part = scenarios::ask(&Plan { seed: 1, divisor: 200 }, &["proof".to_owned()]).unwrap();
    assert!(!part.tables.is_empty());
    let results = Results {
        seed: 1,
        is_quick: true,
        commit: "none".to_owned(),
        tables: part.tables,
        claims: part.claims,
        plots: part.plots,
    };
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
}

#[test]
fn an_empty_plot_is_no_error() {
    let plot = Plot {
        name: "empty".to_owned(),
        title: String::new(),
        x_title: String::new(),
        y_title: String::new(),
        curves: Vec::new(),
    };
    assert!(plots::draw(&plot).unwrap().starts_with("<svg"));
}
