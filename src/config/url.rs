//! URLs that the configuration names: https, or http on this machine.

/// A URL without query and closing slash, as an `iss` or the beginning of an API's paths.
pub(super) fn parse_base(text: &str) -> Option<String> {
    let rest = secure(text)?;
    let formed = !text.ends_with('/')
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte));
    formed.then(|| text.to_owned())
}

/// A page for people: query and fragment may be there, and `{token}`.
pub(super) fn parse_page(text: &str) -> Option<String> {
    let rest = secure(text)?;
    let formed = text.len() <= 500
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~/:?#[]@!$&'()*+,;=%{}".contains(&byte));
    formed.then(|| text.to_owned())
}

/// What follows `https://`, or `http://` where the host is this machine.
fn secure(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.split(':').next()?;
    let formed = !host.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte));
    (formed && (scheme == "https" || (scheme == "http" && is_this_machine(host)))).then_some(rest)
}

/// Whether what goes to a host without TLS is on no line. An address of version 6 may be in brackets.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_named_or_numbered() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.example.org", "10.0.0.1", "0.0.0.0", "mail", "", "[::2]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn pages_are_https_or_on_this_machine_and_name_no_user() {
        for page in [
            "https://portal.example.se/new-password#{token}",
            "https://portal.example.se:8443/nytt?token={token}&lang=sv",
            "http://localhost:8025/portal",
            "https://portal.example.se",
        ] {
            assert_eq!(parse_page(page).as_deref(), Some(page));
        }
        for page in [
            "http://portal.example.se/",
            "https://",
            "https://user@portal.example.se/",
            "ftp://portal.example.se/",
            "javascript:alert(1)",
            "https://portal.example.se/ x",
            "https://portal.example.se/\"",
            "http://localhost.example.se/",
        ] {
            assert_eq!(parse_page(page), None, "{page}");
        }
    }
}
