//! What the shim and the harness say to each other: length-prefixed texts over a Unix socket, one connection for each
//! call.
//!
//! This is ours, not Juju's protocol: a charm may not rely on it, only on the commands. Standard library only, because
//! the shim is started hundreds of times.

use std::io::{self, Read, Write};

/// A message longer than this is a fault, not a large databag.
const LONGEST: usize = 64 << 20;

/// A call as the shim makes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The value of `JUJU_CONTEXT_ID`.
    pub context_id: String,
    /// The name the program was started by.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub cwd: String,
    /// Its environment.
    pub env: Vec<(String, String)>,
}

/// What the harness says to a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Response {
    /// Send the standard input.
    SendStdin,
    /// The end.
    Done {
        /// The exit code.
        code: i32,
        /// Bytes to print.
        stdout: Vec<u8>,
        /// Bytes to print on the standard error.
        stderr: Vec<u8>,
    },
}

impl Request {
    /// Sends the call.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut message = Vec::new();
        put(&mut message, self.context_id.as_bytes());
        put(&mut message, self.name.as_bytes());
        put(&mut message, self.cwd.as_bytes());
        put_count(&mut message, self.args.len());
        for arg in &self.args {
            put(&mut message, arg.as_bytes());
        }
        put_count(&mut message, self.env.len());
        for (key, value) in &self.env {
            put(&mut message, key.as_bytes());
            put(&mut message, value.as_bytes());
        }
        to.write_all(&message)
    }

    /// Receives a call.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let (context_id, name, cwd) = (text(from)?, text(from)?, text(from)?);
        let args = (0..count(from)?).map(|_| text(from)).collect::<io::Result<_>>()?;
        let env = (0..count(from)?).map(|_| Ok((text(from)?, text(from)?))).collect::<io::Result<_>>()?;
        Ok(Self { context_id, name, args, cwd, env })
    }
}

impl Response {
    /// Sends the answer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut message = Vec::new();
        match self {
            Self::SendStdin => message.push(0),
            Self::Done { code, stdout, stderr } => {
                message.push(1);
                put(&mut message, &code.to_le_bytes());
                put(&mut message, stdout);
                put(&mut message, stderr);
            }
        }
        to.write_all(&message)
    }

    /// Receives the answer.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut kind = [0];
        from.read_exact(&mut kind)?;
        if kind == [0] {
            return Ok(Self::SendStdin);
        }
        let code = bytes(from)?.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Ok(Self::Done { code: i32::from_le_bytes(code), stdout: bytes(from)?, stderr: bytes(from)? })
    }
}

/// Sends the standard input.
pub fn write_stdin(to: &mut impl Write, stdin: &[u8]) -> io::Result<()> {
    let mut message = Vec::new();
    put(&mut message, stdin);
    to.write_all(&message)
}

/// Receives the standard input.
pub fn read_stdin(from: &mut impl Read) -> io::Result<Vec<u8>> {
    bytes(from)
}

fn put_count(message: &mut Vec<u8>, count: usize) {
    message.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

fn put(message: &mut Vec<u8>, bytes: &[u8]) {
    put_count(message, bytes.len());
    message.extend(bytes);
}

fn count(from: &mut impl Read) -> io::Result<usize> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST { Err(io::ErrorKind::InvalidData.into()) } else { Ok(length) }
}

fn bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count(from)?];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(from: &mut impl Read) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(from)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_arrives_as_it_was_sent() {
        let request = Request {
            context_id: "x".into(),
            name: "relation-set".into(),
            args: vec![String::new(), "a=l1\nl2".into()],
            cwd: "/".into(),
            env: vec![("PATH".into(), "/bin".into())],
        };
        let mut message = Vec::new();
        request.write(&mut message).unwrap();
        assert_eq!(Request::read(&mut message.as_slice()).unwrap(), request);
    }

    #[test]
    fn an_answer_arrives_as_it_was_sent() {
        for response in [Response::SendStdin, Response::Done { code: -1, stdout: b"\xff".to_vec(), stderr: Vec::new() }]
        {
            let mut message = Vec::new();
            response.write(&mut message).unwrap();
            assert_eq!(Response::read(&mut message.as_slice()).unwrap(), response);
        }
    }
}
