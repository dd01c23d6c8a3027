//! Every file in `scenarios/` is a test of its own, named by its path.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files = Vec::new();
    if let Err(error) = find(&folder, &mut files) {
        eprintln!("reading {}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    files.sort();
    let trial = |file: PathBuf| {
        let name = file.strip_prefix(&folder).unwrap_or(&file).with_extension("");
        let name = name.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::");
        Trial::test(name, move || larder_testkit::scenario::run_file(&file).map_err(|error| error.to_string().into()))
    };
    let trials = files.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "scn") {
            files.push(path);
        }
    }
    Ok(())
}
