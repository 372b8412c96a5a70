//! A QR code as an image that needs neither script nor file.

use maud::{Markup, html};
use qrcode::{Color, QrCode};

/// Modules around a code that stay light (ISO/IEC 18004).
const QUIET: usize = 4;

/// Draws a text; nothing if it does not fit into a code.
pub(super) fn drawn(text: &str) -> Markup {
    let Ok(code) = QrCode::new(text) else { return Markup::default() };
    let width = code.width();
    let colors = code.to_colors();
    let dark = colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
    let path = dark.fold(String::new(), |mut path, (at, _)| {
        let square = format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
        path.push_str(&square);
        path
    });
    let side = width + 2 * QUIET;
    html! {
        svg.qr role="img" aria-label="QR code" viewBox={ "0 0 " (side) " " (side) } shape-rendering="crispEdges" {
            path d=(path) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_corner_inside_of_the_quiet_zone_and_no_style_that_the_policy_forbids() {
        let text = format!("bankid.67df3917-fa0d-44e5-b327-edcc928297f8.0.{}", "d".repeat(64));
        let svg = drawn(&text).into_string();
        assert!(svg.contains("d=\"M4 4h1v1h-1zM5 4h1v1h-1z"), "{svg}");
        assert!(!svg.contains("style"));
        assert!(drawn(&"x".repeat(4000)).into_string().is_empty());
    }
}
