//! QR codes as SVG for a page: dark modules on a light ground with a margin, whatever the colours
//! of the page are. The SVG has presentation attributes and no inline style, which the
//! Content-Security-Policy of the pages forbids.

use qrcode::QrCode;
use qrcode::render::svg::Color;

/// Draws a text as a QR code. Returns `None` if the text is too long for one.
pub(super) fn drawn(text: &str) -> Option<String> {
    let document = QrCode::new(text).ok()?.render::<Color<'_>>().build();
    // An SVG inside HTML has no XML declaration.
    let begin = document.find("<svg")?;
    Some(document[begin..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::drawn;

    #[test]
    fn a_code_is_one_svg_without_inline_style_and_a_text_that_is_too_long_has_none() {
        let uri =
            "otpauth://totp/Notes:ana%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let svg = drawn(uri).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
        for forbidden in ["style", "script", "<?xml", "&"] {
            assert!(!svg.contains(forbidden), "{forbidden}");
        }
        assert_ne!(drawn("another text").unwrap(), svg);
        assert_eq!(drawn(&"x".repeat(3_000)), None);
    }
}
