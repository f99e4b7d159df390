//! How the page looks, and that a browser takes no other look and no program.

use std::{fmt::Write as _, sync::LazyLock};

use sha2::{Digest as _, Sha256};

/// The one style sheet; it stands in the page, so that a saved page is whole.
pub(crate) const STYLE: &str = include_str!("style.css");

/// What a browser may load for the page: this style sheet, and pictures that stand in it. No program, nothing from
/// elsewhere, no form, and no frame around it.
#[must_use]
pub fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = base64(&Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// As RFC 4648 has it, section 4. Only for digests.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            // Writing to a String cannot fail.
            let _ = text.write_char(char::from(letter));
        }
        text.extend(std::iter::repeat_n('=', 3 - group.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn digests_are_written_as_the_rfc_says() {
        let told = ["", "f", "fo", "foo", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(told, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
        assert!(content_security_policy().starts_with("default-src 'none'; style-src 'sha256-"));
    }

    /// The variables of each theme: the light one stands first.
    fn themes() -> [BTreeMap<&'static str, [u8; 3]>; 2] {
        let (light, dark) = STYLE.split_once("prefers-color-scheme: dark").unwrap();
        [light, dark].map(|theme| {
            let lines = theme.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"));
            lines
                .map(|(name, colour)| {
                    let colour = u32::from_str_radix(colour.trim_end_matches(';'), 16).unwrap().to_be_bytes();
                    (name, [colour[1], colour[2], colour[3]])
                })
                .collect()
        })
    }

    /// By WCAG 2.2.
    fn luminance(colour: [u8; 3]) -> f64 {
        let [red, green, blue] = colour.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn contrasts_suffice_in_both_themes() {
        for theme in themes() {
            for ground in ["ground", "raised"] {
                for text in ["ink", "muted", "link", "good", "busy", "warning", "bad"] {
                    let found = contrast(theme[text], theme[ground]);
                    assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
                }
                // What is no text, and has to be seen: 1.4.11.
                for shape in ["fill", "line"] {
                    let found = contrast(theme[shape], theme[ground]);
                    assert!(found >= 3.0, "{shape} on {ground}: {found:.2}");
                }
            }
            assert!(contrast(theme["fill"], theme["track"]) >= 3.0);
        }
    }
}
