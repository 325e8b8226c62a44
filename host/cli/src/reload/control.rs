//! A socket in the data directory on which `weir run` is asked for things: a line of JSON, and a line as the answer. Who may write
//! the offsets may ask, and nobody else.

use super::{Request, Told};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tracing::warn;
use weir_api::{Cure, Error};

const SOCKET: &str = "weir.sock";
/// Bytes of a request, and how long one may take to come.
const MOST_REQUEST: u64 = 4096;
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long an answer may take: modules are compiled meanwhile, and pipelines come to their offers.
const ANSWER_TIME: Duration = Duration::from_secs(600);

/// The socket; gone when this is dropped.
pub struct Control {
    path: PathBuf,
}

// === impl Control ===

impl Control {
    /// Serves until the process ends. The caller holds the data directory's store: a socket that is there was left by a process that
    /// was killed.
    pub fn serve(data_dir: &Path, requests: Sender<Request>) -> Result<Control, Error> {
        let path = data_dir.join(SOCKET);
        let listener = listen(&path).map_err(|e| {
            Error::environment("control.socket", format!("`{}` cannot be made: {e}", path.display()))
                .help("`weir reload` does not reach this process; files are looked at all the same")
        })?;
        let run = move || {
            for stream in listener.incoming() {
                let Err(e) = stream.and_then(|s| answer(s, &requests)) else { continue };
                warn!("a request on the control socket cannot be answered: {e}");
                // no file descriptors left, perhaps: not a reason to go round in circles
                std::thread::sleep(Duration::from_millis(100))
            }
        };
        let thread = std::thread::Builder::new().name("weir-control".into()).spawn(run);
        thread.map_err(|e| Error::no_thread(&e))?;
        Ok(Control { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // one that is left is replaced by the next process
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Under another name until only its owner may connect.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension(std::process::id().to_string());
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

fn answer(mut stream: UnixStream, requests: &Sender<Request>) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIME))?;
    stream.set_write_timeout(Some(REQUEST_TIME))?;
    let mut line = String::new();
    BufReader::new((&stream).take(MOST_REQUEST)).read_line(&mut line)?;
    let asked = serde_json::from_str::<Value>(&line).ok().and_then(|v| Some(v.get("ask")?.as_str()?.to_owned()));
    let said = match asked.as_deref() {
        Some("reload") => reload(requests),
        _ => json!({"error": "not understood: another version of weir asks"}),
    };
    writeln!(stream, "{said}")
}

fn reload(requests: &Sender<Request>) -> Value {
    let (send, told) = channel();
    let asked = requests.send(send).ok().and_then(|_| told.recv().ok());
    match asked {
        Some(told) => json!({"steps": told.iter().map(Told::to_json).collect::<Vec<_>>()}),
        None => json!({"error": "nobody looks at the files any more"}),
    }
}

/// Asks the process that runs on a data directory to reload; what became of each step.
pub fn ask(data_dir: &Path) -> Result<Vec<Value>, Error> {
    let stream = UnixStream::connect(data_dir.join(SOCKET)).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::environment("reload.not-running", format!("nothing runs on `{}`", data_dir.display()))
                .help("give the --data-dir of the `weir run` that is meant")
        }
        _ => Error::environment("reload.not-reached", format!("`{}` cannot be asked: {e}", data_dir.display())),
    })?;
    let said = converse(stream)
        .map_err(|e| Error::environment("reload.no-answer", format!("the running process does not answer: {e}")))?;
    match said.get("steps").and_then(Value::as_array) {
        Some(steps) => Ok(steps.clone()),
        None => {
            let why = said.get("error").and_then(Value::as_str).unwrap_or("an answer that is not understood");
            Err(Error::new("reload.no-answer", Cure::None, format!("the running process says: {why}")))
        }
    }
}

fn converse(mut stream: UnixStream) -> io::Result<Value> {
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    writeln!(stream, "{}", json!({"ask": "reload"}))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_its_owners_and_replaces_one_that_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(ask(folder.path()).unwrap_err().code(), "reload.not-running", "its process is gone");
        let (send, requests) = channel::<Request>();
        let control = Control::serve(folder.path(), send).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::thread::spawn(move || requests.into_iter().for_each(|answer| answer.send(vec![]).unwrap()));
        assert_eq!(ask(folder.path()).unwrap(), Vec::<Value>::new());
        let mut strange = UnixStream::connect(&path).unwrap();
        writeln!(strange, "GET / HTTP/1.0\r").unwrap();
        let mut said = String::new();
        BufReader::new(&strange).read_line(&mut said).unwrap();
        assert!(said.contains("not understood"), "{said}");
        drop(control);
        assert!(!path.exists());
    }

    #[test]
    fn what_stands_in_the_way_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        std::fs::create_dir_all(path.join("not empty")).unwrap();
        let (send, _requests) = channel::<Request>();
        let refused = Control::serve(folder.path(), send).map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), "control.socket");
        let long = folder.path().join("x".repeat(200));
        assert_eq!(ask(&long).unwrap_err().code(), "reload.not-reached", "no socket has so long a name");
        let mute = folder.path().join("mute");
        std::fs::create_dir(&mute).unwrap();
        let listener = UnixListener::bind(mute.join(SOCKET)).unwrap();
        std::thread::spawn(move || drop(listener.accept()));
        assert_eq!(ask(&mute).unwrap_err().code(), "reload.no-answer");
    }
}
