//! Files that a session makes or takes up again: in directories where others may write, too, and on
//! disks that may be full. What differs between platforms in opening and reserving is here.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a file that did not exist, to read and write, for nobody but the user. Fails with
/// `AlreadyExists` if there is anything by that name, be it a symbolic link to nothing.
pub(crate) fn create_new_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as _)
        .open(path)
}

/// Opens a regular file that exists, to read and write. Fails with `InvalidInput` if the last part of
/// the path is a symbolic link, or if it is a pipe or a device, for which it does not wait.
pub(crate) fn open_no_follow(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as _).open(path).map_err(
        |error| match Errno::from_io_error(&error) {
            // The second is what FreeBSD says.
            Some(Errno::LOOP | Errno::MLINK) => not_regular("a symbolic link"),
            // A socket, or a device that nothing drives.
            Some(Errno::NXIO | Errno::NODEV) => not_regular("a socket or a device"),
            _ => error,
        },
    )?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular("a pipe or a device")) }
}

/// Opens a file to read it. Does not wait for the other end of a pipe, nor for a device.
pub(crate) fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as _).open(path)
}

/// Opens a regular file of ours to read it. Fails with `InvalidInput` or `PermissionDenied` for anything that
/// somebody may have put in its place: a symbolic link, a pipe, for which it does not wait, or another user's
/// file.
pub(crate) fn open_private(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as _).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular("a pipe, a directory or a device"));
    }
    if !is_ours(&metadata) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    Ok((file, metadata))
}

/// Takes a file for ourselves, as far as others ask (`flock`). False if somebody else has it. File
/// systems that know no locks keep nobody out.
pub(crate) fn lock(file: &File) -> bool {
    use rustix::fs::{FlockOperation, flock};
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// Gives a file free that was taken by [`lock`].
pub(crate) fn unlock(file: &File) {
    use rustix::fs::{FlockOperation, flock};
    // What cannot be given free now is so when it is closed.
    let _ = flock(file, FlockOperation::Unlock);
}

/// Whatever is written to the file from now on is written at its end, wherever that is by then.
pub(crate) fn append_only(file: &File) -> io::Result<()> {
    use rustix::fs::{fcntl_getfl, fcntl_setfl};
    Ok(fcntl_setfl(file, fcntl_getfl(file)? | OFlags::APPEND)?)
}

/// Makes sure that a file is the user's own and that nobody else may read it, by its mode. Fails with
/// `PermissionDenied` if it is somebody else's: whoever put it there can read what comes into it, and has
/// chosen what is in it. The superuser may use what is anybody's.
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !is_ours(&metadata) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Makes a directory, and those it is in, for nobody but the user. One that is there stays as it is.
pub(crate) fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes sure that nobody but us can put files in place of ours in a directory, and that we can. Fails with
/// `PermissionDenied` if it is somebody else's, or open to the whole world (without the sticky bit, which
/// keeps everybody to what is their own), or not to be written to. That a group may write to it is
/// whoever's choice who made the group: many systems give each user one.
pub(crate) fn check_directory(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, access};
    let denied = |what| Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if !is_ours(&metadata) && metadata.mode() & 0o1000 == 0 {
        return denied("it belongs to another user");
    }
    if metadata.mode() & 0o1002 == 0o0002 {
        return denied("everybody may write to it");
    }
    Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn is_ours(metadata: &Metadata) -> bool {
    let user = rustix::process::geteuid();
    user.is_root() || metadata.uid() == user.as_raw()
}

/// Whether the file is the one of that name, and not one that had it before.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let of = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => of(open) == of(named),
        _ => false,
    }
}

/// Reserves room for the first `len` bytes of the file, whose own length stays what it is. Fails
/// when the disk or the user's quota has no room (`StorageFull`, `QuotaExceeded`), or when no file may be so long
/// (`FileTooLarge`), and then nothing is reserved. A file system that cannot reserve does nothing.
/// What is reserved beyond the end of the file goes when the file is cut to its length.
///
/// Linux only; elsewhere it does nothing.
pub(crate) fn preallocate(file: &File, len: u64) -> io::Result<()> {
    if i64::try_from(len).is_err() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    reserve(file, len)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};

    if len == 0 {
        return Ok(());
    }
    loop {
        match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
            Err(Errno::INTR) => {}
            // It is not for regular files of this file system, or not for this kind of file.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::SPIPE) => return Ok(()),
            Err(error) => {
                // Some file systems keep what they could get, which may be all that there was.
                let _ = file.metadata().and_then(|metadata| file.set_len(metadata.len()));
                return Err(error.into());
            }
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reserve(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

fn not_regular(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what} where a regular file is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory that goes with its guard.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Directory {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("urlsession-file-{}-{number}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Directory(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
        result.expect_err("an error").kind()
    }

    #[test]
    fn a_new_file_is_the_users_alone() {
        let directory = Directory::new();
        let path = directory.path("new");
        let mut file = create_new_private(&path).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
        file.write_all(b"content").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, "content");
        assert_eq!(kind(create_new_private(&path)), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"content");
    }

    #[test]
    fn a_new_file_is_not_made_through_a_link() {
        let directory = Directory::new();
        let (link, target) = (directory.path("link"), directory.path("target"));
        symlink(&target, &link).unwrap();
        assert_eq!(kind(create_new_private(&link)), io::ErrorKind::AlreadyExists);
        assert!(!target.exists());
    }

    #[test]
    fn a_file_is_opened_as_it_is() {
        let directory = Directory::new();
        let path = directory.path("file");
        assert_eq!(kind(open_no_follow(&path)), io::ErrorKind::NotFound);
        assert!(!path.exists());
        std::fs::write(&path, "content").unwrap();
        let mut file = open_no_follow(&path).unwrap();
        file.write_all(b"C").unwrap();
        let mut read = String::new();
        file.read_to_string(&mut read).unwrap();
        assert_eq!(read, "ontent");
        assert_eq!(std::fs::read(&path).unwrap(), b"Content");
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let directory = Directory::new();
        let (link, file) = (directory.path("link"), directory.path("file"));
        std::fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        assert_eq!(kind(open_no_follow(&link)), io::ErrorKind::InvalidInput);
        assert_eq!(kind(open_no_follow(&directory.0)), io::ErrorKind::IsADirectory);
        assert_eq!(kind(open_no_follow(Path::new("/dev/null"))), io::ErrorKind::InvalidInput);
        let socket = directory.path("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        #[cfg(target_os = "linux")]
        assert_eq!(kind(open_no_follow(&socket)), io::ErrorKind::InvalidInput);
        // A directory on the way may be a link.
        let way = directory.path("way");
        symlink(&directory.0, &way).unwrap();
        assert!(open_no_follow(&way.join("file")).is_ok());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reserving_takes_room_and_leaves_the_length() {
        let directory = Directory::new();
        let mut file = create_new_private(&directory.path("file")).unwrap();
        file.write_all(b"content").unwrap();
        preallocate(&file, 1 << 20).unwrap();
        preallocate(&file, 0).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 7);
        // Not every file system can, but then it takes no room either.
        let reserved = metadata.blocks() * 512;
        assert!(!(1 << 16..1 << 20).contains(&reserved));
        file.set_len(7).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 16);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reserving_what_is_not_there_fails_and_keeps_nothing() {
        let directory = Directory::new();
        let file = create_new_private(&directory.path("file")).unwrap();
        let error = kind(preallocate(&file, i64::MAX as u64));
        assert!(matches!(error, io::ErrorKind::FileTooLarge | io::ErrorKind::StorageFull), "{error:?}");
        assert_eq!(kind(preallocate(&file, u64::MAX)), io::ErrorKind::FileTooLarge);
        assert_eq!(file.metadata().unwrap().blocks(), 0);
        preallocate(&File::options().write(true).open("/dev/null").unwrap(), 100).unwrap();
    }
}
