//! Plots as SVG, drawn from the figures that the page's tables show.

use super::load::LOADS;
use super::statistics::{median, spread};
use super::store::{Results, shown, thousands};
use super::tool::TOOLS;

mod lines;
mod svg;

use lines::{Panel, Scale, Series};
use svg::{Anchor, Svg};

/// How a tool is drawn.
fn colour(tool: &str) -> &'static str {
    match tool {
        "l7trace packets" | "l7trace" | "l7trace 1 thread" => "#0f766e",
        "l7trace sock" | "l7trace 2 threads" => "#2563eb",
        "l7trace tracepoints" => "#7c3aed",
        "l7trace both" => "#4338ca",
        "tcpdump" => "#a16207",
        "tshark" => "#be185d",
        "suricata" => "#ea580c",
        _ => "#64748b",
    }
}

/// One bar.
struct Bar {
    colour: &'static str,
    value: f64,
    ends: (f64, f64),
    text: String,
}

/// For each tool: the throughput that it leaves, and the share of exchanges that it reports. None where
/// that was not measured.
pub(crate) fn live(results: &Results) -> Option<String> {
    let load = &LOADS[0];
    let tools: Vec<&str> = TOOLS
        .iter()
        .map(|tool| tool.name)
        .filter(|tool| results.samples(["live", load.name, tool, "throughput_ratio"]).is_some())
        .collect();
    if tools.is_empty() {
        return None;
    }
    let bars = |figure: &str| -> Vec<Option<Bar>> {
        tools
            .iter()
            .map(|tool| {
                let samples = results.samples(["live", load.name, tool, figure])?;
                let value = median(samples);
                // Half a percent is not nothing, and 99.99 % is not all.
                let text =
                    if figure == "reported_share" { shown(figure, value) } else { format!("{:.1} %", value * 100.0) };
                Some(Bar { colour: colour(tool), value, ends: spread(samples), text })
            })
            .collect()
    };
    let height = 118.0 + tools.len() as f64 * 30.0 + 34.0;
    let mut svg = Svg::new(860.0, height, "What each tool leaves of the throughput, and what it sees");
    svg.heading("What a tool leaves of the throughput, and what it sees");
    svg.note(&format!("nginx, {}; median and range of alternating pairs", load.what));
    for (index, tool) in tools.iter().enumerate() {
        svg.text(
            [168.0, 122.0 + index as f64 * 30.0],
            Anchor::End,
            13.0,
            if tool.starts_with("l7trace") { 600 } else { 400 },
            svg::INK,
            tool,
        );
    }
    let reported: Vec<Option<Bar>> = bars("reported_share").into_iter().collect();
    columns(&mut svg, 182.0, "Throughput with the tool, of that without", &bars("throughput_ratio"), "");
    columns(&mut svg, 540.0, "Exchanges reported, of those made", &reported, "reports packets, not exchanges");
    Some(svg.finish())
}

/// Bars from 0 to 100 % with their text behind them.
fn columns(svg: &mut Svg, left: f64, title: &str, bars: &[Option<Bar>], without: &str) {
    const WIDTH: f64 = 230.0;
    let bottom = 100.0 + bars.len() as f64 * 30.0 + 6.0;
    svg.text([left, 86.0], Anchor::Start, 12.0, 600, svg::SOFT, title);
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let x = left + tick * WIDTH;
        svg.line([x, 98.0], [x, bottom], if tick == 0.0 { svg::AXIS } else { svg::GRID }, 1.0);
        svg.text([x, bottom + 16.0], Anchor::Middle, 11.0, 400, svg::SOFT, &format!("{:.0} %", tick * 100.0));
    }
    for (index, bar) in bars.iter().enumerate() {
        let middle = 117.0 + index as f64 * 30.0;
        let Some(bar) = bar else {
            svg.text([left + 8.0, middle + 4.0], Anchor::Start, 11.0, 400, svg::SOFT, without);
            continue;
        };
        let width = bar.value.clamp(0.0, 1.1) * WIDTH;
        svg.bar([left, middle - 9.0], [width.max(1.0), 18.0], bar.colour);
        let [low, high] = [bar.ends.0, bar.ends.1].map(|end| left + end.clamp(0.0, 1.15) * WIDTH);
        if high - low > 1.5 {
            svg.line([low, middle], [high, middle], svg::INK, 1.2);
            svg.line([low, middle - 4.0], [low, middle + 4.0], svg::INK, 1.2);
            svg.line([high, middle - 4.0], [high, middle + 4.0], svg::INK, 1.2);
        }
        svg.text([(left + width).max(high) + 8.0, middle + 4.0], Anchor::Start, 12.0, 600, svg::INK, &bar.text);
    }
}

/// By the rate of requests: the share of exchanges reported, latency and processor time.
pub(crate) fn saturation(results: &Results) -> Option<String> {
    let most = results.median(["saturation", "100", "host", "request_rate"])?;
    let series = |figure: &str, factor: f64, with_none: bool| -> Vec<Series> {
        let tools = with_none.then_some("without").into_iter().chain(TOOLS.iter().map(|tool| tool.name));
        let line = |tool: &str| {
            let point = |rate: u32| {
                let value = results.median(["saturation", &rate.to_string(), tool, figure])?;
                Some((f64::from(rate), value * factor))
            };
            Series {
                name: tool.to_owned(),
                colour: if tool == "without" { "#111827" } else { colour(tool) },
                points: (1..=100).filter_map(point).collect(),
            }
        };
        tools.map(line).filter(|series| !series.points.is_empty()).collect()
    };
    let panels = [
        Panel {
            title: "Exchanges reported",
            unit: "%",
            scale: Scale::Linear(0.0, 100.0, 20.0),
            series: series("reported_share", 100.0, false),
        },
        Panel { title: "Latency, p99", unit: "ms", scale: Scale::Logarithmic, series: series("p99_ns", 1e-6, true) },
        Panel {
            title: "Processor time",
            unit: "cores",
            scale: Scale::FromZero,
            series: series("cpu_cores", 1.0, false),
        },
    ];
    let mut svg = Svg::new(860.0, 386.0, "What is seen, how long it takes and what it costs, by the rate of requests");
    svg.heading("From a tenth of what the host can do to all of it");
    svg.note(&format!("requests a second, of the {} that the host answers without a tool", thousands(most)));
    for (index, panel) in panels.iter().enumerate() {
        panel.draw(&mut svg, [62.0 + index as f64 * 278.0, 110.0], [216.0, 190.0]);
    }
    let mut x = 62.0;
    let mut named: Vec<&Series> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !named.iter().any(|other| other.name == series.name) {
            named.push(series);
        }
    }
    named.sort_by_key(|series| series.name == "without");
    for series in named {
        svg.curve(&[[x, 360.0], [x + 18.0, 360.0]], series.colour, series.dashed());
        svg.text([x + 24.0, 364.0], Anchor::Start, 12.0, 400, svg::INK, &series.name);
        x += 46.0 + series.name.chars().count() as f64 * 6.8;
    }
    Some(svg.finish())
}

/// Exchanges that each reader takes out of a capture in a second.
pub(crate) fn reading(results: &Results) -> Option<String> {
    let readers = ["l7trace 2 threads", "l7trace 1 thread", "l7trace", "suricata", "tshark"];
    let cases = [
        ("small", "Small exchanges on 32 connections"),
        ("interleaved", "Many connections at once, 3 exchanges on each"),
        ("loss", "5 % of segments lost and sent again, 5 % reordered"),
    ];
    let value = |case: &str, reader: &str| results.median(["offline", case, reader, "exchange_rate"]);
    let largest =
        cases.iter().flat_map(|case| readers.map(|reader| value(case.0, reader))).flatten().fold(0.0, f64::max);
    if largest == 0.0 {
        return None;
    }
    let measured = |case: &str| readers.iter().filter(|reader| value(case, reader).is_some()).count() as f64;
    let height = 84.0 + cases.iter().map(|case| 34.0 + measured(case.0) * 24.0).sum::<f64>() + 10.0;
    let mut svg = Svg::new(860.0, height, "Exchanges read from a capture in a second");
    svg.heading("Reading captures: exchanges a second");
    svg.note("each writes what it knows of each exchange to a file");
    let mut y = 96.0;
    for (case, what) in cases {
        if measured(case) == 0.0 {
            continue;
        }
        svg.text([30.0, y], Anchor::Start, 12.5, 600, svg::SOFT, what);
        y += 12.0;
        for reader in readers {
            let Some(value) = value(case, reader) else { continue };
            svg.text(
                [168.0, y + 13.0],
                Anchor::End,
                13.0,
                if reader.starts_with("l7trace") { 600 } else { 400 },
                svg::INK,
                reader,
            );
            let width = value / largest * 560.0;
            svg.bar([182.0, y], [width.max(1.5), 17.0], colour(reader));
            svg.text([190.0 + width, y + 13.0], Anchor::Start, 12.0, 600, svg::INK, &thousands(value));
            y += 24.0;
        }
        y += 22.0;
    }
    Some(svg.finish())
}

/// With no more decimals than say something.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_say_where_they_are() {
        for (value, text) in [(0.0, "0"), (0.15, "0.15"), (0.5, "0.5"), (100.0, "100")] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let results = Results::default();
        assert!(live(&results).is_none() && saturation(&results).is_none() && reading(&results).is_none());
    }

    #[test]
    fn what_was_measured_is_drawn() {
        let mut results = Results::default();
        results.add(["live", LOADS[0].name, "tcpdump", "throughput_ratio"], 0.873);
        let drawn = live(&results).unwrap();
        assert!(
            drawn.starts_with("<svg") && drawn.contains("87.3 %") && drawn.contains("reports packets, not exchanges")
        );
    }
}
