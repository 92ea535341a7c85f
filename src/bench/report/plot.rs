//! Plots as SVG: a frame with two axes, and curves, areas and dots in it.
//!
//! Everything is drawn in units of a picture [`WIDTH`] wide, which the page scales to the room
//! there is; colours and strokes are classes of `style.css`, so that they follow the reader's
//! theme. It knows nothing of what is measured. Start reading at [`Plot::new`].

use std::fmt::Write;

use maud::{Markup, html};

use crate::bench::report::axis::Axis;

/// How wide every plot is, in its own units.
pub const WIDTH: f64 = 460.0;

/// What one letter of a label takes at most, in the same units.
pub const LETTER: f64 = 7.0;

/// Room above the frame for the title of the upright axis.
const TOP: f64 = 24.0;
/// Room below the frame for labels and the title of the level axis.
const BOTTOM: f64 = 42.0;
/// Room right of the frame, for most of half a label.
const RIGHT: f64 = 22.0;
/// Between a label and the frame.
const GAP: f64 = 8.0;

/// Whose figures a mark shows; each has a colour and a stroke of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// What is measured.
    Server,
    /// What it is compared with.
    Floor,
    /// The answers that PHP gets from the server.
    Answer,
}

/// A plot that is being drawn.
#[derive(Debug)]
pub struct Plot {
    /// The level axis.
    pub x: Axis,
    /// The upright one.
    pub y: Axis,
    height: f64,
    marks: Vec<Markup>,
}

impl Series {
    /// Its class in the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Floor => "floor",
            Self::Answer => "answer",
        }
    }
}

/// Where the frame of a plot lies, for the axes: its left and right end if labels of so many
/// letters stand beside it.
pub fn level_span(letters: usize) -> (f64, f64) {
    (letters as f64 * LETTER + GAP, WIDTH - RIGHT)
}

/// The lower and the upper end of the frame of a plot that is so high in all.
pub fn upright_span(height: f64) -> (f64, f64) {
    (height - BOTTOM, TOP)
}

impl Plot {
    /// An empty plot. The axes have their spans from [`level_span`] and [`upright_span`].
    pub fn new(x: Axis, y: Axis, height: f64) -> Self {
        Self { x: x.thinned(LETTER), y, height, marks: Vec::new() }
    }

    /// Draws a line through `points`, given as values of the two axes; `faint` ones step back.
    pub fn curve(&mut self, series: Series, faint: bool, points: &[(f64, f64)]) {
        let path = self.path(points);
        if path.is_empty() {
            return;
        }
        let weight = if faint { " faint" } else { "" };
        self.marks.push(html! { path class={ "curve " (series.class()) (weight) } d=(path) {} });
    }

    /// Fills what lies between `points` and the lower end.
    pub fn area(&mut self, series: Series, points: &[(f64, f64)]) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return;
        };
        let (from, to) = (self.x.place(first.0), self.x.place(last.0));
        let base = pixel(self.y.span().0);
        let path = self.path(points);
        let path = format!("{path}L{} {base}L{} {base}Z", pixel(to), pixel(from));
        self.marks.push(html! { path class={ "area " (series.class()) } d=(path) {} });
    }

    /// Draws a dot that says `words` when somebody points at it.
    pub fn dot(&mut self, series: Series, point: (f64, f64), words: &str) {
        let (x, y) = (self.x.place(point.0), self.y.place(point.1));
        self.marks.push(dot_at(series, x, y, words));
    }

    /// The finished picture. `label` says in words what a reader who does not see it should know.
    pub fn finish(self, label: &str) -> Markup {
        let (left, right) = self.x.span();
        let (bottom, top) = self.y.span();
        let content = html! {
            g class="grid" {
                @for tick in &self.x.ticks { (upright(tick.at, top, bottom)) }
                @for tick in &self.y.ticks { (level(tick.at, left, right)) }
            }
            g class="axis" { (level(bottom, left, right)) }
            @for tick in &self.x.ticks {
                @if let Some(label) = &tick.label {
                    (under(tick.at, bottom, label))
                }
            }
            @for tick in &self.y.ticks {
                @if let Some(label) = &tick.label {
                    (text(left - GAP, tick.at + 4.0, "end", label))
                }
            }
            g class="title" {
                (text(GAP / 2.0, 12.0, "start", self.y.title))
                (text(right, bottom + 34.0, "end", self.x.title))
            }
            @for mark in &self.marks { (mark) }
        };
        picture(self.height, label, &content)
    }

    /// The way through `points`, without those that are not seen apart.
    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut before: Option<(f64, f64)> = None;
        let last = points.len().saturating_sub(1);
        for (at, point) in points.iter().enumerate() {
            let (x, y) = (self.x.place(point.0), self.y.place(point.1));
            let near = before.is_some_and(|(a, b)| (a - x).abs() < 0.4 && (b - y).abs() < 0.4);
            if near && at != last {
                continue;
            }
            let command = if before.is_none() { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(path, "{command}{} {}", pixel(x), pixel(y));
            before = Some((x, y));
        }
        path
    }
}

/// An SVG picture of [`WIDTH`] and `height`.
pub fn picture(height: f64, label: &str, content: &Markup) -> Markup {
    let view = format!("0 0 {} {}", pixel(WIDTH), pixel(height));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) role="img" aria-label=(label) {
            (content)
        }
    }
}

/// A text whose `anchor` (start, middle or end) stands at a place.
pub fn text(x: f64, y: f64, anchor: &str, words: &str) -> Markup {
    html! { text x=(pixel(x)) y=(pixel(y)) text-anchor=(anchor) { (words) } }
}

/// A dot at a place, which says `words` when somebody points near it.
pub fn dot_at(series: Series, x: f64, y: f64, words: &str) -> Markup {
    let (x, y) = (pixel(x), pixel(y));
    html! {
        g class={ "dot " (series.class()) } {
            title { (words) }
            circle class="reach" cx=(x) cy=(y) r="10" {}
            circle cx=(x) cy=(y) r="3.75" {}
        }
    }
}

/// A label of a level axis at `bottom`, moved to the left where the picture would cut it off.
pub fn under(x: f64, bottom: f64, label: &str) -> Markup {
    let half = label.chars().count() as f64 * (LETTER + 1.0) / 2.0;
    text(x.min(WIDTH - half), bottom + 16.0, "middle", label)
}

/// A level line at `y`.
pub fn level(y: f64, from: f64, to: f64) -> Markup {
    html! { line x1=(pixel(from)) y1=(pixel(y)) x2=(pixel(to)) y2=(pixel(y)) {} }
}

/// An upright line at `x`.
pub fn upright(x: f64, from: f64, to: f64) -> Markup {
    html! { line x1=(pixel(x)) y1=(pixel(from)) x2=(pixel(x)) y2=(pixel(to)) {} }
}

/// What says which colour is what. Each item is a series and what it shows here.
pub fn legend(items: &[(Series, &str)]) -> Markup {
    html! {
        p.legend {
            @for (series, words) in items {
                span {
                    svg viewBox="0 0 24 8" aria-hidden="true" {
                        path class={ "curve " (series.class()) } d="M1 4L23 4" {}
                    }
                    (words)
                }
            }
        }
    }
}

/// A coordinate, a tenth of a unit exact.
fn pixel(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let x = Axis::seconds("seconds", 10.0, level_span(6));
        let y = Axis::amounts("amount", 100.0, upright_span(200.0));
        Plot::new(x, y, 200.0)
    }

    #[test]
    fn points_that_are_not_seen_apart_are_left_out() {
        let points: Vec<(f64, f64)> = (0..=100_000).map(|n| (f64::from(n) / 1e4, 50.0)).collect();
        let mut plot = plot();

        plot.curve(Series::Server, false, &points);

        let svg = plot.finish("a line").into_string();
        assert!(svg.len() < 30_000, "{} bytes", svg.len());
    }

    #[test]
    fn a_curve_of_no_points_is_not_drawn() {
        let mut plot = plot();

        plot.curve(Series::Server, false, &[]);
        plot.area(Series::Server, &[]);

        assert!(!plot.finish("nothing").into_string().contains("<path"));
    }

    #[test]
    fn what_is_no_number_still_has_a_place_in_the_frame() {
        let mut plot = plot();

        plot.curve(Series::Floor, false, &[(f64::NAN, 1.0), (1.0, f64::INFINITY), (2.0, -5.0)]);

        let svg = plot.finish("odd").into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn words_cannot_become_markup() {
        let mut plot = plot();

        plot.dot(Series::Server, (1.0, 1.0), "</title><script>");

        let svg = plot.finish("\"><script>").into_string();
        assert!(!svg.contains("<script>"), "{svg}");
    }
}
