//! Why a connection is closed (RFC 6455, 7.4, and the registry of close codes).

use crate::Message;

/// Says what a close frame's payload says.
pub(super) fn tell(message: &mut Message, payload: &[u8]) -> Option<u16> {
    let [high, low, reason @ ..] = payload else {
        if !payload.is_empty() {
            message.note("a close code of one byte");
        }
        return None;
    };
    let code = u16::from_be_bytes([*high, *low]);
    message.set_status(code.to_string().as_bytes());
    match name(code) {
        Some(name) => message.attribute("meaning", name),
        None if (3000..5000).contains(&code) => {}
        None => message.note("a close code that must not be sent"),
    }
    if !reason.is_empty() {
        if std::str::from_utf8(reason).is_err() {
            message.note("the close reason is not UTF-8");
        }
        message.attribute("reason", crate::Value::Bytes(reason.to_vec()));
    }
    message.failed = matches!(code, 1002 | 1003 | 1007..=1014);
    Some(code)
}

fn name(code: u16) -> Option<&'static str> {
    Some(match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1007 => "invalid payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        _ => return None,
    })
}
