//! permessage-deflate.

use l7trace_event::Direction::ServerToClient;
use l7trace_protocol::Settings;
use l7trace_testkit::script::{Chop, Step, client, lines, punch, run_switched, server};

use crate::frames::{compressor, deflate, masked, plain};
use crate::{expect, handshake, heard, websocket};

const DEFLATE: (&str, &str) = ("Sec-WebSocket-Extensions", "permessage-deflate");

#[test]
fn with_context_takeover() {
    let mut asked = compressor();
    let mut answered = compressor();
    let script = [
        client(masked(0xc1, deflate(&mut asked, "hello hello hello"))),
        client(masked(0xc1, deflate(&mut asked, "hello again"))),
        server(plain(0xc2, deflate(&mut answered, "world"))),
        server(plain(0x81, "as it is")),
        server({
            let whole = deflate(&mut answered, "world, in two parts");
            [plain(0x41, &whole[..4]), plain(0x89, "p"), plain(0x80, &whole[4..])].concat()
        }),
    ];
    expect(
        &[DEFLATE],
        &script,
        &[
            "op=text | body=`hello hello hello` | notes=[] attributes=[compressed=true; inflated_bytes=17]",
            "op=text | body=`hello again` | inflated_bytes=11",
            "op=binary | body=`world`",
            "op=text | body=`as it is` | attributes=[]",
            "op=ping",
            "op=text | body=`world, in two parts` | compressed=true; fragments=2; inflated_bytes=19",
            "transaction | extensions=\"permessage-deflate\"; client_no_context_takeover=false",
        ],
    );
}

#[test]
fn without_context_takeover() {
    let agreed = ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover");
    let script = [
        server(plain(0xc1, deflate(&mut compressor(), "one"))),
        server(plain(0xc1, deflate(&mut compressor(), "two"))),
    ];
    expect(&[agreed], &script, &["body=`one`", "body=`two`", "transaction | server_no_context_takeover=true"]);
}

#[test]
fn what_was_lost_makes_unknown_only_what_refers_to_it() {
    let mut state = compressor();
    let messages = ["first words that are lost", "words that are lost, and new ones", "and new ones"]
        .map(|text| plain(0xc1, deflate(&mut state, text)));
    let script: Vec<Step> = messages.iter().map(server).collect();
    let holed = punch(&script, ServerToClient, 6, 4);
    let lines = lines(&heard(&[DEFLATE], &holed, Chop::Whole));
    assert!(lines[0].contains("op=text") && lines[0].contains("lost=4 Whole"), "{}", lines[0]);
    assert!(lines[1].contains("inflated_bytes=33") && lines[1].contains("unknown: compressed against"), "{}", lines[1]);
    assert!(!lines[1].contains("words that are lost"), "{}", lines[1]);
    assert!(lines[2].contains("body=`and new ones`") && lines[2].contains("notes=[]"), "{}", lines[2]);
}

#[test]
fn nothing_is_inflated_that_nobody_wants() {
    let script = [server(plain(0xc1, [0xff; 50])), server(plain(0xc1, deflate(&mut compressor(), "x")))];
    let heard = run_switched(websocket(), &Settings::default(), handshake(&[DEFLATE]), &script, Chop::Whole);
    assert!(heard.messages[..2].iter().all(|message| message.notes.is_empty() && message.body.is_empty()));
    assert!(heard.most_held < 4096, "{}", heard.most_held);
}

#[test]
fn rubbish_is_noted_and_survived() {
    let agreed = ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover");
    let script = [server(plain(0xc1, [0xff; 50])), server(plain(0xc1, deflate(&mut compressor(), "fine")))];
    expect(
        &[agreed],
        &script,
        &["op=text | notes=[the compressed payload is broken]", "op=text | body=`fine` | notes=[]", "transaction"],
    );
}
