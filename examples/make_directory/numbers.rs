//! Numbers that are nobody's: test series with right check digits, and phones from films.

/// 070-1740605 to 070-1740699 are kept for books and films.
pub fn fiction_mobile(index: usize) -> String {
    format!("070-17406{:02}", 5 + index % 95)
}

pub fn personal_number(index: usize) -> String {
    let serial = 980 + index % 20;
    with_luhn(&format!("{}{:02}{:02}", 1970 + index % 25, index % 12 + 1, index % 28 + 1), serial)
}

pub fn coordination_number(index: usize) -> String {
    with_luhn(&format!("{}{:02}{:02}", 1970 + index % 25, index % 12 + 1, index % 28 + 61), 999)
}

pub fn with_luhn(date: &str, serial: usize) -> String {
    let digits = format!("{}{serial:03}", &date[2..]);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| {
            let product = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            product / 10 + product % 10
        })
        .sum();
    format!("{date}-{serial:03}{}", (10 - sum % 10) % 10)
}

pub fn wrong_check_digit(number: &str) -> String {
    let (body, last) = number.split_at(number.len() - 1);
    format!("{body}{}", (last.bytes().map(|digit| digit - b'0').sum::<u8>() + 1) % 10)
}

/// The test series from 9999: numbers that pass the eleven test and are nobody's.
pub fn bsn(index: usize) -> String {
    let passes = |number: &usize| {
        let digits = number.to_string();
        let sum: i64 = digits
            .bytes()
            .zip([9, 8, 7, 6, 5, 4, 3, 2, -1])
            .map(|(digit, weight)| i64::from(digit - b'0') * weight)
            .sum();
        sum % 11 == 0
    };
    (999_990_000..).filter(passes).nth(index).unwrap_or_default().to_string()
}
