//! The topic or the file that a pipeline's dead letters are in.

use super::letter::Letter;
use crate::connectors;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use weir_api::Error;
use weir_config::Plan;
use weir_config::dead_letters::Place;

/// For people.
pub fn name(plan: &Plan) -> String {
    match plan.errors.dead_letters.as_ref().map(|d| &d.place) {
        Some(Place::Topic(topic)) => format!("topic {topic}"),
        Some(Place::File(file)) => format!("file {file}"),
        None => "nowhere".into(),
    }
}

/// Hands every letter of the pipeline to `each`, in their order. What else is there is passed over: several pipelines may share a
/// place. A place that is not there yet has none.
pub fn read(plan: &Plan, each: &mut dyn FnMut(Letter) -> Result<(), Error>) -> Result<(), Error> {
    let mut own = |letter: Option<Letter>| match letter.filter(|l| l.pipeline == plan.name) {
        Some(letter) => each(letter),
        None => Ok(()),
    };
    match plan.errors.dead_letters.as_ref().map(|d| &d.place) {
        Some(Place::Topic(topic)) => {
            let settings = connectors::dead_letter_client(plan);
            weir_kafka::read(&settings, topic, &mut |record| own(Letter::of_record(&record)))
        }
        Some(Place::File(path)) => {
            let failed =
                |e: std::io::Error| Error::environment("dlq.unreadable", format!("`{path}` cannot be read: {e}"));
            let file = match File::open(path) {
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                other => other.map_err(failed)?,
            };
            let (mut lines, mut line, mut at) = (BufReader::new(file), String::new(), 0i64);
            loop {
                line.clear();
                let read = lines.read_line(&mut line).map_err(failed)?;
                // half a line is one that is being written, or that a crash cut off: it was never acknowledged
                if read == 0 || !line.ends_with('\n') {
                    return Ok(());
                }
                own(Letter::of_line(line.trim_end(), at))?;
                at += read as i64
            }
        }
        None => Ok(()),
    }
}
