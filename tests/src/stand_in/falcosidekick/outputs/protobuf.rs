//! Just enough of protobuf to write a message: fields one after the other, each with its number and its kind.

/// A message, as it is written so far.
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Adds a number.
    pub fn number(mut self, field: u8, number: u64) -> Self {
        self.0.push(field << 3);
        self.variable(number);
        self
    }

    /// Adds a number of eight bytes.
    pub fn fixed(mut self, field: u8, number: u64) -> Self {
        self.0.push(field << 3 | 1);
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Adds a text.
    pub fn text(self, field: u8, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    /// Adds a message.
    pub fn message(self, field: u8, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// All of it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(mut self, field: u8, bytes: &[u8]) -> Self {
        self.0.push(field << 3 | 2);
        self.variable(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Seven bits in a byte, the lowest first; the eighth says that more follow.
    fn variable(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_the_format_says() {
        // The examples of its documentation: 150, and `testing`.
        assert_eq!(Message::default().number(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().text(2, "testing").into_bytes(), *b"\x12\x07testing");
        let inner = Message::default().number(1, 150);
        assert_eq!(Message::default().message(3, &inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().fixed(1, 2).into_bytes(), [0x09, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
