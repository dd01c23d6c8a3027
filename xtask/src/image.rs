//! `cargo xtask image`: the container image as an OCI layout, without a daemon. The last stage of `deploy/Dockerfile` says what is in it, so that both ways come to the same image;
//! in the place of its base stand the C library and the certificates of the Debian that builds. umoci makes the layout.

mod dockerfile;
mod layout;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::package::tree::Tree;
use crate::package::{binary, built, epoch, read, target};
use crate::run::{output, root, succeed};
use dockerfile::Stage;

const USAGE: &str = "usage: cargo xtask image [--binary FILE] [--output FOLDER]

  --binary FILE     put this one in; without it the release binary is built
  --output FOLDER   the layout, instead of target/image; what is there is replaced";

/// Whom a container runs as: the image of the Dockerfile has the same.
const USER: &str = "nonroot";
const USER_ID: &str = "65532";

/// Where the certificates of authorities are, here and there.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Packages whose files are in the image, for their licences.
const COPYRIGHTS: [&str; 3] = ["libc6", "libgcc-s1", "ca-certificates"];

/// Makes the layout and prints its path and tag, as skopeo and umoci take them.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (given, folder) = options(arguments, target()?.join("image"))?;
    let binary = built(given.as_deref())?;
    let facts = binary::Facts::of(&binary)?;
    let stage = Stage::last(&read("deploy/Dockerfile")?)?;
    let tree = Tree::create(folder.with_extension("tree"))?;
    files(&tree, &binary, &stage)?;
    if facts.libc.is_some() {
        libraries(&tree, &binary)?;
    }
    let epoch = epoch()?;
    // Two builds of one commit are one image.
    succeed(Command::new("find").arg(tree.folder()).args([
        "-exec",
        "touch",
        "--no-dereference",
        "--date",
        &format!("@{epoch}"),
        "{}",
        "+",
    ]))?;
    let created = output(Command::new("date").args(["--utc", "--date", &format!("@{epoch}"), "+%Y-%m-%dT%H:%M:%SZ"]))?.trim().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    layout::Layout { folder: &folder, tag: version }.write(tree.folder(), &stage, facts.architecture, &created)?;
    fs::remove_dir_all(tree.folder()).map_err(|error| format!("{}: {error}", tree.folder().display()))?;
    println!("{}:{version}", folder.display());
    Ok(())
}

fn options(arguments: &[String], folder: PathBuf) -> Result<(Option<PathBuf>, PathBuf), String> {
    let (mut binary, mut folder) = (None, folder);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().map(PathBuf::from).ok_or_else(|| format!("{argument} wants a value\n{USAGE}"))?;
        match argument.as_str() {
            "--binary" => binary = Some(value),
            "--output" => folder = value,
            _ => return Err(format!("unknown argument {argument}\n{USAGE}")),
        }
    }
    Ok((binary, folder))
}

/// What the Dockerfile copies, and what every program expects.
fn files(tree: &Tree, binary: &Path, stage: &Stage) -> Result<(), String> {
    for (from, to) in &stage.copies {
        // Of the first stage only the binary is copied.
        let (from, mode) = if to.ends_with("/larder") { (binary.to_owned(), 0o755) } else { (root().join(from), 0o644) };
        tree.copy(&from, to.trim_start_matches('/'), mode)?;
    }
    let home = format!("home/{USER}");
    let users =
        ["root:x:0:0:root:/root:/sbin/nologin\n".to_owned(), format!("{USER}:x:{USER_ID}:{USER_ID}:{USER}:/{home}:/sbin/nologin\n")];
    tree.write("etc/passwd", &users.concat(), 0o644)?;
    tree.write("etc/group", &format!("root:x:0:\n{USER}:x:{USER_ID}:\n"), 0o644)?;
    tree.write("etc/nsswitch.conf", "hosts: files dns\n", 0o644)?;
    tree.copy(Path::new(CERTIFICATES), CERTIFICATES.trim_start_matches('/'), 0o644)?;
    for package in COPYRIGHTS {
        let file = format!("usr/share/doc/{package}/copyright");
        tree.copy(&Path::new("/").join(&file), &file, 0o644)?;
    }
    tree.directory("tmp", 0o1777)?;
    let home = tree.directory(&home, 0o755)?;
    // Where nobody may give files away, the home is root's: what is kept over a restart needs a volume in any case.
    let id: u32 = USER_ID.parse().map_err(|_| "the user's number is one")?;
    drop(std::os::unix::fs::chown(home, Some(id), Some(id)));
    Ok(())
}

/// The libraries that the loader finds for the binary, and the loader, at their places.
fn libraries(tree: &Tree, binary: &Path) -> Result<(), String> {
    for path in loaded(&output(Command::new("ldd").arg(binary))?) {
        let from = fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))?;
        tree.copy(&from, path.trim_start_matches('/'), 0o755)?;
    }
    Ok(())
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or only the path.
fn loaded(listing: &str) -> impl Iterator<Item = &str> {
    listing.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::loaded;

    #[test]
    fn libraries_and_their_loader_are_read_from_the_listing() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(loaded(listing).collect::<Vec<_>>(), ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
