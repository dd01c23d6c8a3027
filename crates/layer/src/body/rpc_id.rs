//! The `id` of a JSON-RPC answer that is given to several clients: each gets its own.

/// Writes another `id` into an answer while it passes. Everything else goes through byte for byte, and nothing is held back.
#[derive(Debug)]
pub(crate) struct IdWriter {
    id: Box<str>,
    state: State,
    /// Brackets that are open.
    depth: usize,
    /// Whether the outermost bracket is that of an object.
    is_object: bool,
    /// Whether the next string is the name of a member of it.
    expects_name: bool,
    /// The first bytes of such a name, as it is written.
    name: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between strings.
    Outside,
    /// In a string; in one that is a name its bytes are looked at.
    Text { is_name: bool, escaped: bool },
    /// In the value in whose place the `id` was written.
    Replaced { in_text: bool, escaped: bool },
}

impl IdWriter {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.into(), state: State::Outside, depth: 0, is_object: false, expects_name: false, name: Vec::new() }
    }

    /// The next bytes of the answer, as this client gets them.
    pub(crate) fn write(&mut self, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len() + self.id.len());
        for &byte in data {
            match self.state {
                State::Replaced { in_text: true, escaped } => {
                    let in_text = escaped || byte != b'"';
                    self.state = State::Replaced { in_text, escaped: !escaped && byte == b'\\' };
                }
                State::Replaced { .. } if byte == b'"' => self.state = State::Replaced { in_text: true, escaped: false },
                State::Replaced { .. } if !matches!(byte, b',' | b'}') => {}
                State::Replaced { .. } | State::Outside => {
                    self.state = State::Outside;
                    out.push(byte);
                    self.see(byte, &mut out);
                }
                State::Text { is_name, escaped } => {
                    out.push(byte);
                    if byte == b'"' && !escaped {
                        self.state = State::Outside;
                    } else {
                        if is_name && self.name.len() < 3 {
                            self.name.push(byte);
                        }
                        self.state = State::Text { is_name, escaped: !escaped && byte == b'\\' };
                    }
                }
            }
        }
        out
    }

    /// Looks at a byte between strings.
    fn see(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_outermost = self.depth == 1 && self.is_object;
        match byte {
            b'"' => {
                let is_name = is_outermost && self.expects_name;
                if is_name {
                    self.name.clear();
                }
                self.expects_name = false;
                self.state = State::Text { is_name, escaped: false };
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 {
                    (self.is_object, self.expects_name) = (byte == b'{', true);
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b',' if is_outermost => self.expects_name = true,
            b':' if is_outermost && self.name == b"id" => {
                out.extend_from_slice(self.id.as_bytes());
                self.state = State::Replaced { in_text: false, escaped: false };
                self.name.clear();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(answer: &str, id: &str, step: usize) -> String {
        let mut writer = IdWriter::new(id);
        let pieces = answer.as_bytes().chunks(step.max(1)).map(|piece| writer.write(piece)).collect::<Vec<_>>();
        String::from_utf8(pieces.concat()).expect("text")
    }

    #[test]
    fn only_the_id_of_the_answer_is_replaced() {
        for (answer, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"id":1}}"#, r#"{"jsonrpc":"2.0","id":"x","result":{"id":1}}"#),
            (r#"{"result":[{"id":1}],"id": 12345 }"#, r#"{"result":[{"id":1}],"id":"x"}"#),
            (r#"{ "id" : "a\",}" , "result":"id"}"#, r#"{ "id" :"x", "result":"id"}"#),
            (r#"{"result":"\"id\":1,","id":null}"#, r#"{"result":"\"id\":1,","id":"x"}"#),
            (r#"{"idx":1,"id":2,"i":3}"#, r#"{"idx":1,"id":"x","i":3}"#),
            (r#"{"result":{"a":[1,{"id":2}]},"error":null}"#, r#"{"result":{"a":[1,{"id":2}]},"error":null}"#),
            (r#"[{"id":1}]"#, r#"[{"id":1}]"#),
            ("no JSON", "no JSON"),
        ] {
            for step in 1..answer.len() + 1 {
                assert_eq!(written(answer, "\"x\"", step), expected, "{answer} in steps of {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_same_id_changes_nothing_but_white_space(result in "[a-z\\[\\]{},:0-9 ]{0,20}", id in 0_u32..1000, step in 1_usize..9) {
            let quoted = result.replace('"', "");
            let answer = format!(r#"{{"result":"{quoted}","id":{id}}}"#);
            prop_assert_eq!(written(&answer, &id.to_string(), step), answer);
        }
    }
}
