//! Describes the machine of the measurement.

use std::{fs, io, num::NonZero, process::Command, thread};

/// Returns the number of cores, the processor and the compiler.
pub(crate) fn describe() -> Result<String, String> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let processor = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .as_deref()
        .and_then(model)
        .map_or_else(|| "an unknown processor".to_owned(), str::to_owned);
    let rustc = rustc().map_err(|error| format!("could not run rustc --version: {error}"))?;
    let plural = if cores == 1 { "" } else { "s" };
    Ok(format!("{cores} core{plural} of {processor}, {rustc}"))
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn rustc() -> io::Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_model_of_the_processor_is_found() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 9R45\n\nprocessor\t: 1\n";
        assert_eq!(super::model(cpuinfo), Some("AMD EPYC 9R45"));
        assert_eq!(super::model("processor\t: 0\n"), None);
    }
}
