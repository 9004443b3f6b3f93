//! A panel of lines over the rate of requests in percent.

use super::short;
use super::svg::{self, Anchor, Svg};

/// One line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

impl Series {
    /// Lines that often lie upon others are dashed.
    pub(super) fn dashed(&self) -> bool {
        ["l7trace sock", "suricata"].contains(&self.name.as_str())
    }
}

/// How values are laid out.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// From, to, and between two ticks.
    Linear(f64, f64, f64),
    /// As far as the values go.
    FromZero,
    /// In powers of ten.
    Logarithmic,
}

/// A panel.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) scale: Scale,
    pub(super) series: Vec<Series>,
}

impl Panel {
    /// Draws it with its left upper corner there.
    pub(super) fn draw(&self, svg: &mut Svg, [left, top]: [f64; 2], [width, height]: [f64; 2]) {
        svg.text([left, top - 12.0], Anchor::Start, 12.5, 600, svg::INK, &format!("{} ({})", self.title, self.unit));
        let (ticks, place) = self.layout();
        let y = |value: f64| top + height * (1.0 - place(value).clamp(0.0, 1.0));
        let x = |percent: f64| left + width * percent / 100.0;
        for tick in ticks {
            svg.line([left, y(tick)], [left + width, y(tick)], svg::GRID, 1.0);
            svg.text([left - 7.0, y(tick) + 4.0], Anchor::End, 11.0, 400, svg::SOFT, &short(tick));
        }
        svg.line([left, top + height], [left + width, top + height], svg::AXIS, 1.0);
        for percent in [20.0, 40.0, 60.0, 80.0, 100.0] {
            svg.text(
                [x(percent), top + height + 17.0],
                Anchor::Middle,
                11.0,
                400,
                svg::SOFT,
                &format!("{percent:.0} %"),
            );
        }
        for series in &self.series {
            let points: Vec<[f64; 2]> = series.points.iter().map(|(percent, value)| [x(*percent), y(*value)]).collect();
            // One that lies upon another leaves it to be seen.
            svg.curve(&points, series.colour, series.dashed());
        }
    }

    /// The ticks, and where between bottom (0) and top (1) a value stands.
    fn layout(&self) -> (Vec<f64>, Box<dyn Fn(f64) -> f64>) {
        let values = || self.series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let most = values().fold(0.0, f64::max);
        let linear = |from: f64, to: f64, step: f64| -> (Vec<f64>, Box<dyn Fn(f64) -> f64>) {
            let count = ((to - from) / step).round() as u32;
            (
                (0..=count).map(|index| from + f64::from(index) * step).collect(),
                Box::new(move |value| (value - from) / (to - from)),
            )
        };
        match self.scale {
            Scale::Linear(from, to, step) => linear(from, to, step),
            Scale::FromZero => {
                let step = [0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0]
                    .into_iter()
                    .find(|step| most / step <= 6.0)
                    .unwrap_or(most / 4.0)
                    .max(1e-9);
                linear(0.0, (most / step).ceil().max(1.0) * step, step)
            }
            Scale::Logarithmic => {
                let least = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
                let (from, to) =
                    if least.is_finite() { (least.log10().floor(), most.log10().ceil()) } else { (0.0, 1.0) };
                let to = to.max(from + 1.0);
                let ticks = (from as i32..=to as i32).map(|power| 10f64.powi(power)).collect();
                (
                    ticks,
                    Box::new(move |value: f64| if value > 0.0 { (value.log10() - from) / (to - from) } else { 0.0 }),
                )
            }
        }
    }
}
