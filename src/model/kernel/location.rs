//! The value of the header `Location`. A redirect target may hold any character; a header holds
//! visible ASCII only.

use url::Url;

/// Converts a redirect target that was validated before to the form that a header can hold: hosts
/// of other scripts as `xn--…`, everything else percent-encoded in UTF-8, as browsers do it.
/// Visible ASCII is left as it is.
pub fn in_header(target: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_graphic();
    if target.bytes().all(is_plain) {
        return target.to_owned();
    }
    let written = if target.starts_with('/') {
        None
    } else {
        Url::parse(target).ok()
    };
    let mut header = String::with_capacity(target.len() * 2);
    for byte in written
        .map_or_else(|| target.to_owned(), String::from)
        .bytes()
    {
        if is_plain(byte) {
            header.push(char::from(byte));
        } else {
            header.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    header
}

fn digit(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_can_stand_in_a_header_and_what_is_plain_stays() {
        for (target, header) in [
            ("/auth/account?a=%C3%BC#x", "/auth/account?a=%C3%BC#x"),
            ("/dash/ü", "/dash/%C3%BC"),
            ("/a b\"c", "/a%20b\"c"),
            (
                "https://bücher.example/ü?x=é",
                "https://xn--bcher-kva.example/%C3%BC?x=%C3%A9",
            ),
            ("myapp://home/日本", "myapp://home/%E6%97%A5%E6%9C%AC"),
            ("/a\r\nset-cookie: x", "/a%0D%0Aset-cookie:%20x"),
            ("", ""),
        ] {
            assert_eq!(in_header(target), header);
        }
    }
}
