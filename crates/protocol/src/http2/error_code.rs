/// The name of an error code (RFC 9113, section 7).
pub(super) fn name(code: u32) -> String {
    let name = match code {
        0x0 => "NO_ERROR",
        0x1 => "PROTOCOL_ERROR",
        0x2 => "INTERNAL_ERROR",
        0x3 => "FLOW_CONTROL_ERROR",
        0x4 => "SETTINGS_TIMEOUT",
        0x5 => "STREAM_CLOSED",
        0x6 => "FRAME_SIZE_ERROR",
        0x7 => "REFUSED_STREAM",
        0x8 => "CANCEL",
        0x9 => "COMPRESSION_ERROR",
        0xa => "CONNECT_ERROR",
        0xb => "ENHANCE_YOUR_CALM",
        0xc => "INADEQUATE_SECURITY",
        0xd => "HTTP_1_1_REQUIRED",
        // What stands for a code that was not seen.
        u32::MAX => "unknown error code",
        _ => return format!("error code {code}"),
    };
    name.to_owned()
}

/// Nothing is wrong.
pub(super) const NO_ERROR: u32 = 0x0;
/// The stream is no longer needed.
pub(super) const CANCEL: u32 = 0x8;
