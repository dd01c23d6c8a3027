//! The directory of the store on disk: file system, room, speed, and how fast it wears.

use std::path::Path;
use std::time::Duration;

use larder_disk::{DiskOptions, Survey, Usage};
use larder_tower::clock;

use super::Finding;
use crate::config::{display_bytes, display_duration};

/// How long the measurement takes.
const MEASURED: Duration = Duration::from_secs(2);

/// Of `timeout`, the share that a usual read may take: reads under load take several times as long.
const USUAL_SHARE: u32 = 5;

/// Days of use from which on a mean says something.
const SAID_BY: u64 = 86_400 / 4;

/// Bytes written a day for each byte of the file system, in tenths, that consumer flash bears for five years. Flash for servers bears three times as much.
const BORNE_TENTHS: u64 = 3;

const AWAY: &str = "Larder goes on without it: responses are in memory only, and a restart starts cold";

pub(super) async fn findings(options: &DiskOptions) -> Vec<Finding> {
    let what = format!("disk {}", options.path.display());
    let path = options.path.clone();
    let survey = tokio::task::spawn_blocking(move || survey(&path)).await;
    match survey.map_err(std::io::Error::other).and_then(|survey| survey) {
        Ok(survey) => judged(&what, &survey, options, clock::wall().as_secs()),
        Err(error) => {
            vec![Finding::warning(what, format!("it cannot be used: {error}"), format!("let the user who runs larder write there. {AWAY}"))]
        }
    }
}

/// A directory that is made by the first start is made here for the measurement, and removed.
fn survey(path: &Path) -> std::io::Result<Survey> {
    let existed = path.exists();
    std::fs::create_dir_all(path)?;
    let survey = Survey::of(path, MEASURED, clock::monotonic);
    if !existed {
        // Its parents stay where they were missing too: they are empty.
        let _ = std::fs::remove_dir(path);
    }
    survey
}

fn judged(what: &str, survey: &Survey, options: &DiskOptions, now: u32) -> Vec<Finding> {
    let usage = survey.usage.map(|usage| wear(what, usage, survey.size, now));
    [kind(what, &survey.file_system), room(what, survey, options.capacity), speed(what, survey, options)].into_iter().chain(usage).collect()
}

fn kind(what: &str, file_system: &str) -> Finding {
    let what = format!("{what} file system");
    let remedy = match file_system {
        "tmpfs" | "ramfs" => "it is memory: give that to `capacity` in [store.memory], or choose a directory on a disk",
        "overlay" => "it is the container's own layer, which goes with the container: mount a volume there",
        "nfs" | "cifs" | "fuse" | "9p" | "ceph" => {
            "a network between cache and disk is as slow as one to the backend: choose a local directory"
        }
        _ => return Finding::good(what, file_system),
    };
    Finding::warning(what, file_system, remedy)
}

fn room(what: &str, survey: &Survey, capacity: u64) -> Finding {
    let what = format!("{what} room");
    let mib = |bytes: u64| display_bytes(bytes >> 20 << 20);
    let why = format!(
        "{} are free of {}, and {} of `capacity` {} are taken",
        mib(survey.free),
        mib(survey.size),
        mib(survey.taken),
        mib(capacity)
    );
    match survey.free.saturating_add(survey.taken) < capacity {
        true => Finding::warning(
            what,
            why,
            "lower `capacity` in [store.disk]: larder goes on with what it gets, and other programs find the disk full",
        ),
        false => Finding::good(what, why),
    }
}

fn speed(what: &str, survey: &Survey, options: &DiskOptions) -> Finding {
    let what = format!("{what} speed");
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let (usual, slow) = survey.reads;
    let written = format!("{} a second are written", display_bytes(survey.write_speed >> 20 << 20));
    let why = format!("{written}; a read takes {}, and {} once in a hundred", milliseconds(usual), milliseconds(slow));
    let rate = options.write_rate.unwrap_or(0);
    if usual * USUAL_SHARE >= options.timeout || slow >= options.timeout {
        let remedy =
            format!("a look-up slower than `timeout` ({}) is a miss: a faster disk, or a longer time", display_duration(options.timeout));
        return Finding::warning(what, why, remedy);
    }
    if survey.write_speed < rate {
        return Finding::warning(what, why, format!("`write_rate` is {}: what comes faster than the disk is dropped", display_bytes(rate)));
    }
    Finding::good(what, why)
}

fn wear(what: &str, usage: Usage, size: u64, now: u32) -> Finding {
    let what = format!("{what} wear");
    let seconds = u64::from(now.saturating_sub(usage.since)).max(1);
    let per_day = u64::try_from(u128::from(usage.written) * 86_400 / u128::from(seconds)).unwrap_or(u64::MAX);
    let first = usage.written.saturating_sub(usage.moved).max(1);
    let times = |bytes: u64, of: u64| format!("{:.2}", bytes as f64 / of.max(1) as f64);
    let mib = |bytes: u64| display_bytes(bytes >> 20 << 20);
    let why = format!(
        "{} written in {}, each byte {} times in the mean; {} a day, {} times the size of the file system",
        mib(usage.written),
        display_duration(Duration::from_secs(seconds)),
        times(usage.written, first),
        mib(per_day),
        times(per_day, size),
    );
    if seconds >= SAID_BY && per_day > size / 10 * BORNE_TENTHS {
        let remedy = "flash wears out in a few years at this rate: lower `write_rate`, or keep `admit = \"second-hit\"`";
        return Finding::warning(what, why, remedy);
    }
    Finding::good(what, why)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    const DAY: u32 = 86_400;

    #[test]
    fn a_file_system_that_is_no_disk_of_this_machine_is_told() {
        let verdict = |name| kind("disk", name).verdict;
        assert_eq!(["ext4", "0x1234"].map(verdict), [Verdict::Good; 2]);
        assert_eq!(["tmpfs", "overlay", "nfs"].map(verdict), [Verdict::Warning; 3]);
    }

    #[test]
    fn wear_is_judged_by_the_day_once_there_is_a_mean() {
        let usage = |days: u32, written: u64| wear("disk", Usage::new(0, written, written / 4), 100 << 30, days * DAY);
        assert_eq!(usage(10, 100 << 30).verdict, Verdict::Good, "a tenth of its size a day");
        let worn = usage(2, 100 << 30);
        assert_eq!(worn.verdict, Verdict::Warning);
        assert_eq!(
            worn.why,
            "100GiB written in 48h, each byte 1.33 times in the mean; 50GiB a day, 0.50 times the size of the file system"
        );
        assert_eq!(wear("disk", Usage::new(0, 100 << 30, 0), 100 << 30, 60).verdict, Verdict::Good, "a minute tells nothing");
    }

    #[tokio::test]
    async fn a_directory_is_measured_and_one_that_was_not_there_is_not_there_afterwards() {
        let path = std::env::temp_dir().join(format!("larder-doctor-disk-{}", std::process::id()));
        let options = DiskOptions::new(path.clone(), DiskOptions::MIN_CAPACITY);
        let found = findings(&options).await;
        let about: Vec<&str> = found.iter().filter_map(|finding| finding.what.rsplit(' ').next()).collect();
        assert_eq!((about, path.exists()), (vec!["system", "room", "speed"], false));
        std::fs::write(&path, "").unwrap();
        let found = findings(&options).await;
        std::fs::remove_file(&path).unwrap();
        assert!(found.len() == 1 && found[0].verdict == Verdict::Warning && found[0].why.starts_with("it cannot be used"), "{found:?}");
    }
}
