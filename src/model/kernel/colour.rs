//! Colours of pages, written `#rrggbb`, and the text colour that is readable on them (WCAG 2.2,
//! relative luminance).

use std::fmt;
use std::str::FromStr;

/// An sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a colour; write #rrggbb");
        let digits = text.strip_prefix('#').ok_or_else(wrong)?;
        let bytes = hex::decode(digits).map_err(|_| wrong())?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex::encode(self.0))
    }
}

impl Colour {
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let c = f64::from(channel) / 255.0;
            if c <= 0.04045 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        let [r, g, b] = self.0.map(linear);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Returns the contrast ratio of two colours, from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance() + 0.05, other.luminance() + 0.05);
        a.max(b) / a.min(b)
    }

    /// Returns black or white, whichever has the higher contrast on this colour; one of the two
    /// always reaches 4.5.
    #[must_use]
    pub fn text_on(self) -> Self {
        let (black, white) = (Self([0; 3]), Self([255; 3]));
        if self.contrast(black) > self.contrast(white) {
            black
        } else {
            white
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_any_colour_can_be_read() {
        for r in (0..=255).step_by(15) {
            for g in (0..=255).step_by(15) {
                for b in (0..=255).step_by(15) {
                    let colour = Colour([r, g, b]);
                    assert!(colour.contrast(colour.text_on()) >= 4.5, "{colour}");
                }
            }
        }
    }

    #[test]
    fn colours_are_written_in_one_way() {
        assert_eq!("#1F5eff".parse::<Colour>().unwrap().to_string(), "#1f5eff");
        for text in [
            "1f5eff",
            "#1f5ef",
            "#1f5eff0",
            "red",
            "",
            "#1f5efg",
            "#fff;}body{",
        ] {
            assert!(text.parse::<Colour>().is_err(), "{text}");
        }
    }

    /// Values of WCAG 2.2's formula that other tools compute too.
    #[test]
    fn the_contrast_is_that_of_wcag() {
        let white: Colour = "#ffffff".parse().unwrap();
        for (text, contrast) in [
            ("#000000", 21.0),
            ("#ffffff", 1.0),
            ("#0a0a0a", 19.80),
            ("#767676", 4.54),
            ("#ff0000", 4.00),
            ("#00ff00", 1.37),
            ("#0000ff", 8.59),
        ] {
            let colour: Colour = text.parse().unwrap();
            for found in [colour.contrast(white), white.contrast(colour)] {
                assert!((found - contrast).abs() < 0.005, "{text}: {found}");
            }
        }
        let on = |text: &str| text.parse::<Colour>().unwrap().text_on().to_string();
        assert_eq!(
            (on("#ffff00"), on("#0000ff")),
            ("#000000".into(), "#ffffff".into())
        );
    }
}
