//! As much of SVG as the plots need.

use std::fmt::Write as _;

pub(super) const INK: &str = "#111827";
pub(super) const SOFT: &str = "#4b5563";
pub(super) const AXIS: &str = "#9ca3af";
pub(super) const GRID: &str = "#e5e7eb";

#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing under way.
pub(super) struct Svg(String);

impl Svg {
    /// An empty one on white, so that it is read on a dark page as well.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Svg {
        Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"10\" fill=\"#ffffff\"/>\n",
            escaped(title)
        ))
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.text([30.0, 38.0], Anchor::Start, 18.0, 700, INK, text);
    }

    pub(super) fn note(&mut self, text: &str) {
        self.text([30.0, 59.0], Anchor::Start, 12.5, 400, SOFT, text);
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, size: f64, weight: u32, colour: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{colour}\">{}</text>",
            escaped(text)
        ));
    }

    pub(super) fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str, width: f64) {
        self.put(&format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"));
    }

    pub(super) fn bar(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], colour: &str) {
        self.put(&format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2.5\" fill=\"{colour}\" fill-opacity=\"0.88\"/>"));
    }

    pub(super) fn curve(&mut self, points: &[[f64; 2]], colour: &str, dashed: bool) {
        let dashes = if dashed { " stroke-dasharray=\"5 5\"" } else { "" };
        let mut list = String::new();
        for [x, y] in points {
            // Writing to a String does not fail.
            let _ = write!(list, "{x:.1},{y:.1} ");
        }
        self.put(&format!("<polyline points=\"{}\" fill=\"none\"{dashes} stroke=\"{colour}\" stroke-width=\"2.2\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>", list.trim()));
        for [x, y] in points {
            self.put(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>"));
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.put("</svg>");
        self.0
    }

    fn put(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
