//! Which header fields hold secrets.

/// Whether the values of header fields of this name are credentials, or do the work of credentials,
/// and are not to be shown unless asked for.
///
/// By the last word of the name: `authorization`, `cookie`, `token`, `secret`, `password`, `jwt`, …
/// (so `X-Auth-Token` and `X-Amz-Security-Token` too), and `api-key` and its like by the last two.
pub(crate) fn is_secret_field(name: &[u8]) -> bool {
    // Most names are told apart by their last letter.
    let Some(last) = name.last().map(u8::to_ascii_lowercase) else { return false };
    let words: &[&str] = match last {
        b'n' => &["authorization", "token"],
        b'e' => &["cookie"],
        b'2' => &["cookie2"],
        b'y' => return is_secret_key(name),
        b't' => &["secret", "jwt"],
        b'd' => &["password", "passwd", "sessionid", "session-id"],
        b's' => &["credentials", "cookies", "tokens"],
        _ => return false,
    };
    words.iter().any(|word| ends_in_word(name, word))
}

/// `X-Api-Key`, `Ocp-Apim-Subscription-Key`, …, but not `Sec-WebSocket-Key`, which is a challenge.
fn is_secret_key(name: &[u8]) -> bool {
    const KEYS: [&str; 10] = [
        "api-key",
        "apikey",
        "api_key",
        "access-key",
        "auth-key",
        "functions-key",
        "secret-key",
        "subscription-key",
        "private-key",
        "app-key",
    ];
    KEYS.iter().any(|key| ends_in_word(name, key))
}

/// Whether `name` is `word` or ends in it after a separator (`XSRF-TOKEN`, `x_auth_token`), or in
/// what is spelt as one word with it (`AccessToken`).
fn ends_in_word(name: &[u8], word: &str) -> bool {
    name.len() >= word.len() && name[name.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::is_secret_field;

    #[test]
    fn credentials_and_their_like_are_secret() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "COOKIE",
            "Set-Cookie",
            "Set-Cookie2",
            "X-Api-Key",
            "ApiKey",
            "X-Auth-Token",
            "X-CSRF-Token",
            "X-Amz-Security-Token",
            "Private-Token",
            "Ocp-Apim-Subscription-Key",
            "X-Vault-Token",
            "X-Goog-Api-Key",
            "X-Client-Secret",
            "X-Password",
            "X-Session-Id",
            "AccessToken",
        ] {
            assert!(is_secret_field(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "Host",
            "Connection",
            "Content-Length",
            "Sec-WebSocket-Key",
            "Location",
            "Accept",
            "User-Agent",
            "WWW-Authenticate",
            "Content-Type",
            "Date",
            "Last-Modified",
            "Keep-Alive",
            "Via",
            "Idempotency-Key",
        ] {
            assert!(!is_secret_field(name.as_bytes()), "{name}");
        }
    }
}
