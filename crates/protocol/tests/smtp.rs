//! SMTP as it is met in the world.

use l7trace_event::Direction::{ClientToServer, ServerToClient};
use l7trace_protocol::{Protocol, Settings, by_name};
use l7trace_testkit::script::{Chop, Step, check, check_cuts, client, close, length, lines, punch, run, server};

fn smtp() -> &'static dyn Protocol {
    by_name("smtp").expect("smtp is in the registry")
}

fn expect(script: &[Step], expected: &[&str]) {
    check(smtp(), &Settings { body_limit: 100, ..Settings::default() }, script, expected);
}

fn mail() -> Vec<Step> {
    let steps = [
        server("220 mail.example ESMTP\r\n"),
        client("EHLO client.example\r\n"),
        server("250-mail.example\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"),
        client("MAIL FROM:<a@b> SIZE=5\r\n"),
        server("250 2.1.0 Ok\r\n"),
        client("RCPT TO:<c@d>\r\n"),
        server("250 2.1.5 Ok\r\n"),
        client("RCPT TO:<e@f>\r\n"),
        server("550 5.1.1 no such user\r\n"),
        client("DATA\r\n"),
        server("354 go on\r\n"),
        client("Subject: =?utf-8?q?caf=C3=A9?=\r\nFrom: a@b\r\n\r\n..hi\r\n.\r\n"),
        server("250 2.0.0 queued\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ];
    steps.into_iter().chain(close()).collect()
}

#[test]
fn a_mail_from_greeting_to_quit() {
    expect(
        &mail(),
        &[
            "request 0/1 op=EHLO res=client.example",
            "response 0/1 | st=250 | text=[\"mail.example\", \"PIPELINING\", \"SIZE 1000\"] | wire=49",
            "request 0/2 op=MAIL res=<a@b> | parameters={SIZE: \"5\"}",
            "response 0/2 | st=250 | enhanced_status=\"2.1.0\"",
            "request 0/3 op=RCPT res=<c@d>",
            "response 0/3 | st=250",
            "request 0/4 op=RCPT res=<e@f>",
            "response 0/4 | st=550 | failed=true",
            "request 0/5 op=DATA res=- | body_bytes=50 | wire=60",
            "response 0/5 | st=250 | wire=29",
            "transaction 0/0 op=mail res=<a@b> -> <c@d>, <e@f> st=250 | body=`Subject: =?utf-8?q?caf=C3=A9?=\\r\\nFrom: a@b\\r\\n\\r\\n.hi\\r\\n` | failed=false | subject=\"café\"; from=\"a@b\" | {path: \"<e@f>\", status: \"550\"}",
            "request 0/6 op=QUIT",
            "response 0/6 | st=221",
        ],
    );
}

#[test]
fn pipelined_commands_and_chunks() {
    let script = [
        server("220 ESMTP\r\n"),
        client("EHLO x\r\n"),
        server("250 CHUNKING\r\n"),
        client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nhelloBDAT 6 LAST\r\n world"),
        client("MAIL FROM:<g@h>\r\nRCPT TO:<i@j>\r\nBDAT 0 LAST\r\nRSET\r\n"),
        server(
            "250 ok\r\n250 ok\r\n250 5 octets\r\n250 queued\r\n250 ok\r\n450 later\r\n503 no recipients\r\n250 ok\r\n",
        ),
    ];
    expect(
        &script,
        &[
            "request 0/1 op=EHLO",
            "response 0/1",
            "request 0/2 op=MAIL",
            "request 0/3 op=RCPT",
            "request 0/4 op=BDAT res=5 | body_bytes=5 | wire=13",
            "request 0/5 op=BDAT res=6 LAST | body_bytes=6 | wire=19",
            "request 0/6 op=MAIL",
            "request 0/7 op=RCPT",
            "request 0/8 op=BDAT res=0 LAST",
            "request 0/9 op=RSET",
            "response 0/2 | st=250",
            "response 0/3 | st=250",
            "response 0/4 | st=250",
            "response 0/5 | st=250",
            "transaction | res=<a@b> -> <c@d> st=250 | body=`hello world` | body_bytes=11",
            "response 0/6 | st=250",
            "response 0/7 | st=450 | failed=true",
            "response 0/8 | st=503",
            "transaction | res=<g@h> -> <i@j> st=503 | failed=true",
            "response 0/9 | st=250",
        ],
    );
}

#[test]
fn credentials_are_secret_and_the_mechanism_is_not() {
    let script = [
        server("220 ESMTP\r\n"),
        client("EHLO x\r\n"),
        server("250 AUTH LOGIN PLAIN\r\n"),
        client("AUTH LOGIN\r\n"),
        server("334 VXNlcm5hbWU6\r\n"),
        client("dXNlcg==\r\n"),
        server("334 UGFzc3dvcmQ6\r\n"),
        client("cGFzcw==\r\n"),
        server("535 5.7.8 no\r\n"),
        client("AUTH PLAIN AHUAcA==\r\n"),
        server("235 2.7.0 yes\r\n"),
        client("NOOP\r\n"),
        server("250 ok\r\n"),
    ];
    expect(
        &script,
        &[
            "op=EHLO",
            "response 0/1",
            "request 0/2 op=AUTH res=LOGIN | attributes=[response=secret(8); response=secret(8)]",
            "response 0/2 | st=535 | failed=true",
            "request 0/3 op=AUTH res=PLAIN | attributes=[response=secret(8)]",
            "response 0/3 | st=235 | failed=false",
            "request 0/4 op=NOOP",
            "response 0/4",
        ],
    );
}

#[test]
fn starttls_goes_on_as_tls() {
    let script = [
        server("220 ESMTP\r\n"),
        client("EHLO x\r\n"),
        server("250 STARTTLS\r\n"),
        client("STARTTLS\r\n"),
        server("220 go ahead\r\n"),
        client("\x16\x03\x01"),
    ];
    expect(
        &script,
        &[
            "op=EHLO",
            "response 0/1",
            "request 0/2 op=STARTTLS",
            "response 0/2 | st=220",
            "switch to Protocol(\"tls\") client=`\\x16\\x03\\x01` server=``",
        ],
    );
}

#[test]
fn lmtp_replies_for_each_recipient() {
    let script = [
        server("220 LMTP\r\n"),
        client("LHLO x\r\n"),
        server("250 ok\r\n"),
        client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nRCPT TO:<g@h>\r\nDATA\r\n"),
        server("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
        client("x\r\n.\r\n"),
        server("250 delivered\r\n452 full\r\n250 too\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ];
    expect(
        &script,
        &[
            "op=LHLO",
            "response 0/1",
            "op=MAIL",
            "op=RCPT",
            "op=RCPT",
            "op=RCPT",
            "response 0/2",
            "response 0/3",
            "response 0/4",
            "response 0/5",
            "op=DATA",
            "response 0/6 | st=452 | wire=42",
            "transaction | delivery: \"250\" | delivery: \"452\" | delivery: \"250\"",
            "op=QUIT",
            "response 0/7",
        ],
    );
}

/// A mail to three recipients over LMTP, one of them refused.
fn local_mail() -> Vec<Step> {
    vec![
        server("220 LMTP\r\n"),
        client("LHLO x\r\n"),
        server("250 ok\r\n"),
        client("MAIL FROM:<a@b>\r\n"),
        server("250 ok\r\n"),
        client("RCPT TO:<one@d>\r\n"),
        server("250 ok\r\n"),
        client("RCPT TO:<two@d>\r\n"),
        server("550 no\r\n"),
        client("RCPT TO:<three@d>\r\n"),
        server("250 ok\r\n"),
        client("DATA\r\n"),
        server("354 go\r\n"),
        client("x\r\n.\r\n"),
        server("250 delivered\r\n"),
        server("452 full\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ]
}

#[test]
fn each_recipient_has_its_own_reply_or_none_around_a_hole() {
    let script = local_mail();
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for hole in [1, 8, 20] {
                let punched = punch(&script, direction, position, hole);
                let told = lines(&run(smtp(), &Settings::default(), true, &punched, Chop::Whole)).join("\n");
                for wrong in ["one@d>\", \"status\": \"550", "two@d>\", \"status\": \"250", "st=250 | DATA"] {
                    assert!(!told.contains(wrong), "{wrong} with {hole} lost at {position} of {direction:?}:\n{told}");
                }
                let data = told.lines().find(|line| line.contains(" op=DATA "));
                let key = data.and_then(|line| line.split(' ').nth(3));
                let answer = told
                    .lines()
                    .find(|line| key.is_some() && line.contains(" response ") && line.split(' ').nth(3) == key);
                assert!(
                    answer.is_none_or(|answer| answer.contains("st=452")),
                    "{hole} lost at {position} of {direction:?}:\n{told}"
                );
            }
        }
    }
}

#[test]
fn joined_after_the_hello_the_next_command_tells_how_many_replies_there_were() {
    let cases: [(&[&str], &str); 3] = [
        (&["250 queued\r\n"], "st=250"),
        (&["250 one\r\n", "452 two\r\n"], "st=452"),
        (&["250 one\r\n", "452 three\r\n", "250 two\r\n"], "st=452"),
    ];
    for (verdicts, right) in cases {
        let mut script = local_mail().split_off(3);
        script.splice(11..13, verdicts.iter().map(server));
        let told = lines(&run(smtp(), &Settings::default(), false, &script, Chop::Whole)).join("\n");
        let mut answers = told.lines().filter(|line| line.contains(" response 0/") && line.contains(right));
        // The leave to go on, and each verdict once.
        let bytes = format!("wire={} ", "354 go\r\n".len() + verdicts.concat().len());
        let fits = |line: &str| (line.contains("queued") || line.contains("two")) && line.contains(&bytes);
        assert!(answers.next_back().is_some_and(fits), "{right}, {bytes}:\n{told}");
        check_cuts(smtp(), &Settings::default(), false, &script);
    }
}

#[test]
fn a_refused_message_and_a_server_that_hangs_up() {
    let script = [
        server("220 ESMTP\r\n"),
        client("HELO x\r\n"),
        server("250 ok\r\n"),
        client("MAIL FROM:<>\r\n"),
        server("250 ok\r\n"),
        client("DATA\r\n"),
        server("503 no recipients\r\n"),
        client("NOOP\r\n"),
        server("421 closing\r\n"),
    ];
    let script: Vec<Step> = script.into_iter().chain(close()).collect();
    expect(
        &script,
        &[
            "op=HELO",
            "response 0/1",
            "op=MAIL res=<>",
            "response 0/2",
            "op=DATA",
            "response 0/3 | st=503",
            "op=NOOP",
            "response 0/4 | st=421 | failed=true",
            "transaction | res=<> st=503 | given up before the end",
        ],
    );
}

#[test]
fn what_was_said_behind_a_refused_command_has_the_next_reply() {
    let script = [
        server("220 ESMTP\r\n"),
        client("EHLO x\r\n"),
        server("250 hello\r\n"),
        client("DATA\r\nRSET\r\nQUIT\r\n"),
        server("503 no recipients\r\n250 ok\r\n221 bye\r\n"),
    ];
    let script: Vec<Step> = script.into_iter().chain(close()).collect();
    expect(
        &script,
        &[
            "request 0/1 op=EHLO",
            "response 0/1",
            "request 0/2 op=DATA",
            "response 0/2 | st=503",
            "request 0/3 op=RSET",
            "request 0/4 op=QUIT",
            "response 0/3 | st=250",
            "response 0/4 | st=221",
        ],
    );
    check_cuts(smtp(), &Settings::default(), true, &script);
}

#[test]
fn a_bare_lf_ends_the_data_where_the_server_says_so() {
    let script = [
        server("220 ESMTP\r\n"),
        client("HELO x\r\n"),
        server("250 ok\r\n"),
        client("MAIL FROM:<a@b>\r\nDATA\r\n"),
        server("250 ok\r\n354 go\r\n"),
        client("hi\n.\n"),
        server("250 queued\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ];
    expect(
        &script,
        &[
            "op=HELO",
            "response 0/1",
            "op=MAIL",
            "response 0/2",
            "op=DATA | bare LF",
            "response 0/3 | st=250",
            "transaction | st=250",
            "op=QUIT",
            "response 0/4 | st=221",
        ],
    );
}

#[test]
fn after_a_hole_anywhere_no_reply_is_paired_wrongly() {
    let script = mail();
    let right = lines(&run(smtp(), &Settings::default(), true, &script, Chop::Whole));
    // What each command must be answered with, where it is answered at all.
    let pairs = |lines: &[String]| -> Vec<(String, String)> {
        let part = |line: &str, name: &str| {
            let rest = line.split(&format!(" {name}=")).nth(1).unwrap_or_default();
            rest.split(' ').next().unwrap_or_default().to_owned()
        };
        let key = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
        let mut pairs = Vec::new();
        for line in lines.iter().filter(|line| line.contains(" request ")) {
            let answer = lines.iter().find(|other| other.contains(" response ") && key(other) == key(line));
            if let Some(answer) = answer {
                pairs.push((format!("{} {}", part(line, "op"), part(line, "res")), part(answer, "st")));
            }
        }
        pairs
    };
    let known = pairs(&right);
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for hole in [1, 7, 40] {
                let punched = punch(&script, direction, position, hole);
                let heard = lines(&run(smtp(), &Settings::default(), true, &punched, Chop::Whole));
                for (command, status) in pairs(&heard) {
                    let verb = command.split(' ').next().unwrap_or_default();
                    let fits = known.iter().any(|(name, code)| name.starts_with(verb) && *code == status);
                    assert!(
                        fits,
                        "{command} {status} with {hole} lost at {position} of {direction:?}:\n{}",
                        heard.join("\n")
                    );
                }
                if position + hole < length(&script, direction) - 12 && direction == ClientToServer {
                    assert!(
                        heard.iter().any(|line| line.contains("op=QUIT")),
                        "QUIT lost: {hole} at {position}:\n{}",
                        heard.join("\n")
                    );
                }
                check_cuts(smtp(), &Settings::default(), true, &punched);
            }
        }
    }
}

#[test]
fn what_is_no_command_has_no_record_and_no_reply() {
    expect(
        &[
            server("220 ESMTP\r\n"),
            client("HELO x\r\n"),
            server("250 ok\r\n"),
            client("\x16\x03\x01\n"),
            server("500 what?\r\n500 what again?\r\n"),
            client("QUIT\r\n"),
            server("221 bye\r\n421 4.4.2 too late\r\n"),
        ],
        &["op=HELO", "response 0/1", "op=QUIT", "response 0/3 | st=221", "response 1/4 | st=421"],
    );
}

/// A server that takes a dot after a bare LF for the end answers what others read as content.
#[test]
fn smuggled_commands_take_no_reply_from_others() {
    let script = [
        server("220 ESMTP\r\n"),
        client("HELO x\r\n"),
        server("250 ok\r\n"),
        client("MAIL FROM:<a@b>\r\nDATA\r\n"),
        server("250 ok\r\n354 go\r\n"),
        client("hi\n.\nMAIL FROM:<evil@b>\r\nDATA\r\n.\r\nNOOP\r\n"),
        server("250 queued\r\n251 evil\r\n354 go\r\n252 queued evil\r\n253 noop\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ];
    expect(
        &script,
        &[
            "op=HELO",
            "response 0/1",
            "op=MAIL",
            "response 0/2",
            "op=DATA | bare LF",
            "op=NOOP",
            "response 0/3 | st=250",
            "transaction | st=250",
            "response 1/5 | st=251 | may answer",
            "response 1/6 | st=354",
            "response 1/7 | st=252",
            "response 1/8 | st=253",
            "op=QUIT",
            "response 0/9 | st=221",
        ],
    );
}

/// Every reply has a code of its own, so that a wrong pair shows.
#[test]
fn pipelined_commands_are_never_paired_wrongly_around_a_hole() {
    let script = [
        server("220 mail.example ESMTP\r\n"),
        client("EHLO a\r\n"),
        server("250-x\r\n250 PIPELINING\r\n"),
        client("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"),
        server("251 one\r\n252 two\r\n553 three\r\n354 go\r\n"),
        client("Subject: x\r\n\r\nbody\r\n.\r\nNOOP\r\nRSET\r\n"),
        server("254 kept\r\n"),
        server("255 noop\r\n256 rset\r\n"),
        client("AUTH LOGIN\r\n"),
        server("334 VXNlcm5hbWU6\r\n"),
        client("Ym9i\r\n"),
        server("334 UGFzc3dvcmQ6\r\n"),
        client("c2VjcmV0\r\n"),
        server("235 in\r\n"),
        client("MAIL FROM:<g@h>\r\nRCPT TO:<i@j>\r\nBDAT 4\r\nbodyBDAT 2 LAST\r\n\r\nVRFY x\r\n"),
        server("257 mail\r\n258 rcpt\r\n259 chunk\r\n260 last\r\n261 vrfy\r\n"),
        client("QUIT\r\n"),
        server("221 bye\r\n"),
    ];
    let pairs = |lines: &[String]| -> Vec<(String, String)> {
        let part = |line: &str, name: &str| {
            line.split(&format!(" {name}="))
                .nth(1)
                .unwrap_or_default()
                .split(" |")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let key = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
        let requests = lines.iter().filter(|line| line.contains(" request "));
        let answered = |line: &String| {
            let answer = lines.iter().find(|other| other.contains(" response ") && key(other) == key(line))?;
            Some((part(line, "op"), part(answer, "st").split(' ').next().unwrap_or_default().to_owned()))
        };
        requests.filter_map(answered).collect()
    };
    let known = pairs(&lines(&run(smtp(), &Settings::default(), true, &script, Chop::Whole)));
    assert_eq!(known.len(), 14, "{known:?}");
    for direction in [ClientToServer, ServerToClient] {
        for position in 0..length(&script, direction) {
            for hole in [1, 10, 25, 60] {
                let punched = punch(&script, direction, position, hole);
                let heard = lines(&run(smtp(), &Settings::default(), true, &punched, Chop::Whole));
                for (command, status) in pairs(&heard) {
                    let whole = known.iter().any(|(name, _)| *name == command);
                    assert!(
                        !whole || known.contains(&(command.clone(), status.clone())),
                        "{command} {status} with {hole} lost at {position} of {direction:?}:\n{}",
                        heard.join("\n")
                    );
                }
            }
        }
    }
}
