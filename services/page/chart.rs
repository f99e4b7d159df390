//! Bars and curves, drawn here: pictures without a script and without a style of their own.

use maud::{Markup, html};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 100.0;

/// A part of a whole, from 0 to 100, and what that says.
pub(crate) fn bar(percent: f64, class: &str, label: &str) -> Markup {
    // What is more than nothing can be seen.
    let width = if percent > 0.0 { percent.clamp(0.8, 100.0) } else { 0.0 };
    html! {
        svg.bar.(class) viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.track width="100" height="6" {}
            rect.fill width={ (format!("{width:.1}")) } height="6" {}
        }
    }
}

/// A bar under what it says: the share at its left, the numbers at its right.
pub(crate) fn gauge(percent: f64, class: &str, share: &str, numbers: &Markup) -> Markup {
    html! {
        div.gauge { span.told { (share) } span.of { (numbers) } }
        (bar(percent, class, share))
    }
}

/// What was measured in equal steps, up to `top`, as a curve over an area.
pub(crate) fn area(values: &[f64], top: f64, label: &str) -> Markup {
    let line = points(values, top);
    let ground = format!("0,{HEIGHT} {line} {WIDTH},{HEIGHT}");
    html! {
        svg.area viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for height in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
                line.grid x1="0" x2=(WIDTH) y1=(height) y2=(height) {}
            }
            polygon.under points=(ground) {}
            polyline.curve points=(line) {}
        }
    }
}

/// `x,y` of each, from left to right.
fn points(values: &[f64], top: f64) -> String {
    let last = values.len().saturating_sub(1).max(1) as f64;
    let point = |(place, value): (usize, &f64)| {
        let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
        // The curve's own width stays inside.
        format!("{:.1},{:.1}", place as f64 / last * WIDTH, HEIGHT - 1.0 - share * (HEIGHT - 2.0))
    };
    values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}

/// The next round number at or above a value: so many times a power of `base`.
pub(crate) fn top_of(most: f64, base: f64) -> f64 {
    if !most.is_finite() || most <= 0.0 {
        return 1.0;
    }
    let mut unit = 1.0;
    while most >= unit * base && unit < f64::MAX / base / base {
        unit *= base;
    }
    let tens = [1.0, 10.0, 100.0];
    let steps =
        tens.into_iter().flat_map(|ten| [1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0].map(|step| step * ten));
    steps.map(|step| step * unit).find(|top| *top >= most).unwrap_or(unit * base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_number() {
        let told = [0.0, 0.3, 1.0, 1.1, 7.0, 480.0, 999.0, 1001.0, f64::NAN].map(|most| top_of(most, 1000.0));
        assert_eq!(told, [1.0, 1.0, 1.0, 1.2, 8.0, 500.0, 1000.0, 1200.0, 1.0]);
        assert_eq!(top_of(1010.0 * 1024.0, 1024.0), 1024.0 * 1024.0);
        assert_eq!(top_of(84.0 * 1024.0 * 1024.0, 1024.0), 100.0 * 1024.0 * 1024.0);
        assert!(top_of(f64::MAX, 1024.0).is_finite());
    }

    #[test]
    fn curves_stay_inside() {
        assert_eq!(points(&[0.0, 5.0, 50.0], 10.0), "0.0,99.0 300.0,50.0 600.0,1.0");
        assert_eq!((points(&[], 1.0), points(&[3.0], 0.0)), (String::new(), "0.0,99.0".to_owned()));
    }

    #[test]
    fn a_little_can_be_seen_and_nothing_is_not_drawn() {
        assert!(bar(0.01, "", "x").into_string().contains("width=\"0.8\""));
        assert!(bar(0.0, "", "x").into_string().contains("width=\"0.0\""));
    }
}
