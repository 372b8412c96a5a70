//! The animated QR code: a text that is another one every second.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};

use crate::domain::secret::Secret;

/// `bankid.<start token>.<second>.<HMAC-SHA-256 of the second under the start secret, lower-case hexadecimal>`. The second
/// is a whole one since the order began, rounded down. Source: "QR code", RP API v6.0.
pub(super) fn text(start_token: &str, start_secret: &str, second: u64) -> Secret<String> {
    let key = Key::new(HMAC_SHA256, start_secret.as_bytes());
    let code = sign(&key, second.to_string().as_bytes());
    let digits = code.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let code: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    Secret::new(format!("bankid.{start_token}.{second}.{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "67df3917-fa0d-44e5-b327-edcc928297f8";
    const SECRET: &str = "d28db9a7-4cde-429e-a983-359be676944c";

    /// The example of BankID's documentation, and later seconds of it.
    #[test]
    fn the_text_is_that_of_the_example() {
        for (second, code) in [
            (0, "dc69358e712458a66a7525beef148ae8526b1c71610eff2c16cdffb4cdac9bf8"),
            (1, "949d559bf23403952a94d103e67743126381eda00f0b3cbddbf7c96b1adcbce2"),
            (2, "a9e5ec59cb4eee4ef4117150abc58fad7a85439a6a96ccbecc3668b41795b3f3"),
            (30, "814d7fd38e2276625b6815152e3554c663acca689260c092203b48ca4e5c09a3"),
            (59, "a7df017b58e2ec395d1af44189902382a5883a4b1a8e418d6910204dde390870"),
        ] {
            assert_eq!(*text(TOKEN, SECRET, second).expose(), format!("bankid.{TOKEN}.{second}.{code}"));
        }
    }
}
