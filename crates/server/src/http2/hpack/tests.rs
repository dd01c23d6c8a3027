//! The examples of RFC 7541 appendix C, and what is broken.

use bytes::BytesMut;

use super::decode::{DecodeError, Decoder};
use super::encode::{put_again, put_field, put_status};
use super::fields::FieldList;

type Lines = Vec<(String, String)>;
/// A block in hexadecimal digits, its fields, and the size of the table behind it.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], usize);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16).expect("a byte")).collect()
}

fn lines(fields: &FieldList) -> Lines {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|field| (text(field.name.as_bytes()), text(field.value))).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Lines, DecodeError> {
    let mut fields = FieldList::new(64 * 1024);
    decoder.decode(block, &mut fields).map(|()| lines(&fields))
}

/// Each block in turn has these fields, and leaves a table of this size.
fn assert_decodes(decoder: &mut Decoder, blocks: &[Example<'_>]) {
    for (hex, expected, size) in blocks {
        let expected: Lines = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(decode(decoder, &bytes(hex)), Ok(expected), "{hex}");
        assert_eq!(decoder.table_size(), *size, "{hex}");
    }
}

#[test]
fn rfc7541_c_2_each_representation() {
    let cases: [Example<'_>; 4] = [
        ("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &[("custom-key", "custom-header")], 55),
        ("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], 0),
        ("82", &[(":method", "GET")], 0),
    ];
    for case in cases {
        assert_decodes(&mut Decoder::default(), &[case]);
    }
}

const FIRST: &[(&str, &str)] = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"), ("cache-control", "no-cache")];
const THIRD: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];

#[test]
fn rfc7541_c_3_and_c_4_requests_on_one_connection() {
    assert_decodes(
        &mut Decoder::default(),
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", FIRST, 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", SECOND, 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", THIRD, 164),
        ],
    );
    assert_decodes(
        &mut Decoder::default(),
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", FIRST, 57),
            ("8286 84be 5886 a8eb 1064 9cbf", SECOND, 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", THIRD, 164),
        ],
    );
}

#[test]
fn rfc7541_c_5_and_c_6_responses_with_evictions() {
    let date = "Mon, 21 Oct 2013 20:13:21 GMT";
    let late = "Mon, 21 Oct 2013 20:13:22 GMT";
    let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let first: &[(&str, &str)] =
        &[(":status", "302"), ("cache-control", "private"), ("date", date), ("location", "https://www.example.com")];
    let second: &[(&str, &str)] = &[(":status", "307"), first[1], first[2], first[3]];
    let third: &[(&str, &str)] =
        &[(":status", "200"), first[1], ("date", late), first[3], ("content-encoding", "gzip"), ("set-cookie", cookie)];
    let blocks = [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768
             7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153
             444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
             3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8
             e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b
             3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ],
    ];
    for [one, two, three] in blocks {
        let mut decoder = Decoder::default();
        // A table of 256 bytes, as the examples have it.
        assert_eq!(decode(&mut decoder, &bytes("3fe1 01")), Ok(vec![]));
        assert_decodes(&mut decoder, &[(one, first, 222), (two, second, 222), (three, third, 215)]);
    }
}

#[test]
fn rfc7541_what_is_broken_is_refused() {
    for (what, hex) in [
        ("§6.1 the index 0", "80"),
        ("§2.3.3 an index behind the tables", "be"),
        ("§5.1 an integer without an end", "ff"),
        ("§5.1 an integer that is too large", "ff ff ff ff ff ff 0f"),
        ("§5.2 a string that is longer than the block", "00 05 61"),
        ("§5.2 a value that is missing", "00 01 61"),
        ("§6.3 a size over the one agreed on", "3f e2 1f"),
        ("§4.2 a size behind a field", "82 20"),
        ("§5.2 padding of eight bits", "00 01 61 82 1f ff"),
    ] {
        assert_eq!(decode(&mut Decoder::default(), &bytes(hex)), Err(DecodeError::Broken), "{what}");
    }
    assert_eq!(decode(&mut Decoder::default(), &bytes("3f e1 1f 20 82")).map(|lines| lines.len()), Ok(1), "4096, then 0");
}

#[test]
fn rfc7541_4_4_an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::default();
    assert!(decode(&mut decoder, &bytes("40 01 61 01 62")).is_ok());
    assert_eq!(decoder.table_size(), 34);
    let mut large = bytes("40 01 61 7f e1 1f");
    large.resize(6 + 4192, b'x');
    assert_eq!(decode(&mut decoder, &large).map(|lines| lines[0].1.len()), Ok(4192));
    assert_eq!((decoder.table_size(), decode(&mut decoder, &bytes("be"))), (0, Err(DecodeError::Broken)));
}

/// An entry of 4,000 bytes, and a byte for each time that it is meant.
#[test]
fn rfc9113_10_5_1_short_blocks_with_long_lists_are_bounded() {
    let mut block = bytes("40 01 61 7f a1 1e");
    block.resize(6 + 4000, b'x');
    block.resize(block.len() + 10_000, 0xbe);
    let mut fields = FieldList::new(10_000);
    assert_eq!(Decoder::default().decode(&block, &mut fields), Err(DecodeError::TooLarge));
    block.truncate(6 + 4000 + 5);
    assert_eq!(Decoder::default().decode(&block, &mut fields), Ok(()));
    let kept: usize = fields.iter().map(|field| 32 + field.name.as_bytes().len() + field.value.len()).sum();
    assert!(fields.is_over() && kept == 10_000, "as much as shows that it is too large: {kept}");
}

#[test]
fn what_is_written_is_read_and_stays_out_of_tables() {
    let list = [("age", "7"), ("x-cache", "HIT"), ("via", ""), ("etag", "\"é\""), ("x-long", &*"y".repeat(5000))];
    let mut block = BytesMut::new();
    put_status(&mut block, b"206");
    put_status(&mut block, b"299");
    list.iter().for_each(|(name, value)| put_field(&mut block, name.as_bytes(), value.as_bytes()));
    let (mut decoder, mut fields) = (Decoder::default(), FieldList::new(64 * 1024));
    assert_eq!(decoder.decode(&block, &mut fields), Ok(()));
    let statuses = [(":status", "206"), (":status", "299")];
    let expected: Lines = statuses.iter().chain(&list).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!((lines(&fields), decoder.table_size()), (expected, 0));
    // A password that must not be put into a table may not be put into one on its way either (§6.2.3).
    let password = bytes("1008 7061 7373 776f 7264 0673 6563 7265 74");
    assert_eq!(decoder.decode(&password, &mut fields), Ok(()));
    let mut again = BytesMut::new();
    fields.iter().for_each(|field| put_again(&mut again, field));
    assert_eq!(again, password[..]);
}
