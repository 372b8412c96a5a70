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
