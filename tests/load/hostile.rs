//! Clients that send what they should not, one after another.

use std::{
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr},
    thread,
    time::Duration,
};

use crate::{
    case::{Case, End},
    client::{Answer, connect, is_timeout, now},
    tally::Tally,
};

/// Sends all cases again and again until told to stop, beginning with one of them.
pub(crate) fn work(
    address: SocketAddr,
    cases: &[Case],
    first: usize,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Tally {
    let mut tally = Tally::default();
    for case in cases.iter().cycle().skip(first) {
        if !goes_on() {
            break;
        }
        send(address, case, &mut tally);
        // Cores that are busy with garbage are not busy with those who mean well.
        thread::sleep(Duration::from_millis(5));
    }
    tally
}

/// Sends it, and looks at whatever is answered.
pub(crate) fn send(address: SocketAddr, case: &Case, tally: &mut Tally) {
    let start = now();
    let mut stream = connect(address);
    // A server that refuses a request before its end closes the connection under the writer.
    let _ = stream.write_all(&case.bytes);
    let allowed = match case.end {
        End::Leaves => {
            tally.note(case.what, 0, start.elapsed());
            return;
        }
        End::HalfCloses(allowed) => {
            drop(stream.shutdown(Shutdown::Write));
            allowed
        }
        End::Reads(allowed) => allowed,
    };
    let mut reader = BufReader::new(stream);
    let mut answers = 0;
    loop {
        match Answer::read_next(&mut reader) {
            Ok(Some(answer)) => {
                let status = answer.status;
                assert!(allowed.contains(&status), "{}: {answer:?}", case.what);
                tally.note(case.what, status, start.elapsed());
                answers += 1;
            }
            Ok(None) => break,
            // What the server had not read when it closed takes the end of its answer along.
            Err(error) => {
                assert!(!is_timeout(error.kind()), "{}: still open", case.what);
                break;
            }
        }
    }
    if answers == 0 {
        tally.note(case.what, 0, start.elapsed());
    }
}
