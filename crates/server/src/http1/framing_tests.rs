use super::*;

/// The faults, and how many bytes were valid; the same wherever the bytes are cut.
fn watched(text: &str) -> (FramingFaults, usize) {
    let all = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut watch, mut good) = (FramingWatch::default(), 0);
        for piece in pieces {
            let seen = watch.inspect(piece);
            good += seen;
            if seen < piece.len() {
                break;
            }
        }
        (watch.faults(), good)
    };
    let whole = all(&mut std::iter::once(text.as_bytes()));
    for size in [1, 3] {
        assert_eq!(all(&mut text.as_bytes().chunks(size)), whole, "the verdict on {text:?} depends on where the bytes are cut");
    }
    whole
}

fn ambiguous(text: &str) -> bool {
    watched(text).0.ambiguous
}

fn bare_lf(text: &str) -> bool {
    watched(text).0.bare_lf
}

/// Whether the bytes end before the last of them, which is where content breaks its framing.
fn is_broken_at_the_end(text: &str) -> bool {
    let (_, good) = watched(text);
    assert!(good + 1 >= text.len(), "{text:?} is broken before its last byte: {good}");
    good < text.len()
}

#[test]
fn rfc9112_6_1_both_fields_in_one_head_are_seen_in_either_order() {
    assert!(ambiguous("POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert!(ambiguous("POST / HTTP/1.1\nTRANSFER-ENCODING:chunked\nhost: a\ncontent-length:3\n\n"));
    assert!(ambiguous("GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn fields_of_different_heads_do_not_count_together() {
    assert!(!ambiguous("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
}

#[test]
fn content_is_no_head() {
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\n\r\n";
    let length = both.len();
    for content in
        [format!("Content-Length: {length}\r\n\r\n{both}"), format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{both}\r\n0\r\n\r\n")]
    {
        let text = format!("POST / HTTP/1.1\r\n{content}");
        assert_eq!(watched(&text), (FramingFaults::default(), text.len()), "{text:?}");
    }
}

#[test]
fn rfc9112_2_2_a_bare_lf_in_a_head_is_seen() {
    assert!(bare_lf("GET / HTTP/1.1\nHost: a\r\n\r\n"));
    assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n"));
    assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\n"));
    assert!(bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n"));
    assert!(!bare_lf("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

#[test]
fn rfc9112_2_2_a_bare_lf_in_a_head_behind_content_is_seen() {
    for content in ["Content-Length: 4\r\n\r\na\nb\n", "Transfer-Encoding: chunked\r\n\r\n4\r\na\nb\n\r\n0\r\n\r\n"] {
        let first = format!("POST / HTTP/1.1\r\nHost: a\r\n{content}");
        assert!(!bare_lf(&first), "content may have any bytes: {first:?}");
        assert!(bare_lf(&format!("{first}GET / HTTP/1.1\r\nHost: a\n\r\n")), "{first:?}");
    }
}

#[test]
fn rfc9112_7_1_lines_of_chunked_content_end_in_crlf() {
    const HEAD: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for good in
        ["0\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n00;x\r\nX: a\r\nY:\r\n\r\n", "FF", "a\r\n\n\n\n\n\n\r\r\r\r\r\r\n"]
    {
        assert!(!is_broken_at_the_end(&format!("{HEAD}{good}")), "{good:?}");
    }
    for broken in [
        "\n",
        "\r",
        "x",
        ";",
        "-",
        "5\n",
        "5x",
        "5\rx",
        "5;a\n",
        "5;a\rb",
        "5;a\0",
        "5 \x0c",
        "10000000000000000",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rb",
        "0\r\n\n",
        "0\r\nX: a\n",
        "0\r\nX: a\r\nY: b\n",
        "0\r\nX: a\rb",
        "0\r\n\r\r",
    ] {
        assert!(is_broken_at_the_end(&format!("{HEAD}{broken}")), "{broken:?}");
    }
}

#[test]
fn content_is_at_its_end_with_its_last_byte() {
    for content in ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: a\r\n\r\n"] {
        let (text, mut watch) = (format!("POST / HTTP/1.1\r\n{content}"), FramingWatch::default());
        let begins = text.find("\r\n\r\n").expect("a head") + 4;
        for (position, byte) in text.bytes().enumerate() {
            assert_eq!(watch.is_in_content(), position >= begins, "{position}: {text:?}");
            watch.inspect(&[byte]);
        }
        assert!(!watch.is_in_content(), "{text:?}");
    }
}

#[test]
fn rfc9110_8_6_a_length_that_is_not_plain_is_seen() {
    let odd = |fields: &str| watched(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).0.odd_length;
    for fields in ["Content-Length: 3", "Content-Length:3 ", "Content-Length: 3\r\nContent-Length: 3"] {
        assert!(!odd(fields), "{fields:?}");
    }
    let padded = format!("Content-Length:{}3", " ".repeat(LINE_START));
    for fields in ["Content-Length:", "Content-Length: 3, 3", "Content-Length: +3", "Content-Length: 3\r\nContent-Length: 4", &padded] {
        assert!(odd(fields), "{fields:?}");
    }
}

#[test]
fn other_fields_with_such_words_do_not_count() {
    assert!(!ambiguous("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 3\r\n\r\n"));
    assert!(!ambiguous("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Lengthy: 3\r\n\r\n"));
    assert!(!ambiguous("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Transfer-Encoding: binary\r\n\r\n"));
}
