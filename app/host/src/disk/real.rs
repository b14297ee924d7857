//! `base::Disk` on the operating system's files.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use base::{Disk, DiskEntry, File, FileLock, Metadata, OpenMode, Slow};

use super::descriptors::{Descriptors, named};
use super::file::RealFile;
use super::lock;

/// The file system. Clones share its descriptors, of which only so many are open at a time, however many files are.
#[derive(Clone, Debug)]
pub struct RealDisk {
    descriptors: Arc<Descriptors>,
}

impl RealDisk {
    /// A disk that keeps at most `open_max` idle descriptors open. Files that are being read or written, or were removed
    /// with a handle open, come on top.
    pub fn new(open_max: usize) -> Self {
        Self { descriptors: Arc::new(Descriptors::new(open_max)) }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let node = self.descriptors.open(path, mode)?;
        Ok(Arc::new(RealFile::new(Arc::clone(&self.descriptors), node)))
    }

    fn metadata(&self, path: &Path) -> io::Result<Option<Metadata>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata_of(&metadata))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(named(path, &error)),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(|error| named(dir, &error))? {
            let entry = entry.map_err(|error| named(dir, &error))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let metadata = match entry.metadata() {
                // A symbolic link is what it leads to.
                Ok(metadata) if metadata.is_symlink() => self.metadata(&entry.path())?,
                Ok(metadata) => Some(metadata_of(&metadata)),
                Err(error) if is_absent(&error) => None,
                Err(error) => return Err(named(&entry.path(), &error)),
            };
            entries.extend(metadata.map(|metadata| DiskEntry { name, metadata }));
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir).map_err(|error| named(dir, &error))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let status = rustix::fs::statvfs(path).map_err(|error| named(path, &error.into()))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn rename(&self, from: &Path, to: &Path, _slow: &Slow) -> io::Result<()> {
        self.descriptors.rename(from, to, || fs::rename(from, to)).map_err(|error| named(from, &error))
    }

    fn replace_secret(&self, path: &Path, content: &[u8], slow: &Slow) -> io::Result<()> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        // Made anew, so that nobody holds it open from a time when it could be read.
        match fs::remove_file(&temporary) {
            Err(error) if !is_absent(&error) => return Err(named(&temporary, &error)),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_data()?;
        drop(file);
        self.rename(&temporary, path, slow)?;
        path.parent().map_or(Ok(()), |dir| self.sync_dir(dir, slow))
    }

    fn remove_file(&self, path: &Path, _slow: &Slow) -> io::Result<()> {
        self.descriptors.detach(path)?;
        fs::remove_file(path).map_err(|error| named(path, &error))
    }

    fn remove_dir_all(&self, dir: &Path, _slow: &Slow) -> io::Result<()> {
        self.descriptors.detach(dir)?;
        fs::remove_dir_all(dir).map_err(|error| named(dir, &error))
    }

    fn sync_dir(&self, dir: &Path, _slow: &Slow) -> io::Result<()> {
        fs::File::open(named_dir(dir)).and_then(|opened| opened.sync_all()).map_err(|error| named(dir, &error))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        lock::lock(path)
    }

    fn read(&self, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let opened = self.descriptors.with_room(|| fs::File::open(path)).map_err(|error| named(path, &error))?;
        let read = opened.take(len_max.saturating_add(1)).read_to_end(&mut content);
        match read.map_err(|error| named(path, &error))? as u64 > len_max {
            true => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is longer than {len_max} bytes", path.display()),
            )),
            false => Ok(content),
        }
    }

    fn sync_file_system(&self, path: &Path, _slow: &Slow) -> io::Result<()> {
        let opened = fs::File::open(path).map_err(|error| named(path, &error))?;
        rustix::fs::syncfs(&opened).map_err(|error| named(path, &error.into()))
    }
}

/// The parent of a bare name is the empty path, which means the working folder.
fn named_dir(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn metadata_of(metadata: &fs::Metadata) -> Metadata {
    let modified = metadata.modified().ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    Metadata {
        len: metadata.len(),
        modified_ms: modified.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        is_dir: metadata.is_dir(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;

    const SLOW: Slow = Slow::allowed();

    fn write(file: &Arc<dyn File>, text: &str) {
        file.write_at(&[IoSlice::new(text.as_bytes())], 0).unwrap();
    }

    fn content(file: &Arc<dyn File>) -> String {
        let mut buffer = vec![0; 64];
        let read = file.read_at(&mut buffer, 0).unwrap();
        buffer.truncate(read);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn many_files_share_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(4);
        let files: Vec<_> = (0..100)
            .map(|index| {
                let file = disk.open(&dir.path().join(index.to_string()), OpenMode::CreateNew).unwrap();
                write(&file, &format!("file {index}"));
                file
            })
            .collect();
        assert!(disk.descriptors.open_count() <= 4);
        for (index, file) in files.iter().enumerate() {
            assert_eq!(content(file), format!("file {index}"));
            assert!(disk.descriptors.open_count() <= 4);
        }
        drop(files);
        assert_eq!(disk.descriptors.open_count(), 0);
    }

    #[test]
    fn closed_descriptors_follow_renames_of_files_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(1);
        disk.create_dir_all(&dir.path().join("old")).unwrap();
        let moved = disk.open(&dir.path().join("old/log"), OpenMode::Create).unwrap();
        write(&moved, "moved");
        let other = disk.open(&dir.path().join("other"), OpenMode::Create).unwrap();
        write(&other, "other");

        disk.rename(&dir.path().join("old"), &dir.path().join("new"), &SLOW).unwrap();
        disk.rename(&dir.path().join("new/log"), &dir.path().join("new/log.swap"), &SLOW).unwrap();
        assert_eq!(content(&other), "other");
        assert_eq!(content(&moved), "moved");
        write(&moved, "MOVED");
        assert_eq!(disk.read(&dir.path().join("new/log.swap"), 64).unwrap(), b"MOVED");
    }

    #[test]
    fn a_rename_that_waits_for_the_disk_holds_up_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(1);
        let path = |name: &str| dir.path().join(name);
        disk.create_dir_all(&path("old")).unwrap();
        let [moved, other] = ["old/log", "other"].map(|name| disk.open(&path(name), OpenMode::Create).unwrap());
        write(&moved, "moved");
        write(&other, "other");
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let (descriptors, from, to) = (&disk.descriptors, path("old"), path("new"));
            let renaming = scope.spawn(move || {
                descriptors.rename(&from, &to, || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    fs::rename(&from, &to)
                })
            });
            has_begun.recv().unwrap();
            let third = disk.open(&path("third"), OpenMode::Create).unwrap();
            write(&third, "third");
            assert_eq!((content(&third), content(&other)), ("third".to_owned(), "other".to_owned()));
            // Its descriptor was closed for the others, and its name is just going.
            let reading = scope.spawn(|| content(&moved));
            let opening = scope.spawn(|| disk.open(&path("new/log"), OpenMode::Read));
            go_on.send(()).unwrap();
            renaming.join().unwrap().unwrap();
            assert_eq!(reading.join().unwrap(), "moved");
            assert_eq!(content(&opening.join().unwrap().unwrap()), "moved");
        });
        assert!(disk.open(&path("old/log"), OpenMode::Read).is_err());
    }

    #[test]
    fn removed_and_replaced_files_stay_with_their_handles() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(1);
        let open = |name: &str| {
            let file = disk.open(&dir.path().join(name), OpenMode::Create).unwrap();
            write(&file, name);
            file
        };
        let (removed, replaced, replacing) = (open("removed"), open("replaced"), open("replacing"));
        disk.remove_file(&dir.path().join("removed"), &SLOW).unwrap();
        disk.rename(&dir.path().join("replacing"), &dir.path().join("replaced"), &SLOW).unwrap();
        let again = open("removed");
        write(&again, "another");
        assert_eq!(content(&removed), "removed");
        assert_eq!(content(&replaced), "replaced");
        assert_eq!(content(&replacing), "replacing");
        let by_name = disk.open(&dir.path().join("replaced"), OpenMode::Read).unwrap();
        assert_eq!(content(&by_name), "replacing");
        disk.remove_dir_all(dir.path(), &SLOW).unwrap();
        assert_eq!(content(&again), "another");
        assert_eq!(content(&by_name), "replacing");
    }

    #[test]
    fn a_handle_for_reading_does_not_bar_writing_later() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(8);
        let path = dir.path().join("file");
        fs::write(&path, "text").unwrap();
        let reader = disk.open(&path, OpenMode::Read).unwrap();
        assert_eq!(content(&reader), "text");
        let writer = disk.open(&path, OpenMode::Write).unwrap();
        write(&writer, "TEXT");
        assert_eq!(content(&reader), "TEXT");
        let kind = |result: io::Result<Arc<dyn File>>| result.err().map(|error| error.kind());
        assert_eq!(kind(disk.open(&path, OpenMode::CreateNew)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(disk.open(&dir.path().join("none"), OpenMode::Write)), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_file_put_in_the_place_of_an_idle_one_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(1);
        let file = disk.open(&dir.path().join("file"), OpenMode::Create).unwrap();
        write(&file, "ours");
        file.sync_data(&SLOW).unwrap();
        let _other = disk.open(&dir.path().join("other"), OpenMode::Create).unwrap();
        fs::write(dir.path().join("theirs"), "theirs").unwrap();
        fs::rename(dir.path().join("theirs"), dir.path().join("file")).unwrap();
        assert!(file.read_at(&mut [0; 4], 0).unwrap_err().to_string().contains("replaced"));
    }

    #[test]
    fn vectored_writes_beyond_one_call_and_reads_beyond_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(8);
        let file = disk.open(&dir.path().join("file"), OpenMode::Create).unwrap();
        let slices: Vec<_> = (0..3000).map(|index| if index % 3 == 0 { &b""[..] } else { &b"xy"[..] }).collect();
        let slices: Vec<_> = slices.into_iter().map(IoSlice::new).collect();
        file.write_at(&slices, 10).unwrap();
        assert_eq!(file.len().unwrap(), 4010);
        let mut buffer = [1; 20];
        assert_eq!(file.read_at(&mut buffer, 4000).unwrap(), 10);
        assert_eq!(file.read_at_cached(&mut buffer, 0).unwrap(), 20);
        assert_eq!(&buffer, b"\0\0\0\0\0\0\0\0\0\0xyxyxyxyxy");
        file.truncate(3, &SLOW).unwrap();
        assert_eq!(file.read_at(&mut buffer, 3).unwrap(), 0);
    }

    #[test]
    fn holes_are_passed_over_and_bytes_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(8);
        let file = disk.open(&dir.path().join("file"), OpenMode::Create).unwrap();
        let far = 8 << 20;
        file.write_at(&[IoSlice::new(b"head")], 0).unwrap();
        file.write_at(&[IoSlice::new(b"far")], far).unwrap();
        assert_eq!(file.next_data(1).unwrap(), Some(1));
        let found = file.next_data(1 << 20).unwrap().unwrap();
        assert!(((1 << 20)..=far).contains(&found), "not beyond the bytes: {found}");
        assert_eq!(file.next_data(far + 3).unwrap(), None);
        assert_eq!(file.read_at(&mut [0; 4], 0).unwrap(), 4, "reads have positions of their own");
    }

    #[test]
    fn names_are_listed_sorted_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(8);
        disk.create_dir_all(&dir.path().join("b/c")).unwrap();
        disk.replace(&dir.path().join("a"), b"new", &SLOW).unwrap();
        // A link is what it leads to, and one that leads nowhere is nothing.
        std::os::unix::fs::symlink("b", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("none", dir.path().join("lost")).unwrap();
        let listed = disk.list(dir.path()).unwrap();
        let names: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.metadata.is_dir)).collect();
        assert_eq!(names, [("a", false), ("b", true), ("link", true)]);
        assert_eq!(disk.read(&dir.path().join("a"), 3).unwrap(), b"new");
        let kind = |path: &str, len_max| disk.read(&dir.path().join(path), len_max).unwrap_err().kind();
        assert_eq!(kind("a", 2), io::ErrorKind::InvalidData);
        assert_eq!(kind("none", 2), io::ErrorKind::NotFound);
        assert_eq!(kind("b", 2), io::ErrorKind::IsADirectory);
        assert_eq!(disk.metadata(&dir.path().join("a")).unwrap().unwrap().len, 3);
        assert_eq!(disk.metadata(&dir.path().join("a/x")).unwrap(), None);
        assert!(disk.free_bytes(dir.path()).unwrap() > 0);
        disk.sync_dir(dir.path(), &SLOW).unwrap();
        disk.sync_file_system(dir.path(), &SLOW).unwrap();
    }
}
