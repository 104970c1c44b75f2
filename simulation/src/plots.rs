//! Curves as SVG, on logarithmic axes: what is compared differs by powers of ten.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::SimulationError;
use crate::report::{Curve, Plot};

/// Width and height of a plot, in pixels.
const SIZE: (u32, u32) = (980, 480);

/// What the legend leaves for the chart, in pixels.
const CHART_WIDTH: i32 = 620;

/// Distance of the legend's lines, in pixels.
const LEGEND_STEP: i32 = 22;

/// Colours that those with another sight for colours tell apart too (after Okabe and Ito); ours is the first.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(150, 150, 150),
];

/// The name ours begins with.
const OURS: &str = "Switchrail";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

/// The plot as a file.
pub fn draw(plot: &Plot) -> Result<String, SimulationError> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    paint(&area, plot).map_err(|error| SimulationError::Plot(plot.name.clone(), error.to_string()))?;
    drop(area);
    text.push('\n');
    Ok(text)
}

fn paint<'a>(area: &Area<'a>, plot: &Plot) -> Result<(), Failure<'a>> {
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(CHART_WIDTH);
    let (xs, ys) = (range(plot, |point| point.0), range(plot, |point| point.1));
    let mut chart = ChartBuilder::on(&left)
        .caption(&plot.title, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(&plot.x_title)
        .y_desc(&plot.y_title)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .label_style(("sans-serif", 12))
        .draw()?;
    for (i, curve) in plot.curves.iter().enumerate() {
        let style = style(plot, i);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), style))?;
        chart.draw_series(curve.points.iter().map(|point| Circle::new(*point, 3, style.filled())))?;
        let y = 40 + LEGEND_STEP * i as i32;
        right.draw(&PathElement::new(vec![(4, y), (28, y)], style))?;
        right.draw(&Text::new(curve.name.clone(), (34, y - 6), ("sans-serif", 12)))?;
    }
    area.present()
}

/// Ours is broad and black, the others have the colours in turn.
fn style(plot: &Plot, i: usize) -> ShapeStyle {
    if plot.curves.get(i).is_some_and(|curve| curve.name.starts_with(OURS)) {
        return COLOURS[0].stroke_width(4);
    }
    COLOURS[1 + i % (COLOURS.len() - 1)].stroke_width(2)
}

/// From the smallest to the largest value, with some room; a decade where there is nothing.
fn range(plot: &Plot, of: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
    let values = || plot.curves.iter().flat_map(|Curve { points, .. }| points).map(&of).filter(|value| *value > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if low > high { 1.0..10.0 } else { low / 1.3..high * 1.3 }
}

fn tick(value: f64) -> String {
    if value >= 1.0 { crate::report::number(value).replace(".0", "") } else { format!("{value}") }
}
