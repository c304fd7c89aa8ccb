//! The socket that stands for `/dev/log`.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};

/// Takes messages as long as it lives. A thread empties the socket, as a kernel may hold no more than ten messages, and
/// whoever sends one more waits until there is room.
#[derive(Debug)]
pub struct Syslog {
    socket: UnixDatagram,
    messages: Receiver<Vec<u8>>,
    reader: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Listens at this path.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::bind(path)?;
        let (receiver, (sender, messages)) = (socket.try_clone()?, channel());
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            // A socket that is shut down says that nothing came.
            while let Ok(length @ 1..) = receiver.recv(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { socket, messages, reader: Some(reader) })
    }

    /// Every message, once nobody sends any more. Afterwards nobody listens.
    pub fn end(&self) -> Vec<String> {
        // What has been sent is still read.
        self.socket.shutdown(Shutdown::Both).expect("a socket that is listened at");
        self.messages.iter().map(|message| String::from_utf8_lossy(&message).into_owned()).collect()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        // Also if that was done already.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}
